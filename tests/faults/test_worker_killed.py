"""kill -9 of a worker at several points of a store and of a gather; a worker that hangs or is slow."""
import pytest

from harness.lines import assert_one_error, is_done, matches, only
from harness.stores import Versions
from harness.waiting import wait_until

POINTS = {
    "before_its_first_chunk": r"^PUT /chunks/",
    "before_it_pulls": r"^POST /pull",
    "before_it_syncs": r"^POST /sync",
    "before_its_shard_list": r"^PUT /shardlists/",
    "before_its_ref": r"^PUT /refs/[^?]*/\d",
    "before_its_manifest": r"^PUT /manifests/",
    "before_its_manifest_s_ref": r"^PUT /refs/[^?]*/manifest",
}


@pytest.mark.parametrize("request_line", [pytest.param(p, id=n) for n, p in POINTS.items()])
def test_a_worker_that_comes_back_during_the_waits_completes_the_store(
        make_cluster, request_line: str) -> None:
    cluster = make_cluster(proxied=True)
    versions = Versions(cluster)
    rule = cluster.proxies[2].hold(request_line)
    with cluster.stream("store-shard", versions.path) as stream:
        lines = [next(stream)]
        rule.wait_reached()
        cluster.workers[2].kill()
        rule.drop()
        for line in stream:
            lines.append(line)
            if line.startswith("  ↻ rank 2 failed") and not cluster.workers[2].is_running():
                cluster.start_worker(2)
    assert is_done(lines), "\n".join(lines)
    assert lines[-1].startswith("Done: 8/8 sends")
    assert versions.gathered() == versions.new
    cluster.workers[3].kill()
    assert versions.gathered(output=cluster.folder / "again.safetensors") == versions.new
    assert not cluster.temporary_files()


@pytest.mark.slow
def test_a_worker_that_stays_away_fails_its_own_copies_only(make_cluster) -> None:
    cluster = make_cluster(proxied=True, stand_ins=False)
    versions = Versions(cluster)
    rule = cluster.proxies[2].hold(r"^PUT /chunks/", skip=1)
    with cluster.stream("store-shard", versions.path) as stream:
        lines = [next(stream)]
        rule.wait_reached()
        cluster.workers[2].kill()
        rule.drop()
        lines += stream
    assert "2/8 sends failed" in assert_one_error(lines)
    assert {match["rank"] for match in matches(lines, "gave_up")} == {"2"}
    # What the replica could not pull from the dead primary the coordinator pushed.
    assert {(m["rank"], m["round"]) for m in matches(lines, "sent")} == {
        ("1", "0"), ("3", "0"), ("4", "0"), ("3", "1"), ("4", "1"), ("1", "1")}
    assert versions.gathered() == versions.old
    cluster.start_worker(2)
    versions.store_the_rest(killed_rank=2)


def test_a_worker_that_hangs_and_wakes_completes_the_store(make_cluster) -> None:
    cluster = make_cluster(proxied=True)
    versions = Versions(cluster)
    rule = cluster.proxies[3].hold(r"^PUT /chunks/", skip=1)
    with cluster.stream("store-shard", versions.path) as stream:
        lines = [next(stream)]
        rule.wait_reached()
        cluster.workers[3].pause()
        rule.release()
        for line in stream:
            lines.append(line)
            if line.startswith("  ↻ rank 3 failed"):
                cluster.workers[3].resume()
    assert is_done(lines) and matches(lines, "retry"), "\n".join(lines)
    assert versions.gathered() == versions.new


@pytest.mark.parametrize("skip", [0, 1, 2])
def test_a_worker_that_dies_in_a_gather_is_replaced(make_cluster, skip: int) -> None:
    cluster = make_cluster(proxied=True)
    versions = Versions(cluster)
    rule = cluster.proxies[1].hold(r"^GET /chunks/", skip=skip, times=100)
    with cluster.stream("gather-shards", versions.path) as stream:
        rule.wait_reached()
        cluster.workers[1].kill()
        rule.drop()
        lines = list(stream)
    assert is_done(lines), "\n".join(lines)
    assert ("2", "0", "1") in [(m["rank"], m["shard"], m["primary"])
                               for m in matches(lines, "replica")]
    assert versions.merged.read_bytes() == versions.old


def test_an_answer_cut_off_in_the_middle_is_replaced(make_cluster) -> None:
    cluster = make_cluster(proxied=True)
    versions = Versions(cluster)
    cluster.proxies[1].cut_answer(r"^GET /chunks/", after_bytes=100_000, times=100)
    lines = cluster.gather(versions.path)
    assert is_done(lines), "\n".join(lines)
    assert versions.merged.read_bytes() == versions.old


def test_a_worker_that_hangs_in_a_gather_is_replaced(make_cluster) -> None:
    cluster = make_cluster(proxied=True)
    versions = Versions(cluster)
    rule = cluster.proxies[4].hold(r"^GET /chunks/", times=100)
    with cluster.stream("gather-shards", versions.path) as stream:
        rule.wait_reached()
        cluster.workers[4].pause()
        rule.release()
        lines = list(stream)
    assert is_done(lines), "\n".join(lines)
    assert ("1", "3", "4") in [(m["rank"], m["shard"], m["primary"])
                               for m in matches(lines, "replica")]
    assert versions.merged.read_bytes() == versions.old


def test_the_replica_does_the_work_of_a_slow_worker(make_cluster) -> None:
    cluster = make_cluster(proxied=True)
    versions = Versions(cluster)
    cluster.proxies[2].throttle(500_000)  # its 12 MB would take 24 s
    lines = cluster.gather(versions.path)
    assert is_done(lines), "\n".join(lines)
    assert versions.merged.read_bytes() == versions.old
    served = {rank: sum(request.answer_bytes for request in proxy.matching(r"^GET /chunks/"))
              for rank, proxy in cluster.proxies.items()}
    assert served[2] < 4_000_000 and served[3] > 20_000_000, served


@pytest.mark.smoke
def test_a_worker_that_hangs_from_the_start_is_replaced(make_cluster) -> None:
    cluster = make_cluster()
    versions = Versions(cluster, megabytes=4)
    cluster.workers[2].pause()
    lines = cluster.gather(versions.path)
    assert is_done(lines), "\n".join(lines)
    assert only(lines, "replica")["primary"] == "2"
    assert versions.merged.read_bytes() == versions.old


@pytest.mark.smoke
@pytest.mark.parametrize("rank", [1, 2, 3, 4])
def test_any_one_worker_may_be_lost(make_cluster, rank: int) -> None:
    cluster = make_cluster()
    versions = Versions(cluster, megabytes=4)
    cluster.workers[rank].kill()
    assert versions.gathered() == versions.old


def test_connections_cut_in_the_middle_of_chunks_are_retried(make_cluster) -> None:
    cluster = make_cluster(proxied=True)
    versions = Versions(cluster)
    for proxy in cluster.proxies.values():
        proxy.cut(r"^PUT /chunks/", after_bytes=1_000_000, skip=1)
    lines = cluster.store(versions.path)
    assert is_done(lines), "\n".join(lines)
    assert versions.gathered() == versions.new
    assert not cluster.temporary_files()


def test_a_killed_worker_starts_again_with_what_it_had(make_cluster) -> None:
    cluster = make_cluster()
    versions = Versions(cluster, megabytes=4)
    for worker in cluster.workers.values():
        worker.kill()
    for rank in cluster.ranks:
        cluster.start_worker(rank)
    wait_until(lambda: all(worker["alive"] for worker in cluster.get("/workers")["workers"]),
               "all workers are back")
    assert versions.gathered() == versions.old
