"""Listing folders that a running process changes."""
from pathlib import Path


def live_files(folder: Path, pattern: str) -> list[Path]:
    """What matches, as of one listing. Path.glob() and rglob() fail where a folder goes while they walk it."""
    for _ in range(1000):
        try:
            return list(folder.glob(pattern))
        except FileNotFoundError:
            continue
    raise AssertionError(f"{folder} changes faster than it can be listed")
