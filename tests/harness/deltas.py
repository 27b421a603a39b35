"""Chunks and deltas made by hand, as docs/formats.md describes them: not by the program's own encoder."""
import ctypes
import hashlib
import struct

import numpy as np

from harness.checkpoints import random_bytes

_XXH3 = ctypes.CDLL("libxxhash.so.0").XXH3_64bits
_XXH3.restype, _XXH3.argtypes = ctypes.c_uint64, [ctypes.c_char_p, ctypes.c_size_t]

RAW, ZSTD = 0, 1
FRAME_BLOCK_BYTES = 128 * 1024


def sealed(magic: bytes, codec: int, raw_bytes: int, detail: int, payload: bytes) -> bytes:
    head = magic + struct.pack("<HHIII", 1, codec, raw_bytes, len(payload), detail)
    return head + struct.pack("<Q", _XXH3(head + payload, len(head + payload))) + payload


def raw_chunk(raw: bytes) -> bytes:
    return sealed(b"grvchunk", RAW, len(raw), 0, raw)


def frame_of_one_byte(byte: int, count: int) -> bytes:
    """A zstd frame of equal bytes, in RLE blocks (RFC 8878)."""
    frame = bytes.fromhex("28b52ffd a0") + struct.pack("<I", count)
    while count:
        size = min(count, FRAME_BLOCK_BYTES)
        count -= size
        frame += (size << 3 | 1 << 1 | (count == 0)).to_bytes(3, "little") + bytes([byte])
    return frame


class Step:
    """Two steps of a run of 16-bit values: of each value some low bits change, the rest never does."""

    def __init__(self, size: int, seed: int):
        self.size = size
        self.base = random_bytes(size, seed)
        rng = np.random.default_rng(seed + 1000)
        # In 0..127, so that folded (twice as much) it still fits into the lower plane.
        self.moves = rng.integers(0, 128, size // 2, dtype=np.uint16)
        values = np.frombuffer(self.base, dtype="<u2") + self.moves
        self.raw = values.astype("<u2").tobytes()

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.raw).hexdigest()

    @property
    def base_digest(self) -> str:
        return hashlib.sha256(self.base).hexdigest()

    def delta(self, store_as: int = RAW) -> bytes:
        """The lower plane as it is, the upper one, all zero, as a frame."""
        count = self.size // 2
        upper = frame_of_one_byte(0, count)
        lower = (self.moves * 2).astype(np.uint8).tobytes()
        payload = struct.pack("<II", count, len(upper)) + lower + upper
        return sealed(b"grvdelta", store_as, self.size, 2, payload)
