"""A store with workers that are dead, hung, full or cut off: others stand in, two copies are kept all the same."""
import shutil
import time
from itertools import combinations

import pytest

from harness.checkpoints import Entry, model, random_bytes, safetensors, write
from harness.cluster import Cluster
from harness.lines import assert_one_error, is_done, matches
from harness.stores import Versions
from harness.waiting import wait_until

LATER_BY_AT_MOST = 15  # seconds, than with all workers there


def lose(cluster: Cluster, rank: int, how: str) -> None:
    worker = cluster.workers[rank]
    worker.kill() if how == "killed" else worker.pause()


def assert_kept_twice_without(cluster: Cluster, versions: Versions, gone: set[int], lines: list[str]) -> None:
    """The store says so, and any other worker may be lost too, down to the last."""
    assert is_done(lines), "\n".join(lines)
    assert lines[-1].startswith("Done: 8/8 sends (2x replicated)")
    assert {int(match["failed"]) for match in matches(lines, "stands_in")} == gone
    told = [(match["rank"], match["failed"]) for match in matches(lines, "stands_in")]
    assert len(set(told)) == len(told), "said twice who stands in for whom"
    live = [rank for rank in cluster.ranks if rank not in gone]
    assert {int(match["rank"]) for match in matches(lines, "sent")} <= set(live)
    newest = max(generation for _, generation, _ in cluster.refs(versions.path))
    shards = {(rank, name) for rank, _, name in cluster.refs(versions.path, newest) if rank in live}
    for shard in range(4):
        assert sum(name == str(shard) for _, name in shards) >= 2, f"shard {shard} has fewer than two copies"
    for rank in gone:
        cluster.workers[rank].kill()
    cluster.workers[live[0]].kill()
    assert versions.gathered() == versions.new


@pytest.mark.parametrize("rank", [1, 3])
def test_a_worker_dead_before_the_start_delays_nothing(make_cluster, rank: int) -> None:
    cluster = make_cluster()
    versions = Versions(cluster)
    cluster.workers[rank].kill()
    began = time.monotonic()
    lines = cluster.store(versions.path)
    assert time.monotonic() - began < LATER_BY_AT_MOST
    assert_kept_twice_without(cluster, versions, {rank}, lines)


@pytest.mark.parametrize("n_chunks", [1, 2])
def test_a_worker_known_to_be_gone_with_fewer_shards_than_workers(make_cluster, n_chunks: int) -> None:
    """Its stand-in is no holder yet, and gets the header once; here that is more than one window."""
    cluster = make_cluster(n_chunks=n_chunks)
    notes = {"notes": random_bytes(6 << 20).hex()}
    large = write(cluster.ckpt_root / "run1/step_1/model.safetensors", safetensors([Entry("a", [1000, 1000])], notes))
    cluster.workers[2].kill()
    wait_until(lambda: cluster.get("/workers")["workers"][1]["presence"] == "down", "the watch knows", 20)
    lines = cluster.store(large)
    assert is_done(lines), "\n".join(lines)
    assert lines[-1].startswith(f"Done: {2 * n_chunks}/{2 * n_chunks} sends (2x replicated)")
    cluster.workers[1].kill()
    output = cluster.folder / "back"
    assert is_done(cluster.gather(large, output=output))
    assert output.read_bytes() == large.read_bytes()


def test_a_worker_that_hangs_from_the_start_delays_little(make_cluster) -> None:
    cluster = make_cluster()
    versions = Versions(cluster)
    cluster.workers[2].pause()
    began = time.monotonic()
    lines = cluster.store(versions.path)
    assert time.monotonic() - began < LATER_BY_AT_MOST
    assert_kept_twice_without(cluster, versions, {2}, lines)


@pytest.mark.parametrize("how", ["killed", "hung"])
@pytest.mark.parametrize("request_line", [
    pytest.param(r"^PUT /chunks/", id="at_its_chunks"), pytest.param(r"^POST /pull", id="at_its_pull"),
    pytest.param(r"^POST /sync", id="at_its_sync"), pytest.param(r"^PUT /refs/[^?]*/\d", id="at_its_ref")])
def test_a_worker_lost_midway_is_stood_in_for(make_cluster, request_line: str, how: str) -> None:
    cluster = make_cluster(proxied=True)
    versions = Versions(cluster)
    rule = cluster.proxies[2].hold(request_line)
    with cluster.stream("store-shard", versions.path) as stream:
        lines = [next(stream)]
        rule.wait_reached()
        began = time.monotonic()
        lose(cluster, 2, how)
        rule.release()
        lines += stream
    assert time.monotonic() - began < LATER_BY_AT_MOST + 5  # 24 MB more to move
    assert_kept_twice_without(cluster, versions, {2}, lines)


@pytest.mark.parametrize("how", ["killed", "hung"])
@pytest.mark.parametrize("request_line", [
    pytest.param(r"^PUT /manifests/", id="manifest"), pytest.param(r"^PUT /refs/[^?]*/manifest", id="manifest_s_ref")])
def test_a_worker_lost_at_the_commit_is_not_waited_for(make_cluster, request_line: str, how: str) -> None:
    cluster = make_cluster(proxied=True)
    versions = Versions(cluster)
    rule = cluster.proxies[2].hold(request_line)
    with cluster.stream("store-shard", versions.path) as stream:
        lines = [next(stream)]
        rule.wait_reached()
        began = time.monotonic()
        lose(cluster, 2, how)
        rule.release()
        lines += stream
    assert time.monotonic() - began < LATER_BY_AT_MOST
    assert is_done(lines) and lines[-1].startswith("Done: 8/8"), "\n".join(lines)
    assert versions.gathered() == versions.new


def test_a_worker_cut_off_from_the_coordinator_is_stood_in_for(make_cluster) -> None:
    cluster = make_cluster(proxied=True)
    versions = Versions(cluster)
    cluster.proxies[4].cut(r"^PUT /chunks/", after_bytes=1000, times=1000)
    cluster.proxies[4].cut(r"^POST /pull", times=1000)
    began = time.monotonic()
    lines = cluster.store(versions.path)
    assert time.monotonic() - began < LATER_BY_AT_MOST
    assert_kept_twice_without(cluster, versions, {4}, lines)


def test_a_full_worker_is_stood_in_for_at_once_and_keeps_nothing(make_cluster) -> None:
    cluster: Cluster = make_cluster(start=False)
    total = shutil.disk_usage(cluster.folder).total
    for rank in (1, 2, 3):
        cluster.start_worker(rank)
    cluster.write_config(reserve=f"{total // 2 ** 30 + 1} GiB")  # more than there is
    cluster.start_worker(4)
    cluster.write_config(reserve="1 %")
    cluster.start_coordinator()
    path = write(cluster.ckpt_root / "run1/step_1/model.safetensors", model(4))
    began = time.monotonic()
    lines = cluster.store(path)
    assert time.monotonic() - began < LATER_BY_AT_MOST
    assert is_done(lines) and lines[-1].startswith("Done: 8/8"), "\n".join(lines)
    assert not matches(lines, "retry"), "a full disk is not mended by waiting"
    assert {match["failed"] for match in matches(lines, "stands_in")} == {"4"}
    assert not cluster.chunk_files(4) and not list(cluster.data(4).glob("tmp/*"))


@pytest.mark.parametrize("live", [pytest.param(pair, id="{}_and_{}".format(*pair)) for pair in combinations((1, 2, 3, 4), 2)])
def test_two_live_workers_of_four_keep_everything_twice(make_cluster, live: tuple[int, int]) -> None:
    cluster = make_cluster()
    versions = Versions(cluster, megabytes=8)
    gone = set(cluster.ranks) - set(live)
    for rank in gone:
        cluster.workers[rank].kill()
    began = time.monotonic()
    lines = cluster.store(versions.path)
    assert time.monotonic() - began < LATER_BY_AT_MOST
    assert_kept_twice_without(cluster, versions, gone, lines)


@pytest.mark.slow
def test_one_live_worker_of_four_fails_and_changes_nothing(make_cluster) -> None:
    cluster = make_cluster()
    versions = Versions(cluster, megabytes=8)
    for rank in (2, 3, 4):
        cluster.workers[rank].kill()
    lines = cluster.store(versions.path)
    assert "sends failed" in assert_one_error(lines)
    assert {match["rank"] for match in matches(lines, "gave_up")} == {"2", "3", "4"}
    for rank in (2, 3, 4):
        cluster.start_worker(rank)
    assert versions.gathered() == versions.old


def test_a_stand_in_that_is_lost_too_is_replaced(make_cluster) -> None:
    cluster = make_cluster(proxied=True, n_chunks=1)  # one shard, on the ranks 1 and 2
    versions = Versions(cluster)
    cluster.workers[1].kill()
    rule = cluster.proxies[3].hold(r"^(PUT /chunks/|POST /pull)")  # the next in the ring
    with cluster.stream("store-shard", versions.path) as stream:
        lines = [next(stream)]
        rule.wait_reached()
        cluster.workers[3].kill()
        rule.drop()
        lines += stream
    assert is_done(lines) and lines[-1].startswith("Done: 2/2"), "\n".join(lines)
    assert {match["rank"] for match in matches(lines, "sent")} == {"2", "4"}
    cluster.workers[2].kill()
    assert versions.gathered() == versions.new


def test_a_worker_that_comes_back_in_time_keeps_its_copies_itself(make_cluster) -> None:
    cluster = make_cluster(proxied=True)
    versions = Versions(cluster)
    # Nobody can stand in: everybody else's chunks are held back until rank 2 has its own.
    rules = [cluster.proxies[rank].hold(r"^(PUT /chunks/|POST /pull)", times=1000) for rank in (1, 3, 4)]
    cluster.workers[2].kill()
    with cluster.stream("store-shard", versions.path) as stream:
        lines = [next(stream)]
        for line in stream:
            lines.append(line)
            if matches([line], "stands_in") and not cluster.workers[2].is_running():
                cluster.start_worker(2)
            if line.startswith("  ✓ rank 2"):
                for rule in rules:
                    rule.release()
    assert is_done(lines), "\n".join(lines)
    assert "2" in {match["rank"] for match in matches(lines, "sent")}
    assert versions.gathered() == versions.new


def test_the_same_file_again_moves_nothing_to_who_stands_in_already(make_cluster) -> None:
    cluster = make_cluster(proxied=True)
    versions = Versions(cluster, megabytes=8)
    cluster.workers[2].kill()
    assert is_done(cluster.store(versions.path))
    for proxy in cluster.proxies.values():
        proxy.clear_requests()
    lines = cluster.store(versions.path)
    assert is_done(lines), "\n".join(lines)
    assert cluster.bytes_put() == 0


def test_stand_ins_can_be_switched_off(make_cluster) -> None:
    cluster = make_cluster(stand_ins=False)
    versions = Versions(cluster, megabytes=4)
    cluster.workers[2].kill()
    with cluster.stream("store-shard", versions.path) as stream:
        for line in stream:
            assert not matches([line], "stands_in")
            if (match := matches([line], "retry")) and int(match[0]["number"]) >= 3:
                cluster.start_worker(2) if not cluster.workers[2].is_running() else None
            last = line
    assert last.startswith("Done: 8/8")
