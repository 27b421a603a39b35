"""A machine whose plug can be pulled: what was not synced is gone (tests/faults/shims/power_cut.c).

POSIX promises what the shim remembers, and real disks keep some of the rest: names and bytes that happened
to be written, in any order. So chance decides of each name and each file whether what was not synced is there
after a cut: not at all, whole, or torn (each page old or new).
"""
import ctypes
import os
import random
import shutil
from dataclasses import dataclass
from pathlib import Path

from harness.shims import Shim

PAGE = 4096
AT_FDCWD, AT_SYMLINK_NOFOLLOW, STATX_BTIME_AND_INO = -100, 0x100, 0x800 | 0x100
_LIBC = ctypes.CDLL(None, use_errno=True)


def key_of(path: Path) -> str | None:
    """As in the shim: inode and time of birth, which no two files have had; None where it is gone."""
    status = ctypes.create_string_buffer(256)
    if _LIBC.statx(AT_FDCWD, os.fsencode(path), AT_SYMLINK_NOFOLLOW, STATX_BTIME_AND_INO, status) != 0:
        return None
    inode = int.from_bytes(status.raw[32:40], "little")
    seconds = int.from_bytes(status.raw[80:88], "little", signed=True)
    return f"{inode}-{seconds}-{int.from_bytes(status.raw[88:92], 'little')}"


@dataclass(frozen=True)
class Entry:
    is_folder: bool
    key: str


class Remains:
    """What a cut leaves of one folder. `luck` (0…1): how much of what was not synced is there all the same."""

    def __init__(self, shadow: Path, live: Path, chance: random.Random, luck: float):
        self.shadow, self.live, self.chance, self.luck = shadow, live, chance, luck
        self.lost = self.kept = 0  # names and files that were not synced
        self.live_paths = {key: path for path in [live, *live.rglob("*")] if (key := key_of(path))}

    def write_to(self, target: Path) -> None:
        self._folder(key_of(self.live), target)

    def _durable(self, key: str) -> dict[str, Entry]:
        note = self.shadow / "folders" / key
        if not note.exists():
            return {}
        rows = (line.split(" ", 2) for line in note.read_text().splitlines())
        return {name: Entry(kind == "d", entry_key) for kind, entry_key, name in rows}

    def _present(self, key: str) -> dict[str, Entry]:
        folder = self.live_paths.get(key)
        if not folder or not folder.is_dir():
            return {}
        return {path.name: Entry(path.is_dir(), entry_key) for path in folder.iterdir() if (entry_key := key_of(path))}

    def _folder(self, key: str | None, target: Path) -> None:
        target.mkdir()
        if key is None:
            return
        durable, present = self._durable(key), self._present(key)
        for name in sorted(durable.keys() | present.keys()):
            entry = durable.get(name)
            if entry != present.get(name):
                is_lucky = self.chance.random() < self.luck
                entry = present.get(name) if is_lucky else entry
                self.kept += is_lucky
                self.lost += not is_lucky
            if entry and entry.is_folder:
                self._folder(entry.key, target / name)
            elif entry:
                self._file(entry.key, target / name)

    def _file(self, key: str, target: Path) -> None:
        note, live = self.shadow / "files" / key, self.live_paths.get(key)
        old = note.read_bytes() if note.exists() else None
        new = live.read_bytes() if live else old
        if old == new:
            content = old or b""
        elif self.chance.random() < self.luck:
            self.kept += 1
            content = new if self.chance.random() < 0.5 else self._torn(old or b"", new or b"")
        else:
            self.lost += 1
            content = old or b""
        target.write_bytes(content)
        source = note if note.exists() else live
        if source:
            times = source.stat()
            os.utime(target, ns=(times.st_mtime_ns, times.st_mtime_ns))

    def _torn(self, old: bytes, new: bytes) -> bytes:
        size = self.chance.choice([len(old), len(new)])
        old, new = old[:size].ljust(size, b"\0"), new[:size].ljust(size, b"\0")
        return b"".join(self.chance.choice([old, new])[at:at + PAGE] for at in range(0, size, PAGE))


class PowerCuts:
    """The plugs of all machines of a test."""

    def __init__(self, shim: Shim, folder: Path, chance: random.Random, sync_us: int = 3000, lies: str = ""):
        self.shim, self.folder, self.chance = shim, folder, chance
        self.settings: dict[str, object] = {"sync_us": sync_us} | ({"lies": lies} if lies else {})

    def _shadow(self, root: Path) -> Path:
        return self.folder / f"shadow_{root.name}"

    def prefix(self, root: Path) -> list[str]:
        """Put before the command of a process, this remembers what of `root` it has made durable."""
        return self.shim.prefix(root, shadow=self._shadow(root), **self.settings)

    def cut(self, root: Path, luck: float | None = None) -> str:
        """After the process was killed: leaves of `root` what a power cut would. Returns what became of it."""
        luck = self.chance.choice([0, 0, 0.1, 0.5, 0.9]) if luck is None else luck
        shadow, after = self._shadow(root), self.folder / f"after_{root.name}"
        remains = Remains(shadow, root, self.chance, luck)
        remains.write_to(after)
        shutil.rmtree(root)
        after.rename(root)
        shutil.rmtree(shadow)
        return f"power cut of {root.name}: of what was not synced {remains.lost} lost, {remains.kept} kept"

    def destroy(self, root: Path) -> None:
        """Another disk in its place."""
        shutil.rmtree(root)
        shutil.rmtree(self._shadow(root))
