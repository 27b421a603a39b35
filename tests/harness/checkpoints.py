"""Checkpoints to test with: good ones, odd ones, and one broken in each way there is."""
import json
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np

from harness.strict_safetensors import BITS


@dataclass
class Entry:
    """A tensor to write: its bytes are random."""
    name: str
    shape: list[int]
    dtype: str = "BF16"

    @property
    def size(self) -> int:
        return prod(self.shape) * BITS[self.dtype] // 8


def random_bytes(size: int, seed: int = 1) -> bytes:
    return np.random.default_rng(seed).bytes(size)


def header_of(entries: list[Entry], metadata: dict[str, str] | None = None) -> dict:
    """The header's JSON, tensors one behind the other in this order."""
    header: dict[str, object] = {} if metadata is None else {"__metadata__": metadata}
    offset = 0
    for entry in entries:
        header[entry.name] = {"dtype": entry.dtype, "shape": entry.shape,
                              "data_offsets": [offset, offset + entry.size]}
        offset += entry.size
    return header


def assemble(header: dict | bytes, data: bytes, align: int = 8) -> bytes:
    raw = header if isinstance(header, bytes) else json.dumps(
        header, separators=(",", ":"), ensure_ascii=False).encode()
    raw += b" " * (-len(raw) % align)
    return len(raw).to_bytes(8, "little") + raw + data


def safetensors(entries: list[Entry], metadata: dict[str, str] | None = None, seed: int = 1) -> bytes:
    return assemble(header_of(entries, metadata),
                    random_bytes(sum(entry.size for entry in entries), seed))


def model(megabytes: float, tensors: int = 24, seed: int = 1) -> bytes:
    """A plain checkpoint: `tensors` matrices of about the same size."""
    rows = max(1, int(megabytes * 1e6) // tensors // 512)
    return safetensors([Entry(f"layer.{i}.weight", [rows, 256]) for i in range(tensors)],
                       {"format": "pt"}, seed)


def write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def odd_files() -> Iterator[tuple[str, bytes]]:
    """Valid files that a careless reader gets wrong, each with a name."""
    yield "all_dtypes", safetensors([Entry(f"t_{dtype}", [4, 6], dtype) for dtype in BITS])
    yield "no_tensors", assemble({}, b"")
    yield "no_tensors_but_metadata", assemble({"__metadata__": {"a": "b"}}, b"")
    yield "metadata", safetensors([Entry("a", [100])], {"format": "pt", "ünï": "códe ✓", "": ""})
    yield "scalar", safetensors([Entry("scalar", [], "F32")])
    yield "unaligned", assemble(
        header_of([Entry("a", [3], "U8"), Entry("b", [5], "F64"), Entry("c", [1], "U8")]),
        random_bytes(44), align=1)
    yield "header_length_not_a_multiple_of_8", assemble(
        json.dumps(header_of([Entry("odd", [7], "F32")])).encode() + b" ", random_bytes(28), align=1)
    yield "white_space_around_the_header", assemble(
        b"  \n\t" + json.dumps(header_of([Entry("a", [8], "U8")])).encode() + b"\r\n ",
        random_bytes(8))
    yield "one_tensor", safetensors([Entry("only", [1000, 10])])
    yield "fewer_tensors_than_shards", safetensors([Entry("a", [999]), Entry("b", [1001])])
    yield "one_huge_tensor", safetensors(
        [Entry("a", [10]), Entry("huge", [9_000_000]), Entry("z", [10])])
    yield "many_small_tensors", safetensors([Entry(f"t{i}", [i % 7, 3]) for i in range(5000)])
    yield "zero_size_tensors", safetensors(
        [Entry("first_empty", [0, 4]), Entry("a", [4000]), Entry("middle_empty", [7, 0]),
         Entry("b", [4000]), Entry("c", [4000]), Entry("last_empty", [0])])
    yield "only_zero_size_tensors", safetensors([Entry("x", [0]), Entry("y", [3, 0])])
    header = header_of([Entry(f"t{i}", [1000 + i]) for i in range(9)])
    size = sum(2 * (1000 + i) for i in range(9))
    yield "not_in_offset_order", assemble(dict(reversed(header.items())), random_bytes(size))
    entry = {"dtype": "U8", "shape": [3], "data_offsets": [0, 3], "note": {"deep": [1, None]}}
    yield "unknown_fields_inside_a_tensor", assemble({"a": entry}, b"abc")
    yield "names_with_escapes", assemble(
        b'{"a\\u0041\\n\\"\\\\\\ud83d\\ude00":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},'
        b'"\xc3\xa9":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}}', b"xyz")
    yield "nan_and_infinity", assemble(
        header_of([Entry("f", [4], "F32")]),
        np.array([np.nan, np.inf, -np.inf, -0.0], "<f4").tobytes())


def broken_files() -> Iterator[tuple[str, bytes]]:
    """One file for each way to break a rule, each with a name."""
    good = header_of([Entry("a", [4], "U8"), Entry("b", [4], "U8")])
    data = b"12345678"

    def changed(name: str, **fields: object) -> dict:
        return good | {name: good[name] | fields}

    yield "empty", b""
    yield "shorter_than_8_bytes", b"\x10\0\0"
    yield "shorter_than_its_header_says", (1000).to_bytes(8, "little") + b'{"a":1}'
    yield "header_length_overflows", (2 ** 64 - 1).to_bytes(8, "little") + b"{}"
    yield "truncated_data", assemble(good, data[:-1])
    yield "trailing_data", assemble(good, data + b"9")
    yield "trailing_data_after_no_tensors", assemble({}, b"x")
    yield "not_utf8", assemble(b'{"a\xff":{"dtype":"U8","shape":[8],"data_offsets":[0,8]}}', data)
    yield "not_json", assemble(b"{not json}", data)
    yield "json_cut_off", assemble(b'{"a":{"dtype":"U8","shape":[8],"data_offsets":[0,8]}', data)
    yield "junk_after_the_json", assemble(json.dumps(good).encode() + b"{}", data)
    yield "not_an_object", assemble(b"[1,2]", b"")
    yield "empty_header", (0).to_bytes(8, "little")
    yield "deeply_nested", assemble(
        b'{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0],"x":' + b"[" * 5000 + b"]" * 5000 + b"}}",
        b"")
    yield "duplicate_tensor", assemble(
        b'{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},'
        b'"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}', b"")
    yield "duplicate_tensor_by_escape", assemble(
        b'{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},'
        b'"\\u0061":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}', b"")
    yield "duplicate_field", assemble(
        b'{"a":{"dtype":"U8","dtype":"U8","shape":[8],"data_offsets":[0,8]}}', data)
    yield "overlap", assemble(changed("b", data_offsets=[3, 7]), data[:7])
    yield "gap", assemble(changed("b", data_offsets=[5, 9]), data + b"9")
    yield "first_does_not_begin_at_0", assemble(
        {"a": {"dtype": "U8", "shape": [4], "data_offsets": [4, 8]}}, data)
    yield "end_before_begin", assemble(changed("b", data_offsets=[4, 0]), data)
    yield "shape_overflows", assemble(changed("b", shape=[2 ** 40, 2 ** 40]), data)
    yield "bits_overflow", assemble(changed("b", dtype="F64", shape=[2 ** 61]), data)
    yield "offsets_do_not_fit_the_shape", assemble(changed("b", shape=[5]), data)
    yield "no_whole_number_of_bytes", assemble(changed("b", dtype="F4", shape=[7]), data)
    yield "unknown_dtype", assemble(changed("b", dtype="F128"), data)
    yield "dtype_in_lower_case", assemble(changed("b", dtype="u8"), data)
    yield "negative_size", assemble(changed("b", shape=[-4]), data)
    yield "fractional_size", assemble(changed("b", shape=[4.0]), data)
    yield "offset_over_64_bits", assemble(changed("b", data_offsets=[4, 2 ** 64]), data)
    yield "three_offsets", assemble(changed("b", data_offsets=[4, 6, 8]), data)
    yield "shape_is_no_list", assemble(changed("b", shape=4), data)
    yield "no_dtype", assemble(good | {"b": {"shape": [4], "data_offsets": [4, 8]}}, data)
    yield "no_shape", assemble(good | {"b": {"dtype": "U8", "data_offsets": [4, 8]}}, data)
    yield "no_offsets", assemble(good | {"b": {"dtype": "U8", "shape": [4]}}, data)
    yield "tensor_is_no_object", assemble(good | {"b": 4}, data)
    yield "metadata_is_no_object", assemble(good | {"__metadata__": "x"}, data)
    yield "metadata_value_is_no_string", assemble(good | {"__metadata__": {"step": 4}}, data)
    yield "nan_in_the_header", assemble(changed("b", shape=[float("nan")]), data)
