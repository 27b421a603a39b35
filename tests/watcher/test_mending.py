"""Gaps and how the watcher mends them: POST /store-shard?generation=, /verify?ranks=. Issue 4."""
import os
import shutil
from pathlib import Path

import pytest

from harness.checkpoints import model
from harness.http import http
from harness.lines import is_done


def replace_worker(cluster, rank: int) -> None:
    """The machine comes back with an empty disk."""
    cluster.workers[rank].kill()
    shutil.rmtree(cluster.data(rank))
    cluster.start_worker(rank)


def store_one(cluster) -> tuple[Path, int, list]:
    """A stored checkpoint, its generation and all its refs."""
    path = cluster.ckpt_root / "a.safetensors"
    path.write_bytes(model(0.2, tensors=3))
    assert is_done(cluster.store(path))
    refs = cluster.refs(path)
    return path, refs[0][1], sorted(refs)


def test_a_store_into_a_generation_adds_copies_and_never_makes_another(cluster):
    path, generation, before = store_one(cluster)
    replace_worker(cluster, 1)
    os.utime(path, (1, 1))  # the same content, as the store will see
    assert is_done(cluster.call("store-shard", path, generation=generation))
    assert sorted(cluster.refs(path)) == before
    changed = bytearray(path.read_bytes())
    changed[-1] ^= 1
    path.write_bytes(changed)
    refused = cluster.call("store-shard", path, generation=generation)[-1]
    assert refused == (f"ERROR: {path} has not the content of generation {generation}; "
                       "store it without a generation")
    for other in (generation + 1, generation - 1):
        refused = cluster.call("store-shard", path, generation=other)[-1]
        assert refused.startswith(f"ERROR: {path} adds nothing to generation {other}: ")
    assert sorted(cluster.refs(path)) == before
    answer = http.post(f"{cluster.url}/store-shard",
                       params={"ckpt_path": str(path), "generation": "1.5"})
    assert answer.status_code == 422 and "generation" in answer.json()["detail"]


def test_a_store_into_a_generation_leaves_out_who_is_away_at_once(cluster):
    path, generation, before = store_one(cluster)
    cluster.workers[2].kill()
    replace_worker(cluster, 1)  # shard 1's only two holders are these
    row = cluster.newest()
    assert (row["safety"], row["lacking"]) == ("out_of_reach", [1])
    lines = cluster.call("store-shard", path, generation=generation)
    assert lines[-1] == ("ERROR: 2 of 8 copies belong on workers that do not answer; "
                         "the others are there")
    assert sorted(cluster.refs(path)) == before
    row = cluster.newest()
    assert row["safety"] in ("at_risk", "healing") and row["lacking"] == []


def test_a_brief_look_has_the_newest_complete_generation_of_each(cluster):
    path = cluster.ckpt_root / "a.safetensors"
    for seed in (1, 2):
        path.write_bytes(model(0.2, tensors=3, seed=seed))
        assert is_done(cluster.store(path))
    full, brief = cluster.get("/checkpoints"), cluster.get("/checkpoints?brief=true")
    newest = full["checkpoints"][0]["generations"][0]
    names = ["generation", "state", "bytes", "shards", "mtime_ns", "safety"]
    assert brief == {**full, "checkpoints": [{"identity": "a.safetensors", "pinned": False,
                                              "generations": [{n: newest[n] for n in names}]}]}
    assert cluster.run("pin", "--ckpt-path", str(path)).returncode == 0
    assert cluster.get("/checkpoints?brief=true")["checkpoints"][0]["pinned"] is True


@pytest.mark.parametrize("ranks", ["", "9", "1,", "1,9", "x", "-1", "1 2"])
def test_ranks_that_are_nobodys_are_refused(cluster, ranks):
    answer = http.post(f"{cluster.url}/verify", params={"ranks": ranks})
    assert answer.status_code == 422 and answer.json()["detail"].startswith("ranks: ")


def test_only_the_ranks_asked_for_are_verified(cluster):
    lines = http.post(f"{cluster.url}/verify", params={"ranks": "3,1"}).text
    assert "rank 1 " in lines and "rank 3 " in lines and "rank 2 " not in lines
    assert lines.splitlines()[-1] == "Done: 0 copies re-read on 2 workers, none damaged"


def test_a_touched_file_still_mends_its_gap(watched):
    path = watched.write("a.safetensors")
    before = watched.wait_stored("a.safetensors")
    os.utime(path)
    watched.wait_for("a.safetensors is stored(.|\n)*a.safetensors is stored")
    replace_worker(watched.cluster, 1)
    watched.wait_for("crosscheck: a.safetensors is mended", 40)
    after = watched.wait_stored("a.safetensors")
    assert [g["generation"] for g in after["a.safetensors"]] == \
        [g["generation"] for g in before["a.safetensors"]]


def test_a_gap_is_mended_as_far_as_it_can_be_while_another_worker_is_away(watched):
    watched.write("a.safetensors")
    watched.wait_stored("a.safetensors")
    watched.cluster.workers[2].kill()
    replace_worker(watched.cluster, 1)
    watched.wait_for("crosscheck: a.safetensors is not mended altogether: 2 of 6 copies belong on "
                     "workers that do not answer; the others are there", 40)
    watched.wait_for("crosscheck: gap: a.safetensors: at risk: 1 of 2 copies.*; not mended: what it "
                     r"lacks belongs on workers that do not answer \(2 of 3 answer\)")
    watched.cluster.start_worker(2)
    watched.wait_stored("a.safetensors", seconds=30)
    assert watched.count("crosscheck: gap: a.safetensors: storing") == 1


def test_with_repair_a_replaced_worker_is_filled_by_pulls_and_not_by_a_store(make_watched):
    watched = make_watched(repairs=True, proxied=True)
    watched.write("a.safetensors", seed=1)
    watched.write("b.safetensors", seed=2)
    watched.wait_stored("a.safetensors", "b.safetensors")
    put_before = watched.cluster.bytes_put()
    replace_worker(watched.cluster, 1)
    watched.wait_stored("a.safetensors", "b.safetensors", seconds=60)
    watched.settle()  # the watcher has looked since
    assert watched.count("storing the unchanged file again") == 0, watched.text()
    # The probe of settle() went to workers; the others' chunks came from workers.
    probe = watched.root / "probe/0.safetensors"
    assert watched.cluster.bytes_put() - put_before <= 2 * probe.stat().st_size + 65536
    stores = [job["identity"] for job in watched.cluster.get("/jobs")["jobs"] if job["kind"] == "store"]
    assert sorted(stores) == ["a.safetensors", "b.safetensors", "probe/0.safetensors"]


def test_with_repair_what_is_lost_on_all_workers_is_stored_again_from_the_file(make_watched):
    watched = make_watched(repairs=True)
    watched.write("a.safetensors")
    before = watched.wait_stored("a.safetensors")["a.safetensors"][0]["generation"]
    for rank in (1, 2):  # shard 0 is on these
        watched.cluster.workers[rank].kill()
    for rank in (1, 2):
        shutil.rmtree(watched.cluster.data(rank))
        watched.cluster.start_worker(rank)
    watched.wait_for("crosscheck: gap: a.safetensors: storing the unchanged file again to mend it", 60)
    watched.wait_for("crosscheck: a.safetensors is mended", 60)
    assert watched.wait_stored("a.safetensors", seconds=60)["a.safetensors"][0]["generation"] == before


def test_a_new_file_of_a_pinned_step_is_stored_whatever_retention_says(make_watched):
    watched = make_watched(retention={"keep_last": 1})
    watched.write("run/step_1/a.safetensors", seed=1)
    watched.wait_stored("run/step_1/a.safetensors")
    assert watched.cluster.run("pin", "--ckpt-path", str(watched.root / "run/step_1/a.safetensors")).returncode == 0
    watched.write("run/step_2/a.safetensors", seed=2)
    watched.write("run/step_3/a.safetensors", seed=3)
    watched.wait_stored("run/step_3/a.safetensors")
    watched.write("run/step_1/b.safetensors", seed=4)
    watched.write("run/step_1/a.safetensors", seed=5)
    watched.wait_stored("run/step_1/b.safetensors")
    watched.wait_for("transfer: run/step_1/a.safetensors is stored(.|\n)*transfer: run/step_1/a.safetensors is stored")
    watched.write("run/step_2/b.safetensors", seed=6)
    watched.wait_for("transfer: run/step_2/b.safetensors is not stored: retention would drop it at once")
