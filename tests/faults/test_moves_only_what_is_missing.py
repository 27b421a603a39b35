"""What crosses the network: each byte once from the coordinator, and nothing that is there already."""
import shutil

import pytest

from harness.checkpoints import Entry, model, random_bytes, safetensors, write
from harness.cluster import Cluster
from harness.lines import is_done


@pytest.fixture
def proxied(make_cluster) -> Cluster:
    return make_cluster(proxied=True)


def store(cluster: Cluster, path) -> None:
    for proxy in cluster.proxies.values():
        proxy.clear_requests()
    lines = cluster.store(path)
    assert is_done(lines), "\n".join(lines)


@pytest.mark.smoke
@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.pt"])
def test_the_coordinator_sends_each_byte_once(proxied: Cluster, name: str) -> None:
    content = model(100, tensors=60)
    path = write(proxied.ckpt_root / "run1/step_1" / name, content)
    store(proxied, path)
    assert proxied.bytes_put() <= 1.01 * len(content)
    # The second copies travelled from worker to worker.
    pulled = sum(request.answer_bytes for proxy in proxied.proxies.values()
                 for request in proxy.matching(r"^GET /chunks/"))
    assert 0.99 * len(content) <= pulled <= 1.02 * len(content)


def test_a_store_of_the_same_content_sends_nothing(proxied: Cluster) -> None:
    path = write(proxied.ckpt_root / "run1/step_1/model.safetensors", model(8))
    store(proxied, path)
    refs = set(proxied.refs(path))
    path.write_bytes(path.read_bytes())  # another time stamp, the same bytes
    store(proxied, path)
    assert proxied.bytes_put() == 0
    assert set(proxied.refs(path)) == refs, "the same content is the same generation"


def test_an_unchanged_tensor_is_moved_and_kept_once(proxied: Cluster) -> None:
    entries = [Entry(f"layer.{i}", [1_000_000]) for i in range(20)]
    first = safetensors(entries)
    path = write(proxied.ckpt_root / "run1/step_1/model.safetensors", first)
    store(proxied, path)
    changed = bytearray(first)
    begin = len(first) - 7 * 2_000_000
    changed[begin:begin + 2_000_000] = random_bytes(2_000_000, seed=9)
    other = write(proxied.ckpt_root / "run1/step_2/model.safetensors", bytes(changed))
    store(proxied, other)
    assert proxied.bytes_put() <= 2_200_000
    assert is_done(proxied.gather(other))
    assert other.with_name("merged.safetensors").read_bytes() == bytes(changed)


def test_a_worker_with_a_new_disk_gets_its_copies_back(proxied: Cluster) -> None:
    path = write(proxied.ckpt_root / "run1/step_1/model.safetensors", model(20))
    store(proxied, path)
    refs = set(proxied.refs(path))
    proxied.workers[3].kill()
    shutil.rmtree(proxied.data(3))
    proxied.start_worker(3)
    store(proxied, path)
    assert set(proxied.refs(path)) == refs
    for rank in (1, 2, 4):
        assert not proxied.proxies[rank].matching(r"^PUT /chunks/")
    proxied.workers[2].kill()
    assert is_done(proxied.gather(path))
    assert path.with_name("merged.safetensors").read_bytes() == path.read_bytes()

