"""Disks that lose what was not synced, fail, or have a clock of their own: tests/faults/shims/disk.c, for one worker."""
import os
import random
import shutil
import subprocess
from pathlib import Path

from harness.cluster import Cluster

SOURCE = Path(__file__).resolve().parents[1] / "faults/shims/disk.c"


def build(folder: Path) -> Path:
    library = folder / "disk.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(SOURCE), "-ldl",
                    "-lpthread"], check=True)
    return library


class Disk:
    """The disk of one worker of a cluster."""

    def __init__(self, library: Path, cluster: Cluster, rank: int):
        self.library, self.cluster, self.rank = library, cluster, rank
        self.shadow = cluster.folder / f"shadow_{rank}"
        self.clock = cluster.folder / f"clock_{rank}"
        self.clock.write_text("0")
        for name in ("files", "folders", "scratch"):
            (self.shadow / name).mkdir(parents=True, exist_ok=True)

    def environment(self, **settings: str) -> list[str]:
        """What to put before a worker's command."""
        return ["env", f"LD_PRELOAD={self.library}", f"SHIM_ROOT={self.cluster.data(self.rank)}",
                f"SHIM_SHADOW={self.shadow}", f"SHIM_CLOCK={self.clock}",
                *(f"{name}={value}" for name, value in settings.items())]

    def start(self, **settings: str) -> None:
        self.cluster.start_worker(self.rank, prefix=self.environment(**settings))

    def jump(self, seconds: int) -> None:
        """Its wall clock, from now on."""
        scratch = self.clock.with_suffix(".new")
        scratch.write_text(str(seconds))
        scratch.rename(self.clock)

    def cut_power(self, seed: int | None = None) -> None:
        """Ends the worker and leaves of its folder what was durable; with a seed also some of the rest, as it may be."""
        self.cluster.workers[self.rank].kill()
        data = self.cluster.data(self.rank)
        kept = self.cluster.folder / f"kept_{self.rank}"
        kept.mkdir()
        root = self.shadow / "root"
        if root.exists():
            self._put_back(int(root.read_text()), data, kept, random.Random(seed) if seed is not None else None)
        shutil.rmtree(data)
        kept.rename(data)
        shutil.rmtree(self.shadow)
        for name in ("files", "folders", "scratch"):
            (self.shadow / name).mkdir(parents=True)

    def _put_back(self, folder: int, live: Path, to: Path, chance: random.Random | None) -> None:
        listed = self.shadow / "folders" / str(folder)
        names = set()
        for line in listed.read_text().splitlines() if listed.exists() else []:
            kind, inode, name = line.split(" ", 2)
            names.add(name)
            if kind == "d":
                (to / name).mkdir()
                self._put_back(int(inode), live / name, to / name, chance)
                continue
            content = self.shadow / "files" / inode
            if content.exists():
                shutil.copyfile(content, to / name)
                source = live / name
                if source.exists():
                    status = source.stat()
                    os.utime(to / name, ns=(status.st_atime_ns, status.st_mtime_ns))
            else:
                (to / name).touch()  # the name is durable, and nothing of what was written
        if chance is None or not live.is_dir():
            return
        for entry in sorted(live.iterdir()):
            if entry.name not in names and entry.is_file() and chance.random() < 0.5:
                # It happened to be written already, or half of it.
                content = entry.read_bytes()
                (to / entry.name).write_bytes(content if chance.random() < 0.5 else content[:len(content) // 2])
