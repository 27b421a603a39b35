"""Lines come as they happen, to curl and to httpx; and a job outlives its client."""
import subprocess
import time

import pytest

from harness.checkpoints import model, random_bytes, write
from harness.cluster import Cluster
from harness.http import http
from harness.lines import is_done, only
from harness.waiting import wait_until


@pytest.fixture
def held(make_cluster):
    """A cluster of which one worker's last copy waits until the test lets it go."""
    cluster = make_cluster(proxied=True)
    path = write(cluster.ckpt_root / "run1/step_1/model.safetensors", model(8))
    return cluster, path, cluster.proxies[4].hold(r"^PUT /refs/")


@pytest.mark.smoke
def test_curl_reads_the_first_lines_long_before_the_last(held) -> None:
    cluster, path, rule = held
    with subprocess.Popen(
            ["curl", "--silent", "--no-buffer", "--request", "POST",
             f"{cluster.url}/store-shard?ckpt_path={path}"], stdout=subprocess.PIPE,
            text=True) as curl:
        assert curl.stdout.readline().startswith("Loaded 24 tensors")
        assert curl.stdout.readline().startswith("  ✓ rank ")
        # Nothing ended yet: the last copy is held back.
        rule.wait_reached()
        assert curl.poll() is None
        rule.release()
        assert curl.stdout.read().splitlines()[-1].startswith("Done: 8/8")
        assert curl.wait(10) == 0


def test_httpx_reads_the_first_lines_long_before_the_last(held) -> None:
    cluster, path, rule = held
    with cluster.stream("store-shard", path) as lines:
        assert next(lines).startswith("Loaded 24 tensors")
        assert next(lines).startswith("  ✓ rank ")
        rule.wait_reached()
        assert cluster.get("/jobs")["jobs"][0]["state"] == "running"
        rule.release()
        assert list(lines)[-1].startswith("Done: 8/8")


def test_the_answer_is_plain_text_in_utf8(shared_cluster: Cluster) -> None:
    path = write(shared_cluster.ckpt_root / "text/step_1/model.safetensors", model(1))
    answer = http.post(f"{shared_cluster.url}/store-shard", params={"ckpt_path": str(path)}, timeout=60)
    assert answer.status_code == 200
    assert answer.headers["content-type"].replace(" ", "").lower() in (
        "text/plain;charset=utf-8", "text/plain")
    assert answer.content.decode("utf-8").endswith("→ text/step_1\n")


def test_a_job_outlives_its_client(held) -> None:
    cluster, path, rule = held
    with cluster.stream("store-shard", path) as lines:
        next(lines)
    rule.wait_reached()
    rule.release()

    def finished() -> dict | None:
        job = cluster.get("/jobs")["jobs"][0]
        return job if job["state"] != "running" else None

    job = wait_until(finished, "the job ends without its client")
    assert job["state"] == "done" and job["kind"] == "store"
    assert job["identity"] == "run1/step_1/model.safetensors"
    assert is_done(cluster.gather(path))


def test_a_second_request_joins_and_reads_the_lines_from_the_first(held) -> None:
    cluster, path, rule = held
    with cluster.stream("store-shard", path) as first, cluster.stream("store-shard", path) as second:
        begin = [next(first), next(first)]
        assert [next(second), next(second)] == begin
        rule.wait_reached()
        rule.release()
        rest = list(first)
        assert list(second) == rest and is_done(rest)
    assert [job["kind"] for job in cluster.get("/jobs")["jobs"]] == ["store"]
    # Joined, not done twice: one set of generations.
    assert len({generation for _, generation, _ in cluster.refs(path)}) == 1


def test_two_checkpoints_are_stored_at_the_same_time(held) -> None:
    cluster, path, rule = held
    other = write(cluster.ckpt_root / "run2/step_1/model.safetensors", model(8, seed=2))
    with cluster.stream("store-shard", path) as lines:
        next(lines)
        rule.wait_reached()
        assert is_done(cluster.store(other))  # the whole of it, while the first one is held
        rule.release()
        assert is_done(list(lines))
    for each in (path, other):
        merged = each.with_name("merged.safetensors")
        assert is_done(cluster.gather(each)) and merged.read_bytes() == each.read_bytes()


def test_gathers_join_too(make_cluster) -> None:
    cluster = make_cluster(proxied=True)
    path = write(cluster.ckpt_root / "run1/step_1/model.safetensors", model(8))
    assert is_done(cluster.store(path))
    rule = cluster.proxies[1].hold(r"^GET /chunks/")
    with cluster.stream("gather-shards", path) as first:
        rule.wait_reached()
        with cluster.stream("gather-shards", path) as second:
            wait_until(lambda: cluster.get("/jobs")["jobs"], "the jobs are listed")
            rule.release()
            assert list(second) == (lines := list(first)) and is_done(lines)
    assert [job["kind"] for job in cluster.get("/jobs")["jobs"]].count("gather") == 1


@pytest.mark.smoke
def test_what_the_api_lists(shared_cluster: Cluster) -> None:
    path = write(shared_cluster.ckpt_root / "listed/step_1/model.safetensors", model(2))
    assert is_done(shared_cluster.store(path))
    workers = shared_cluster.get("/workers")["workers"]
    assert [worker["rank"] for worker in workers] == [1, 2, 3, 4]
    for worker in workers:
        assert worker["alive"] is True and worker["host"] == f"pi-{worker['rank']}"
        assert worker["ip"] == "127.0.0.1"
        assert worker["port"] == shared_cluster.ports[worker["rank"]]
        assert 0 < worker["free_bytes"] <= worker["total_bytes"] and worker["copies"] >= 2
    listed = {each["identity"]: each for each in shared_cluster.get("/checkpoints")["checkpoints"]}
    checkpoint = listed["listed/step_1/model.safetensors"]
    assert checkpoint["key"] == "listed/step_1"
    [generation] = checkpoint["generations"]
    assert generation["state"] == "complete" and generation["bytes"] == path.stat().st_size
    assert generation["copies_live"] == generation["copies_wanted"] == 8
    job = next(job for job in shared_cluster.get("/jobs")["jobs"]
               if job["identity"] == "listed/step_1/model.safetensors")
    assert job["state"] == "done" and job["bytes_done"] >= job["bytes_total"] > 0
    answer = http.get(f"{shared_cluster.url}/jobs/{job['id']}")
    assert answer.status_code == 200 and "Done: 8/8" in answer.text
    only([line for line in answer.text.splitlines()], "stored")


def test_a_dead_worker_is_listed_as_one(make_cluster) -> None:
    cluster = make_cluster()
    path = write(cluster.ckpt_root / "run1/step_1/model.safetensors", model(2))
    assert is_done(cluster.store(path))
    cluster.workers[2].kill()
    dead = cluster.get("/workers")["workers"][1]
    assert dead["rank"] == 2 and dead["alive"] is False and dead["detail"]
    [generation] = cluster.get("/checkpoints")["checkpoints"][0]["generations"]
    assert generation["copies_live"] == 6 and generation["copies_wanted"] == 8


def test_a_job_keeps_to_its_bandwidth_limit(make_cluster) -> None:
    cluster = make_cluster(bandwidth_limit=2, compression="off", delta="off")
    path = write(cluster.ckpt_root / "run1/step_1/model.bin", random_bytes(4_000_000))
    began = time.monotonic()
    assert is_done(cluster.store(path))
    assert time.monotonic() - began >= 2
    began = time.monotonic()
    assert is_done(cluster.gather(path, output=cluster.folder / "back"))
    assert time.monotonic() - began >= 1.5  # whoever moves the last chunk has paid for the others
