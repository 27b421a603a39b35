"""The files that are stored: random bytes, made weights and the next step of the same run."""
import json
import os
import struct
import subprocess
from pathlib import Path

from harness.binary import ROOT

PIECE_BYTES = 16_000_000


def make_random(path: Path, size: int) -> Path:
    """Nothing compresses it, and no two are alike."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as out:
        for begin in range(0, size, PIECE_BYTES):
            out.write(os.urandom(min(PIECE_BYTES, size - begin)))
    return path


def make_weights(paths: list[Path], size: int, seed: int) -> list[Path]:
    """BF16 checkpoints of 290 tensors: the steps of one run, in order."""
    following = ["--next", *map(str, paths[1:])] if paths[1:] else []
    subprocess.run([ROOT / "scripts/make_checkpoint", "--path", paths[0], *following, "--seed", str(seed),
                    "--megabytes", str(size / 1e6)], check=True, stdout=subprocess.DEVNULL)
    return paths


def replace_tensor(source: Path, target: Path, number: int) -> int:
    """Copies a checkpoint with one tensor made of random bytes; returns that tensor's size."""
    target.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["cp", source, target], check=True)
    with target.open("r+b") as file:
        length = struct.unpack("<Q", file.read(8))[0]
        header = json.loads(file.read(length))
        header.pop("__metadata__", None)
        begin, end = list(header.values())[number]["data_offsets"]
        file.seek(8 + length + begin)
        file.write(os.urandom(end - begin))
    return end - begin


def settle(*paths: Path) -> None:
    """On the disk, and no longer in memory: what is measured next begins cold."""
    os.sync()
    for path in paths:
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
