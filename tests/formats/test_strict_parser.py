"""The tests' own parser, tested: it takes every odd file and refuses every broken one."""
import pytest

from harness.checkpoints import broken_files, odd_files
from harness.strict_safetensors import Broken, parse


@pytest.mark.parametrize("content", [pytest.param(c, id=n) for n, c in odd_files()])
def test_takes_what_is_valid(content: bytes) -> None:
    parse(content, written_strictly=False)


@pytest.mark.parametrize("content", [pytest.param(c, id=n) for n, c in broken_files()])
def test_refuses_what_is_broken(content: bytes) -> None:
    with pytest.raises(Broken):
        parse(content, written_strictly=False)
