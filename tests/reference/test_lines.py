"""The lines of store and gather in the reference's words, and its errors, in the page's order."""
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness.checkpoints import model, random_bytes, write
from harness.cluster import CALL_SECONDS, Cluster
from harness.reference_page import CHECKED_STORE, placed
from harness.lines import (assert_one_error, assert_our_own_lines_are_indented, is_done, matches,
                           only)


@pytest.mark.smoke
def test_a_store_says_what_it_does(shared_cluster: Cluster) -> None:
    """/store-shard: the ring, and "Streaming response"."""
    path = write(shared_cluster.ckpt_root / "lines/step_1/model.safetensors", model(20, tensors=40))
    lines = shared_cluster.store(path)
    loaded = only(lines[:1], "loaded")
    assert loaded["tensors"] == "40" and loaded["key"] == "lines/step_1" and loaded["shards"] == "4"
    assert loaded["megabytes"] == f"{path.stat().st_size / 2 ** 20:.1f}"
    # Shard i is on workers[i % W] and on the next one of the ring.
    sent = sorted((int(m["round"]), int(m["rank"]), m["host"]) for m in matches(lines, "sent"))
    assert sent == [(r, rank, f"pi-{rank}") for r in (0, 1) for rank in (1, 2, 3, 4)]
    done = only(lines[-1:], "stored")
    assert (done["sent"], done["wanted"], done["copies"], done["key"]) == ("8", "8", "2", "lines/step_1")
    assert_our_own_lines_are_indented(lines)


@pytest.mark.smoke
def test_a_gather_says_what_it_does(make_cluster) -> None:
    """/gather-shards: shards saved and verified, merged beside the checkpoint; "Streaming response"."""
    cluster = make_cluster(start=False)
    shards_root = cluster.folder / "exported"
    cluster.write_config(keep_shards=True, shards_root=str(shards_root))
    cluster.start()
    path = write(cluster.ckpt_root / "run1/step_100/model.safetensors", model(20))
    assert is_done(cluster.store(path))
    lines = cluster.gather(path)
    saved = {int(m["shard"]): m["path"] for m in matches(lines, "saved")}
    assert saved == {i: f"{shards_root}/worker_{i + 1}/run1/step_100/shard.safetensors"
                     for i in range(4)}
    merged = path.with_name("merged.safetensors")
    assert lines[-2:] == [f"Merging 4 shards → {merged}", f"Done: saved → {merged}"]
    assert merged.read_bytes() == path.read_bytes()
    assert_our_own_lines_are_indented(lines)


def test_a_killed_primary_is_replaced_in_the_reference_s_words(make_cluster) -> None:
    """/gather-shards: a primary that is down is replaced by its replica, and the line that says so."""
    cluster = make_cluster(start=False)
    cluster.write_config(keep_shards=True)  # shards_root by default is beside ckpt_root
    cluster.start()
    path = write(cluster.ckpt_root / "run1/step_100/model.safetensors", model(20))
    assert is_done(cluster.store(path))
    cluster.workers[2].kill()
    lines = cluster.gather(path)
    replica = only(lines, "replica")
    assert (replica["rank"], replica["shard"], replica["primary"]) == ("3", "1", "2")
    saved = {m["shard"]: m["path"] for m in matches(lines, "saved")}
    # Worker 3 serves two shards: the lowest index is shard.safetensors.
    folder = cluster.folder / "shards/worker_3/run1/step_100"
    assert saved["1"] == str(folder / "shard.safetensors")
    assert saved["2"] == str(folder / "shard-2.safetensors")
    assert is_done(lines)
    assert path.with_name("merged.safetensors").read_bytes() == path.read_bytes()


def test_an_opaque_file_is_loaded_as_one_file(shared_cluster: Cluster) -> None:
    """/store-shard: a file that is no .safetensors file (the watcher's --ext)."""
    path = write(shared_cluster.ckpt_root / "opaque/step_1/optimizer.pt", random_bytes(3_000_000))
    lines = shared_cluster.store(path)
    assert lines[0] == "Loaded 1 file (2.9 MB) from opaque/step_1 — chunking into 4 shards"
    assert is_done(lines)


def run_checked_store(cluster: Cluster, path: Path) -> str:
    text = placed(CHECKED_STORE, cluster, path) + f"\nprint(store({str(path)!r}))"
    return subprocess.run(["/usr/bin/python3", "-c", text], env={"PATH": "/usr/bin:/bin"}, text=True,
                          capture_output=True, timeout=CALL_SECONDS, check=False).stderr


def test_a_dead_worker_is_retried_and_given_up_in_the_reference_s_words(make_cluster) -> None:
    """/store-shard and "Errors": one try and six retries, after 1, 2, 4, 8, 16 and 32 s; the other
    shards go on meanwhile. "Check for errors programmatically": the sample says so."""
    cluster = make_cluster(stand_ins=False)
    path = write(cluster.ckpt_root / "run1/step_100/model.safetensors", model(4))
    cluster.workers[3].kill()
    with ThreadPoolExecutor() as pool:  # both follow the same job
        checked = pool.submit(run_checked_store, cluster, path)
        lines = cluster.store(path)
        assert "RuntimeError: Store failed:\nLoaded 24 tensors" in checked.result()
    retries = [(m["rank"], m["number"], m["wait"]) for m in matches(lines, "retry")]
    expected = [("3", str(n + 1), str(2 ** n)) for n in range(6)]
    assert sorted(set(retries)) == expected
    assert all(f"pi-3 (127.0.0.1:{cluster.ports[3]})" in m["cause"] for m in matches(lines, "retry"))
    gave_up = matches(lines, "gave_up")
    assert gave_up and all(m["rank"] == "3" for m in gave_up)
    assert "after 6 retries" in gave_up[0]["cause"]
    # The six copies that have nothing to do with worker 3 were sent, and before it was given up.
    sent = [(m["rank"], m["round"]) for m in matches(lines, "sent")]
    assert len(sent) == 6 and all(rank != "3" for rank, _ in sent)
    assert assert_one_error(lines).startswith("2/8 sends failed")
    first_retry_at = lines.index(matches(lines, "retry")[-1].string)
    assert all(lines.index(m.string) < first_retry_at for m in matches(lines, "sent"))


def test_errors_of_the_reference(shared_cluster: Cluster, tmp_path: Path) -> None:
    """"Errors": checkpoint not found, not under ckpt_root."""
    absent = shared_cluster.ckpt_root / "absent/model.safetensors"
    assert shared_cluster.store(absent) == [f"ERROR: checkpoint not found: {absent}"]
    outside = write(tmp_path / "outside/model.safetensors", model(0.1))
    for lines in (shared_cluster.store(outside), shared_cluster.gather(outside)):
        assert lines == [f"ERROR: {outside} is not under ckpt_root {shared_cluster.ckpt_root}"]
    message = assert_one_error(shared_cluster.gather(absent))
    assert "absent/model.safetensors" in message


def test_a_gather_without_enough_workers_skips_the_merge(make_cluster) -> None:
    """"Errors": N/M shards failed — skipping merge."""
    cluster = make_cluster()
    path = write(cluster.ckpt_root / "run1/step_100/model.safetensors", model(4))
    assert is_done(cluster.store(path))
    cluster.workers[2].kill()
    cluster.workers[3].kill()  # shard 1 is on 2 and 3
    before = cluster.snapshot()
    lines = cluster.gather(path)
    assert "1/4 shards failed — skipping merge" in assert_one_error(lines)
    assert any("shard 1" in line for line in lines[:-1]), lines
    assert cluster.snapshot() == before
