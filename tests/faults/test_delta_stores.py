"""The next step of a run travels as what changed; and whole, without an error, wherever it cannot."""
import os
import re
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from harness.checkpoints import Entry, assemble, header_of, write
from harness.cluster import Cluster
from harness.lines import is_done

DATA = Path(__file__).resolve().parents[1] / "data"
ENTRIES = [Entry(f"layer.{i}.weight", [1024, 384]) for i in range(8)]  # 768 KiB each, BF16


def series(seed: int = 1) -> Iterator[bytes]:
    """Steps of one run: F32 masters moved as by an optimizer, rounded to BF16."""
    random = np.random.default_rng(seed)
    masters = [(random.standard_normal(entry.shape) * 0.02).astype(np.float32) for entry in ENTRIES]
    while True:
        rounded = [((master.view(np.uint32) + 0x8000) >> 16).astype(np.uint16).tobytes() for master in masters]
        yield assemble(header_of(ENTRIES), b"".join(rounded))
        for master in masters:
            master += random.standard_normal(master.shape).astype(np.float32) * np.float32(1e-4)


def path_of(cluster: Cluster, step: int) -> Path:
    return cluster.ckpt_root / f"run1/step_{step}/model.safetensors"


def forget_requests(cluster: Cluster) -> None:
    for proxy in cluster.proxies.values():
        proxy.clear_requests()


def store(cluster: Cluster, path: Path) -> list[str]:
    forget_requests(cluster)
    lines = cluster.store(path)
    assert is_done(lines), "\n".join(lines)
    return lines


def puts(cluster: Cluster, status: int = 204) -> tuple[int, int]:
    """How many chunks came as deltas, and how many whole."""
    requests = [request for proxy in cluster.proxies.values()
                for request in proxy.matching(r"^PUT /chunks/") if request.status == status]
    deltas = sum("base=" in request.target for request in requests)
    return deltas, len(requests) - deltas


def gathered(cluster: Cluster, path: Path) -> bytes:
    output = cluster.folder / "back.safetensors"
    lines = cluster.gather(path, output=str(output))
    assert is_done(lines), "\n".join(lines)
    content = output.read_bytes()
    output.unlink()
    return content


@pytest.fixture
def proxied(make_cluster) -> Cluster:
    return make_cluster(proxied=True, delta="on")


@pytest.mark.smoke
def test_the_next_step_of_a_trained_series_is_a_quarter(proxied: Cluster) -> None:
    first, second = ((DATA / f"pre-{step}.w16.safetensors").read_bytes() for step in (290, 300))
    store(proxied, write(path_of(proxied, 290), first))
    path = write(path_of(proxied, 300), second)
    lines = store(proxied, path)
    assert proxied.bytes_put() <= 0.24 * len(second)
    saved = re.fullmatch(r"  sent 0\.5 MB for 2\.0 MB: .*deltas saved 1\.\d MB", lines[-2])
    assert saved, lines[-2]
    # The second copies travelled as deltas as well, from worker to worker.
    pulled = sum(request.answer_bytes for proxy in proxied.proxies.values()
                 for request in proxy.matching(r"^GET /chunks/"))
    assert pulled <= 0.26 * len(second)
    assert gathered(proxied, path) == second


def test_twenty_steps_in_a_row_come_back(proxied: Cluster) -> None:
    steps = series()
    for step in range(20):
        content = next(steps)
        path = write(path_of(proxied, step), content)
        store(proxied, path)
        if step > 0:
            assert proxied.bytes_put() <= 0.3 * len(content), f"step {step}"
        assert gathered(proxied, path) == content, f"step {step}"
        if step > 2:
            path_of(proxied, step - 2).unlink()


def test_deltas_leave_the_same_names_and_bytes_as_whole_chunks(make_cluster) -> None:
    steps = series()
    first, second = next(steps), next(steps)
    kept = []
    for delta in ("on", "off"):
        cluster = make_cluster(proxied=True, delta=delta, compression="on")
        for step, content in enumerate((first, second)):
            store(cluster, write(path_of(cluster, step), content))
        assert (puts(cluster)[0] > 0) == (delta == "on")
        kept.append({(rank, name): sha256(file.read_bytes()).hexdigest()
                     for rank in cluster.ranks for name, file in cluster.chunk_files(rank).items()})
    assert kept[0] == kept[1]


@pytest.mark.parametrize("how", ["overwritten", "overwritten_unseen", "truncated", "swapped", "gone"])
def test_an_earlier_file_that_is_no_longer_what_it_was_costs_no_byte(proxied: Cluster, how: str) -> None:
    steps = series()
    first, second = next(steps), next(steps)
    earlier = write(path_of(proxied, 1), first)
    store(proxied, earlier)
    status = earlier.stat()
    if how == "overwritten":
        earlier.write_bytes(next(series(seed=2)))
    elif how == "overwritten_unseen":  # same size, same mtime: deltas are made, and refused
        noise = np.random.default_rng(3).integers(0, 4, len(first) - 2000, dtype=np.uint8)
        changed = np.frombuffer(first, dtype=np.uint8).copy()
        changed[2000:] ^= noise
        earlier.write_bytes(changed.tobytes())
        os.utime(earlier, ns=(status.st_atime_ns, status.st_mtime_ns))
    elif how == "truncated":
        earlier.write_bytes(first[:len(first) // 2])
    elif how == "swapped":
        other = write(earlier.with_name("other"), next(series(seed=2)))
        other.rename(earlier)
    else:
        earlier.unlink()
    path = write(path_of(proxied, 2), second)
    store(proxied, path)
    deltas, whole = puts(proxied)
    assert deltas == 0 and whole >= 8
    refused, _ = puts(proxied, status=409)
    if how == "overwritten_unseen":  # sixteen in a row end them, beside what is on its way to four copies
        assert 0 < refused <= 16 + 4 * 2
    else:
        assert refused == 0
    assert gathered(proxied, path) == second


@pytest.mark.parametrize("what", ["lost", "damaged"])
def test_a_worker_without_a_sound_base_gets_the_chunk_whole(proxied: Cluster, what: str) -> None:
    steps = series()
    first, second = next(steps), next(steps)
    store(proxied, write(path_of(proxied, 1), first))
    for file in proxied.chunk_files(1).values():
        if what == "lost":
            file.unlink()
        else:
            content = bytearray(file.read_bytes())
            content[len(content) // 2] ^= 1
            file.write_bytes(content)
    path = write(path_of(proxied, 2), second)
    store(proxied, path)
    deltas, whole = puts(proxied)
    assert deltas > 0, "the others hold theirs"
    assert whole > 0
    assert gathered(proxied, path) == second


@pytest.mark.parametrize("victim", ["coordinator", "worker"])
def test_a_kill_in_the_middle_of_deltas_loses_nothing(proxied: Cluster, victim: str) -> None:
    steps = series()
    first, second = next(steps), next(steps)
    store(proxied, write(path_of(proxied, 1), first))
    path = write(path_of(proxied, 2), second)
    forget_requests(proxied)
    rule = proxied.proxies[2].hold(r"^PUT /chunks/.*base=", skip=1)
    with proxied.stream("store-shard", path) as lines:
        rule.wait_reached()
        if victim == "coordinator":
            proxied.coordinator.kill()
            rule.release()
        else:
            proxied.workers[2].kill()
            rule.drop()
            proxied.start_worker(2)
            assert is_done(list(lines))
            # What it had been sent and lost came as deltas once more.
            assert proxied.bytes_put() <= 0.5 * len(second)
    if victim == "coordinator":
        proxied.start_coordinator()
        store(proxied, path)
    assert gathered(proxied, path) == second


def test_deltas_are_left_where_they_are_switched_off(make_cluster) -> None:
    cluster = make_cluster(proxied=True, delta="off")
    steps = series()
    for step in range(2):
        store(cluster, write(path_of(cluster, step), next(steps)))
    assert puts(cluster)[0] == 0
