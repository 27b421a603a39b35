"""kill -9 of the coordinator between any two of chunks, refs and manifest, and during a gather."""
import pytest

from harness.lines import is_done
from harness.stores import Versions
from harness.waiting import wait_until

# Where it dies: a worker, and the request that this worker does not get to see.
POINTS = {
    "before_the_first_chunk": (1, r"^PUT /chunks/", 0),
    "between_two_chunks": (1, r"^PUT /chunks/", 2),
    "before_the_first_pull": (2, r"^POST /pull", 0),
    "before_the_first_sync": (3, r"^POST /sync", 0),
    "before_a_shard_list": (1, r"^PUT /shardlists/", 0),
    "before_a_primary_s_ref": (1, r"^PUT /refs/[^?]*/0(\?|$)", 0),
    "before_a_replica_s_ref": (1, r"^PUT /refs/[^?]*/3(\?|$)", 0),
    "before_a_manifest": (2, r"^PUT /manifests/", 0),
    "before_a_manifest_s_ref": (4, r"^PUT /refs/[^?]*/manifest", 0),
}


@pytest.mark.parametrize(("rank", "request_line", "skip"),
                         [pytest.param(*point, id=name) for name, point in POINTS.items()])
def test_in_a_store(make_cluster, rank: int, request_line: str, skip: int) -> None:
    cluster = make_cluster(proxied=True)
    versions = Versions(cluster)
    rule = cluster.proxies[rank].hold(request_line, skip=skip, times=100)
    with cluster.stream("store-shard", versions.path) as lines:
        next(lines)
        rule.wait_reached()
        cluster.coordinator.kill()
        rule.drop()
    cluster.start_coordinator()
    versions.assert_gather_gives_the_last_done()
    versions.store_the_rest()


def test_with_some_copies_committed_and_others_not(make_cluster) -> None:
    cluster = make_cluster(proxied=True)
    versions = Versions(cluster)
    rule = cluster.proxies[4].hold(r"^PUT /refs/", times=100)
    with cluster.stream("store-shard", versions.path) as lines:
        next(lines)
        rule.wait_reached()
        wait_until(lambda: len([ref for ref in cluster.refs(versions.path)
                                if ref[1] > versions.old_generation]) == 6,
                   "the other workers have all their refs")
        cluster.coordinator.kill()
        rule.drop()
    cluster.start_coordinator()
    assert versions.gathered() == versions.old
    [listed] = cluster.get("/checkpoints")["checkpoints"]
    assert {each["generation"]: each["state"] for each in listed["generations"]} == {
        versions.old_generation: "complete",
        max(generation for _, generation, _ in cluster.refs(versions.path)): "unfinished"}
    versions.store_the_rest()


def test_with_the_manifest_on_some_holders_and_not_on_others(make_cluster) -> None:
    cluster = make_cluster(proxied=True)
    versions = Versions(cluster)
    rule = cluster.proxies[3].hold(r"^PUT /refs/[^?]*/manifest", times=100)
    with cluster.stream("store-shard", versions.path) as lines:
        next(lines)
        rule.wait_reached()
        wait_until(lambda: len([ref for ref in cluster.refs(versions.path) if ref[2] == "manifest"
                                and ref[1] > versions.old_generation]) == 3,
                   "the other holders have the manifest")
        cluster.coordinator.kill()
        rule.drop()
    cluster.start_coordinator()
    # The commit had begun, so every shard has all its copies: new, and on any worker's loss, too.
    assert versions.gathered() == versions.new
    versions.store_the_rest()


def test_in_a_gather(make_cluster) -> None:
    cluster = make_cluster(proxied=True)
    versions = Versions(cluster)
    rules = [proxy.hold(r"^GET /chunks/", skip=2, times=100) for proxy in cluster.proxies.values()]
    with cluster.stream("gather-shards", versions.path):
        rules[0].wait_reached()
        cluster.coordinator.kill()
        for rule in rules:
            rule.drop()
    # A reader never sees half a file.
    assert not versions.merged.exists()
    cluster.start_coordinator()
    assert versions.gathered() == versions.old
    assert not cluster.temporary_files()


def test_a_whole_cluster_killed_at_once(make_cluster) -> None:
    cluster = make_cluster(proxied=True)
    versions = Versions(cluster)
    rule = cluster.proxies[2].hold(r"^PUT /refs/", times=100)
    with cluster.stream("store-shard", versions.path) as lines:
        next(lines)
        rule.wait_reached()
        for process in [cluster.coordinator, *cluster.workers.values()]:
            process.kill()
        rule.drop()
    cluster.start()
    assert versions.gathered() == versions.old
    lines = cluster.store(versions.path)
    assert is_done(lines), lines
    assert versions.gathered() == versions.new
    assert not cluster.temporary_files()
