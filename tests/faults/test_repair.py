"""Healing: copies that were lost or damaged are made again without anybody asking, and go home."""
import shutil
import time
from collections import Counter
from pathlib import Path

import pytest

from harness.checkpoints import model, write
from harness.cluster import Cluster
from harness.lines import is_done
from harness.waiting import wait_until

MENDED_WITHIN = 60  # seconds


def stored(cluster: Cluster, megabytes: float = 8, name: str = "run1/step_1/model.safetensors") -> tuple[Path, bytes]:
    content = model(megabytes, seed=len(name))
    path = write(cluster.ckpt_root / name, content)
    lines = cluster.store(path)
    assert is_done(lines), "\n".join(lines)
    return path, content


def copies(cluster: Cluster, path: Path) -> dict[str, set[int]]:
    """The ranks that hold each shard of the newest generation, and its manifest."""
    newest = max(generation for _, generation, _ in cluster.refs(path))
    found: dict[str, set[int]] = {}
    for rank, _, name in cluster.refs(path, newest):
        found.setdefault(name, set()).add(rank)
    return found


def by_the_ring(shards: int = 4, workers: int = 4) -> dict[str, set[int]]:
    return {str(shard): {shard % workers + 1, (shard + 1) % workers + 1} for shard in range(shards)}


def is_by_the_ring(cluster: Cluster, path: Path) -> bool:
    held = copies(cluster, path)
    return {name: ranks for name, ranks in held.items() if name != "manifest"} == by_the_ring()


def safety(cluster: Cluster) -> Counter[str]:
    return Counter(checkpoint["generations"][0]["safety"] for checkpoint in cluster.get("/checkpoints")["checkpoints"])


def assert_gathers(cluster: Cluster, path: Path, content: bytes, name: str = "back") -> None:
    output = cluster.folder / name
    lines = cluster.gather(path, output=output)
    assert is_done(lines), "\n".join(lines)
    assert output.read_bytes() == content
    output.unlink()


def lose_disk(cluster: Cluster, rank: int) -> None:
    cluster.workers[rank].kill()
    shutil.rmtree(cluster.data(rank))


def test_a_new_disk_gets_its_copies_back_by_itself(make_cluster) -> None:
    cluster = make_cluster()
    files = [stored(cluster), stored(cluster, 4, "run1/step_2/model.safetensors"), stored(cluster, 1, "other.bin")]
    lose_disk(cluster, 3)
    cluster.start_worker(3)  # takes the empty folder for a new disk
    wait_until(lambda: all(is_by_the_ring(cluster, path) for path, _ in files), "all copies are back", MENDED_WITHIN)
    wait_until(lambda: safety(cluster) == {"safe": 3}, "all is safe", 10)
    cluster.workers[4].kill()
    cluster.workers[2].kill()  # shard 2 is on the new disk alone now
    for path, content in files:
        held = copies(cluster, path)
        assert 3 in held["manifest"]
        if all(ranks - {2, 4} for name, ranks in held.items()):
            assert_gathers(cluster, path, content)


def test_the_copies_of_a_worker_that_is_gone_are_made_elsewhere_and_go_home_with_it(make_cluster) -> None:
    cluster = make_cluster(repair_after="2s")
    path, content = stored(cluster)
    cluster.workers[2].kill()

    def kept_by_others() -> bool:
        held = copies(cluster, path)
        return all(len(ranks - {2}) >= 2 for name, ranks in held.items())

    wait_until(kept_by_others, "others keep two copies of everything", MENDED_WITHIN)
    wait_until(lambda: safety(cluster) == {"safe": 1}, "it is safe again", 10)
    cluster.workers[3].kill()
    assert_gathers(cluster, path, content)
    cluster.start_worker(3)
    cluster.start_worker(2)
    # It has its copies still: nothing is moved, and what others kept for it is dropped.
    wait_until(lambda: is_by_the_ring(cluster, path), "every copy is at home, and no other is left", MENDED_WITHIN)
    assert_gathers(cluster, path, content)


def test_a_stand_in_s_copy_goes_home(make_cluster) -> None:
    cluster = make_cluster()
    cluster.workers[2].kill()
    path, content = stored(cluster)
    assert not is_by_the_ring(cluster, path)
    cluster.start_worker(2)
    wait_until(lambda: is_by_the_ring(cluster, path), "every copy is at home", MENDED_WITHIN)
    assert 2 in copies(cluster, path)["manifest"]
    cluster.workers[3].kill()
    assert_gathers(cluster, path, content)


@pytest.mark.parametrize("quiet_seconds", [0, 22])
def test_damage_is_mended_from_the_other_copy(make_cluster, quiet_seconds: int) -> None:
    cluster = make_cluster()
    path, content = stored(cluster)
    stored_at = time.monotonic()
    # The coordinator has looked by then, and found nothing to do.
    wait_until(lambda: time.monotonic() - stored_at >= quiet_seconds, "a look of the coordinator", 30)
    damaged = list(cluster.chunk_files(2).values())[:3]
    for file in damaged:
        bytes_of = bytearray(file.read_bytes())
        bytes_of[len(bytes_of) // 2] ^= 1
        file.write_bytes(bytes_of)
    found = cluster.run("verify")
    assert found.returncode == 1 and "3 damaged chunks" in found.stdout, found.stdout
    wait_until(lambda: safety(cluster) == {"safe": 1}, "it is safe again", MENDED_WITHIN)
    again = cluster.run("verify")
    assert again.returncode == 0 and "none damaged" in again.stdout, again.stdout
    for rank in (1, 3):
        cluster.workers[rank].kill()
        assert_gathers(cluster, path, content, f"without_{rank}")
        cluster.start_worker(rank)


def test_repair_says_what_it_would_do_and_does_it_when_asked(make_cluster) -> None:
    cluster = make_cluster()
    path, content = stored(cluster)
    lose_disk(cluster, 3)
    cluster.start_worker(3)
    before = copies(cluster, path)
    planned = cluster.run("repair", "--dry-run")
    assert planned.returncode == 0 and planned.stdout.endswith("Done: nothing was changed\n")
    assert ("  shard 1 of run1/step_1/model.safetensors to be copied to rank 3 (pi-3) from rank 2 (pi-2): it was lost\n"
            in planned.stdout)
    assert "  the manifest of run1/step_1/model.safetensors to be copied to rank 3 (pi-3)\n" in planned.stdout
    assert copies(cluster, path) == before
    done = cluster.run("repair")
    assert done.returncode == 0, done.stdout
    assert done.stdout.endswith("Done: 2 copies made, 0 dropped\n"), done.stdout
    assert is_by_the_ring(cluster, path)
    nothing = cluster.run("repair")
    assert nothing.stdout == "Done: 0 copies made, 0 dropped\n"


def test_what_cannot_be_repaired_is_said(make_cluster) -> None:
    cluster = make_cluster()
    path, _ = stored(cluster)
    lose_disk(cluster, 2)
    lose_disk(cluster, 3)
    cluster.start_worker(2)
    cluster.start_worker(3)
    done = cluster.run("repair")
    assert done.returncode == 1
    assert ("  ✗ run1/step_1/model.safetensors has too few copies, and no worker that answers can give or take one\n"
            in done.stdout)
    assert "1 checkpoints stay short of copies" in done.stdout
    for rank in cluster.ranks:
        cluster.workers[rank].kill()
    silent = cluster.run("repair")
    assert silent.returncode == 1 and "ERROR: no worker answers" in silent.stdout


@pytest.mark.parametrize("victim", ["target", "source", "coordinator"])
def test_a_kill_in_the_middle_of_a_repair_loses_nothing(make_cluster, victim: str) -> None:
    cluster = make_cluster(proxied=True)
    path, content = stored(cluster, 48)
    lose_disk(cluster, 3)
    rule = cluster.proxies[3].hold(r"^POST /pull", skip=1)
    cluster.start_worker(3)
    rule.wait_reached(30)
    if victim == "coordinator":
        cluster.coordinator.kill()
        rule.drop()
        cluster.start_coordinator()
    else:
        rank = 3 if victim == "target" else 4
        cluster.workers[rank].kill()
        rule.drop()
        cluster.start_worker(rank)
    wait_until(lambda: is_by_the_ring(cluster, path), "all copies are back", 2 * MENDED_WITHIN + 30)
    wait_until(lambda: 3 in copies(cluster, path)["manifest"], "the manifest too", MENDED_WITHIN)
    cluster.workers[2].kill()
    assert_gathers(cluster, path, content)


def test_adding_a_worker_moves_only_what_the_ring_moves(make_cluster) -> None:
    cluster: Cluster = make_cluster(start=False, workers=5)
    everybody = cluster.settings["devices_config"]["workers"]
    cluster.write_config(num_workers=4, n_chunks=4, devices_config={"workers": everybody[:4]})
    for rank in (1, 2, 3, 4):
        cluster.start_worker(rank)
    cluster.start_coordinator()
    path, content = stored(cluster)
    cluster.write_config(num_workers=5, devices_config={"workers": everybody})
    cluster.start_worker(5)
    expected = by_the_ring(4, 5)

    def is_moved() -> bool:
        return {name: ranks for name, ranks in copies(cluster, path).items() if name != "manifest"} == expected

    wait_until(is_moved, "shard 3 is on the ranks 4 and 5", MENDED_WITHIN)
    assert_gathers(cluster, path, content)
