"""A small file system of a worker's own, that can be filled to the last byte and emptied again."""
import os
import shutil
import subprocess
from pathlib import Path

from harness.cluster import Cluster


def can_mount_images(folder: Path) -> bool:
    """Whether this user may mount an ext4 image."""
    folder.mkdir(parents=True, exist_ok=True)
    if shutil.which("mkfs.ext4") is None:
        return False
    image = _make_image(folder / "probe.img", 4)
    mount = ["unshare", "--mount", "mount", "-o", "loop", str(image), str(folder)]
    tried = subprocess.run(mount, check=False, capture_output=True)
    image.unlink()
    return tried.returncode == 0


def _make_image(path: Path, megabytes: int) -> Path:
    with path.open("wb") as file:
        file.truncate(megabytes << 20)
    subprocess.run(["mkfs.ext4", "-q", "-m", "0", str(path)], check=True)
    return path


class SmallDisk:
    """Mounted in the namespace of the worker alone: it goes with the worker, and is there again at the next start."""

    def __init__(self, cluster: Cluster, rank: int, megabytes: int):
        self.cluster, self.rank, self.megabytes = cluster, rank, megabytes
        self.mount_point = cluster.data(rank)
        self.image = cluster.folder / f"disk_{rank}.img"
        self.renew()
        mount = f'mount -o loop {self.image} {self.mount_point} && exec "$@"'
        cluster.worker_prefixes[rank] = ["unshare", "--mount", "bash", "-c", mount, "bash"]

    def renew(self) -> None:
        """An empty disk; the worker is not running."""
        self.mount_point.mkdir(exist_ok=True)
        _make_image(self.image, self.megabytes)

    @property
    def inside(self) -> Path:
        """The mounted file system, as the running worker sees it."""
        return Path(f"/proc/{self.cluster.workers[self.rank].pid}/root{self.mount_point}")

    def fill(self, but: int = 0) -> None:
        """Takes all that is free, down to `but` bytes."""
        with (self.inside / "filler").open("ab") as file:
            step = 1 << 20
            while step >= 4096:
                free = os.statvfs(self.inside)
                if free.f_bavail * free.f_frsize - but < step:
                    step //= 4
                    continue
                try:
                    os.posix_fallocate(file.fileno(), file.seek(0, 2), step)
                except OSError:
                    step //= 4

    def free(self) -> None:
        (self.inside / "filler").unlink(missing_ok=True)
