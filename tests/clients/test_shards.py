"""A shard is a file of its own: whole, in ranges, and of an older generation."""
import httpx
import pytest

from harness.checkpoints import model, write
from harness.cluster import Cluster, encoded
from harness.http import http
from harness.lines import is_done
from harness.strict_safetensors import parse


@pytest.fixture
def shard(shared_cluster: Cluster):
    path = shared_cluster.ckpt_root / "shards/step_1/model.safetensors"
    if not path.exists():
        write(path, model(4))
        assert is_done(shared_cluster.store(path))
    url = f"{shared_cluster.worker_url(1)}/shards/{encoded(shared_cluster.identity(path))}/0"
    with httpx.Client(trust_env=False, timeout=20) as client:
        yield lambda **headers: client.get(url, headers=headers)


@pytest.mark.smoke
def test_a_whole_shard(shard) -> None:
    answer = shard()
    assert answer.status_code == 200
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert len(parse(answer.content).tensors) == 6


@pytest.mark.parametrize(("wanted", "begin", "end"), [
    ("bytes=0-0", 0, 1), ("bytes=0-7", 0, 8), ("bytes=5-100", 5, 101), ("bytes=100-", 100, None),
    ("bytes=-10", -10, None), ("bytes=0-99999999999", 0, None)])
def test_ranges(shard, wanted: str, begin: int, end: int | None) -> None:
    whole = shard().content
    answer = shard(Range=wanted)
    assert answer.status_code == 206 and answer.content == whole[begin:end]
    first = begin % len(whole)
    assert answer.headers["content-range"] == (
        f"bytes {first}-{first + len(answer.content) - 1}/{len(whole)}")


def test_a_range_beyond_the_end(shard) -> None:
    answer = shard(Range="bytes=99999999999-")
    assert answer.status_code == 416
    assert answer.headers["content-range"] == f"bytes */{len(shard().content)}"


@pytest.mark.parametrize("odd", ["bytes=", "bytes=a-b", "bytes=5-2", "lines=1-2", "bytes=0-1,4-5"])
def test_ranges_that_are_not_served_give_the_whole(shard, odd: str) -> None:
    answer = shard(Range=odd)
    assert answer.status_code in (200, 400, 416)
    if answer.status_code == 200:
        assert answer.content == shard().content


def test_shards_that_are_not_there(shared_cluster: Cluster, shard) -> None:
    identity = encoded("shards/step_1/model.safetensors")
    for target in (f"{identity}/4", f"{identity}/2", f"{encoded('no/such')}/0",
                   f"{identity}/0?generation=1"):
        answer = http.get(f"{shared_cluster.worker_url(1)}/shards/{target}")
        assert answer.status_code == 404, (target, answer.text)
