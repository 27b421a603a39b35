"""Damaged chunks, machines that are not who they should be, and files that change under our hands."""
import os
from pathlib import Path

import pytest

from harness.checkpoints import model, write
from harness.cluster import Cluster
from harness.lines import assert_one_error, is_done, only
from harness.stores import Versions
from harness.waiting import wait_until


def big_chunk(cluster: Cluster, rank: int) -> Path:
    """A chunk of the shard of which this worker is the primary (only its replica has it, too)."""
    replica = cluster.chunk_files(rank % 4 + 1)
    shared = [file for name, file in cluster.chunk_files(rank).items() if name in replica]
    return max(shared, key=lambda file: (file.stat().st_size, file.name))


@pytest.mark.smoke
@pytest.mark.parametrize("damage", ["flipped", "cut_short", "emptied", "gone", "another_chunk_s"])
def test_a_damaged_chunk_on_the_primary_comes_from_the_replica(make_cluster, damage: str) -> None:
    cluster = make_cluster()
    versions = Versions(cluster, megabytes=12)
    file = big_chunk(cluster, 1)
    content = bytearray(file.read_bytes())
    if damage == "flipped":
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
    elif damage == "another_chunk_s":  # sound in itself, but not what its name says
        other = next(each for each in cluster.chunk_files(1).values() if each != file)
        file.write_bytes(other.read_bytes())
    elif damage == "gone":
        file.unlink()
    else:
        os.truncate(file, 0 if damage == "emptied" else len(content) // 2)
    lines = cluster.gather(versions.path)
    assert is_done(lines), "\n".join(lines)
    assert versions.merged.read_bytes() == versions.old
    replica = only(lines, "replica")
    assert (replica["rank"], replica["shard"], replica["primary"]) == ("2", "0", "1")


def test_a_damaged_chunk_is_stored_again_by_the_next_store(make_cluster) -> None:
    cluster = make_cluster()
    versions = Versions(cluster, megabytes=4)
    versions.path.write_bytes(versions.old)
    file = big_chunk(cluster, 1)
    file.write_bytes(file.read_bytes()[:-1] + b"\0\0")
    assert versions.gathered() == versions.old  # finds the damage
    lines = cluster.store(versions.path)
    assert is_done(lines), "\n".join(lines)
    cluster.workers[2].kill()
    assert versions.gathered() == versions.old


def test_garbage_in_a_data_folder_is_set_aside_at_start(make_cluster) -> None:
    cluster = make_cluster()
    versions = Versions(cluster, megabytes=4)
    cluster.workers[1].terminate()
    data = cluster.data(1)
    ref = sorted(data.glob("refs/*/*/0.json"))[0]
    ref.write_bytes(b"{garbage")
    write(ref.with_name("7.json.bak"), b"x")
    write(data / "chunks/zz/x", b"x")
    write(data / "chunks/ab/no_digest", b"")
    write(data / "manifests/junk", b"")
    write(data / "tmp/left/over", b"x")
    cluster.start_worker(1)
    assert not list(data.glob("tmp/*"))
    lines = cluster.gather(versions.path)
    assert is_done(lines) and only(lines, "replica")["primary"] == "1", lines
    assert versions.merged.read_bytes() == versions.old
    versions.path.write_bytes(versions.old)
    assert is_done(cluster.store(versions.path))  # mends the lost ref
    cluster.workers[2].kill()
    assert versions.gathered() == versions.old


def test_the_newest_generation_lost_names_the_older_and_never_gives_it_silently(
        make_cluster) -> None:
    cluster = make_cluster(generations=2)
    versions = Versions(cluster, megabytes=8)
    old_chunks = {rank: set(cluster.chunk_files(rank)) for rank in cluster.ranks}
    assert is_done(cluster.store(versions.path))
    new_generation = max(generation for _, generation, _ in cluster.refs(versions.path))
    for rank in (2, 3):  # both holders of shard 1
        for name, file in cluster.chunk_files(rank).items():
            if name not in old_chunks[rank]:
                file.unlink()
    lines = cluster.gather(versions.path)
    message = assert_one_error(lines)
    assert str(versions.old_generation) in message and "generation=" in message, message
    assert str(new_generation) in "\n".join(lines)
    assert not versions.merged.exists() and not cluster.temporary_files()
    assert versions.gathered(generation=versions.old_generation) == versions.old


def test_all_workers_down(make_cluster) -> None:
    cluster = make_cluster()
    versions = Versions(cluster, megabytes=1)
    for worker in cluster.workers.values():
        worker.kill()
    assert_one_error(cluster.gather(versions.path))
    assert not versions.merged.exists() and not cluster.temporary_files()


def test_a_worker_that_answers_as_another_rank_gets_nothing(make_cluster) -> None:
    cluster = make_cluster(stand_ins=False)
    versions = Versions(cluster, megabytes=4)
    # The addresses of 2 and 3 were dealt out anew.
    devices = [cluster.device(rank) for rank in cluster.ranks]
    devices[1]["port"], devices[2]["port"] = devices[2]["port"], devices[1]["port"]
    cluster.write_config(devices_config={"workers": devices})
    before = cluster.snapshot(cluster.data(2), cluster.data(3))
    lines = cluster.store(versions.path)
    assert_one_error(lines)
    assert any("rank 2" in line and "rank 3" in line for line in lines), "\n".join(lines)
    changed = {name for name in cluster.snapshot().items() ^ before.items()
               if f"/{cluster.data(2).name}/" in name[0] or f"/{cluster.data(3).name}/" in name[0]}
    assert not changed
    message = assert_one_error(cluster.gather(versions.path))  # shard 1 is on 2 and 3
    assert message
    devices[1]["port"], devices[2]["port"] = devices[2]["port"], devices[1]["port"]
    cluster.write_config(devices_config={"workers": devices})
    assert versions.gathered() == versions.old


def test_one_wrong_address_is_replaced_by_the_replica(make_cluster) -> None:
    cluster = make_cluster()
    versions = Versions(cluster, megabytes=4)
    devices = [cluster.device(rank) for rank in cluster.ranks]
    devices[1] |= {"ip": "localhost", "port": cluster.ports[1]}  # where worker 1 is
    cluster.write_config(devices_config={"workers": devices})
    lines = cluster.gather(versions.path)
    assert is_done(lines), "\n".join(lines)
    assert versions.merged.read_bytes() == versions.old
    assert cluster.get("/workers")["workers"][1]["alive"] is False


def test_a_file_replaced_during_its_store_with_a_second_request(make_cluster) -> None:
    """Never `Done:` for bytes that were not the file's."""
    cluster = make_cluster(proxied=True)
    versions = Versions(cluster, megabytes=8)
    rule = cluster.proxies[2].hold(r"^PUT /refs/")
    third = model(8, seed=3)
    with cluster.stream("store-shard", versions.path) as first:
        first_lines = [next(first)]
        rule.wait_reached()
        scratch = write(versions.path.with_name("scratch"), third)
        scratch.rename(versions.path)
        with cluster.stream("store-shard", versions.path) as second:
            wait_until(lambda: len(cluster.get("/jobs")["jobs"]) >= 3, "the second one waits")
            rule.release()
            first_lines += first
            second_lines = list(second)
    assert "changed" in assert_one_error(first_lines)
    assert is_done(second_lines), "\n".join(second_lines)
    assert versions.gathered() == third


def test_a_file_deleted_during_its_store(make_cluster) -> None:
    cluster = make_cluster(proxied=True)
    versions = Versions(cluster, megabytes=8)
    rule = cluster.proxies[2].hold(r"^PUT /refs/")
    with cluster.stream("store-shard", versions.path) as stream:
        next(stream)
        rule.wait_reached()
        versions.path.unlink()
        rule.release()
        assert_one_error(list(stream))
    assert versions.gathered() == versions.old


def test_a_touched_file_is_an_error_too(make_cluster) -> None:
    cluster = make_cluster(proxied=True)
    versions = Versions(cluster, megabytes=8)
    rule = cluster.proxies[2].hold(r"^PUT /refs/")
    with cluster.stream("store-shard", versions.path) as stream:
        next(stream)
        rule.wait_reached()
        os.utime(versions.path)
        rule.release()
        assert "changed" in assert_one_error(list(stream))
    assert is_done(cluster.store(versions.path))
    assert versions.gathered() == versions.new
