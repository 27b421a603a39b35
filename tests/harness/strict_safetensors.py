"""A strict reader of .safetensors files, independent of grove's: every rule of the format.

Read from the format's reference implementation (safetensors/src/tensor.rs). Where it only writes
strictly (the header begins with "{" and is padded with spaces), so does `written_strictly`.
"""
import json
from dataclasses import dataclass
from pathlib import Path

HEADER_BYTES_MAX = 100_000_000
BITS = {
    "BOOL": 8, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8,
    "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16,
    "I32": 32, "U32": 32, "F32": 32, "C64": 64, "F64": 64, "I64": 64, "U64": 64,
}
LIMIT = 2 ** 64


class Broken(Exception):
    """The file breaks a rule."""


@dataclass
class Tensor:
    name: str
    dtype: str
    shape: list[int]
    data: bytes


@dataclass
class Content:
    tensors: dict[str, Tensor]
    metadata: dict[str, str] | None


def _check(condition: bool, rule: str) -> None:
    if not condition:
        raise Broken(rule)


def _no_duplicates(pairs: list[tuple[str, object]]) -> dict:
    _check(len({name for name, _ in pairs}) == len(pairs), "a name stands twice")
    return dict(pairs)


def _is_size(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < LIMIT


def parse(source: bytes | Path, written_strictly: bool = True) -> Content:
    """All tensors of a valid file; raises Broken, naming the rule."""
    data = source.read_bytes() if isinstance(source, Path) else source
    _check(len(data) >= 8, "shorter than 8 bytes")
    length = int.from_bytes(data[:8], "little")
    _check(length <= HEADER_BYTES_MAX, "header over 100,000,000 bytes")
    _check(8 + length <= len(data), "shorter than its header says")
    raw = data[8:8 + length]
    if written_strictly:
        _check(raw[:1] == b"{", 'the header does not begin with "{"')
        _check(raw.rstrip(b" ").endswith(b"}"), "the header is padded with something but spaces")
    try:
        header = json.loads(raw.decode("utf-8"), object_pairs_hook=_no_duplicates,
                            parse_constant=lambda name: _check(False, f"{name} is not JSON"))
    except UnicodeDecodeError as error:
        raise Broken("the header is not UTF-8") from error
    except (ValueError, RecursionError) as error:
        raise Broken("the header is not JSON") from error
    _check(isinstance(header, dict), "the header is not an object")
    metadata = header.pop("__metadata__", None)
    if metadata is not None:
        _check(isinstance(metadata, dict) and all(isinstance(v, str) for v in metadata.values()),
               "__metadata__ holds something but strings")
    body = data[8 + length:]
    tensors = {name: _tensor(name, value, body) for name, value in header.items()}
    end = 0
    for begin, after in sorted(tuple(header[name]["data_offsets"]) for name in tensors):
        _check(begin == end, f"a gap or an overlap at {end}")
        end = after
    _check(end == len(body), "longer or shorter than its tensors")
    return Content(tensors, metadata)


def _tensor(name: str, value: object, body: bytes) -> Tensor:
    _check(isinstance(value, dict) and {"dtype", "shape", "data_offsets"} <= value.keys(),
           f"{name} lacks a field")
    dtype, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    _check(isinstance(dtype, str) and dtype in BITS, f"{name} has an unknown dtype")
    _check(isinstance(shape, list) and all(map(_is_size, shape)), f"{name} has a bad shape")
    _check(isinstance(offsets, list) and len(offsets) == 2 and all(map(_is_size, offsets)),
           f"{name} has bad offsets")
    begin, end = offsets
    _check(begin <= end, f"{name} ends before it begins")
    elements = 1
    for size in shape:
        elements *= size
        _check(elements < LIMIT, f"{name}'s shape overflows")
    bits = elements * BITS[dtype]
    _check(bits < LIMIT, f"{name}'s size overflows")
    _check(bits % 8 == 0, f"{name} is no whole number of bytes")
    _check(end - begin == bits // 8, f"{name}'s offsets do not fit its shape")
    return Tensor(name, dtype, shape, body[begin:end])


def assert_shards_are_the_checkpoint(shards: list[bytes | Path], whole: bytes | Path) -> None:
    """Each shard is a valid file of its own; together they hold each tensor of `whole` once."""
    original = parse(whole, written_strictly=False)
    found: dict[str, Tensor] = {}
    for shard in shards:
        content = parse(shard)
        assert content.metadata == original.metadata, "a shard lost the metadata"
        assert not found.keys() & content.tensors.keys(), "a tensor is in two shards"
        found |= content.tensors
    assert found == original.tensors, "the shards do not hold what the checkpoint does"
