"""Keeping and forgetting: generations, retention, pins, grove rm, and what a worker that was away learns."""
import time
from pathlib import Path
from urllib.parse import quote

import pytest

from harness.checkpoints import model, write
from harness.cluster import Cluster
from harness.http import http
from harness.lines import is_done
from harness.live_files import live_files
from harness.waiting import wait_until

SOON = 60  # seconds


def stored(cluster: Cluster, name: str, megabytes: float = 1, seed: int | None = None) -> Path:
    path = write(cluster.ckpt_root / name, model(megabytes, seed=len(name) if seed is None else seed))
    lines = cluster.store(path)
    assert is_done(lines), "\n".join(lines)
    return path


def identities(cluster: Cluster) -> set[str]:
    return {row["identity"] for row in cluster.get("/checkpoints")["checkpoints"]}


def held(cluster: Cluster, path: Path) -> set[int]:
    """The ranks with any ref to this checkpoint."""
    return {rank for rank, _, _ in cluster.refs(path)}


def generations(cluster: Cluster, path: Path) -> set[int]:
    return {number for _, number, _ in cluster.refs(path)}


def size_of(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:  # collected just now
        return 0


def chunk_bytes(cluster: Cluster) -> int:
    return sum(size_of(file) for rank in cluster.ranks for file in cluster.chunk_files(rank).values())


def test_rm_forgets_a_checkpoint_only_when_forced(make_cluster) -> None:
    cluster = make_cluster()
    path = stored(cluster, "run1/step_1/model.safetensors")
    refused = cluster.run("rm", "--ckpt-path", str(path))
    assert refused.returncode == 1
    assert "is the last complete one of run1/step_1/model.safetensors: --force" in refused.stderr, refused.stderr
    assert held(cluster, path) == {1, 2, 3, 4}
    done = cluster.run("rm", "--ckpt-path", str(path), "--force")
    assert done.returncode == 0 and done.stdout.startswith("Done: run1/step_1/model.safetensors is forgotten up to ")
    assert "on 4 of 4 workers\n" in done.stdout, done.stdout
    assert held(cluster, path) == set()
    gather = cluster.gather(path)
    assert gather[-1].startswith("ERROR: run1/step_1/model.safetensors is not stored"), gather
    again = cluster.run("rm", "--ckpt-path", str(path), "--force")
    assert again.returncode == 1 and "is not stored on any worker" in again.stderr
    # Stored again on purpose it is there again.
    assert is_done(cluster.store(path))
    assert held(cluster, path) == {1, 2, 3, 4}


def test_rm_takes_the_exact_name_only(make_cluster) -> None:
    cluster = make_cluster()
    path = stored(cluster, "run1/step_1/model.safetensors")
    for wrong in ("run1", "run1/step_1", "run1/step_1/*", "run1/step_1/model"):
        refused = cluster.run("rm", "--ckpt-path", str(cluster.ckpt_root / wrong), "--force")
        assert refused.returncode == 1, wrong
    outside = cluster.run("rm", "--ckpt-path", "/etc/passwd", "--force")
    assert outside.returncode == 1 and "is not under ckpt_root" in outside.stderr
    assert held(cluster, path) == {1, 2, 3, 4}


def test_the_api_forgets_by_identity(make_cluster) -> None:
    cluster = make_cluster()
    path = stored(cluster, "run1/step_1/model.safetensors")
    url = f"{cluster.url}/checkpoints/{quote(cluster.identity(path), safe='')}"
    refused = http.delete(url, timeout=30)
    assert refused.status_code == 409 and "force=true" in refused.json()["detail"]
    gone = http.delete(url, params={"force": "true"}, timeout=30)
    assert gone.status_code == 200, gone.text
    assert http.delete(url, params={"force": "true"}, timeout=30).status_code == 404
    assert http.delete(f"{cluster.url}/checkpoints", timeout=30).status_code == 422
    assert held(cluster, path) == set()


def test_rm_needs_as_many_workers_as_there_are_copies(make_cluster) -> None:
    cluster = make_cluster()
    path = stored(cluster, "run1/step_1/model.safetensors")
    for rank in (2, 3, 4):
        cluster.workers[rank].kill()
    refused = cluster.run("rm", "--ckpt-path", str(path), "--force")
    assert refused.returncode == 1
    assert "2 must, so that run1/step_1/model.safetensors does not come back; nothing is changed" in refused.stderr
    # A refusal is no promise for later.
    for rank in (2, 3, 4):
        cluster.start_worker(rank)
    time.sleep(12)  # a round of the repair
    assert held(cluster, path) == {1, 2, 3, 4}
    assert is_done(cluster.gather(path, output=cluster.folder / "back"))


def test_a_worker_that_was_away_does_not_bring_it_back(make_cluster) -> None:
    cluster = make_cluster()
    path = stored(cluster, "run1/step_1/model.safetensors")
    cluster.workers[2].kill()
    done = cluster.run("rm", "--ckpt-path", str(path), "--force")
    assert done.returncode == 0 and "on 3 of 4 workers; rank 2 (pi-2) is told later" in done.stdout, done.stdout
    assert held(cluster, path) == {2}
    # The tombstone outlives those that were told, but for one of the promised two.
    cluster.workers[1].kill()
    cluster.start_worker(2)
    wait_until(lambda: held(cluster, path) == set(), "it has forgotten it too", SOON)
    cluster.start_worker(1)
    assert cluster.gather(path)[-1].startswith("ERROR: run1/step_1/model.safetensors is not stored")
    assert identities(cluster) == set()


def test_rm_of_the_newest_generation_leaves_the_older_one(make_cluster) -> None:
    """A bad save is taken back."""
    cluster = make_cluster(generations=2)
    path = stored(cluster, "model.safetensors", seed=1)
    good, content = max(generations(cluster, path)), path.read_bytes()
    write(path, model(1, seed=2))
    assert is_done(cluster.store(path))
    bad = max(generations(cluster, path))
    cluster.workers[2].kill()
    refused = cluster.run("rm", "--ckpt-path", str(path), "--generation", str(bad))
    assert refused.returncode == 1 and f"no other generation of {cluster.identity(path)} is safe" in refused.stderr
    done = cluster.run("rm", "--ckpt-path", str(path), "--generation", str(bad), "--force")
    assert done.returncode == 0, done.stderr
    assert f"generation {bad} of model.safetensors is forgotten; rank 2 (pi-2) is told later" in done.stdout
    cluster.start_worker(2)
    wait_until(lambda: generations(cluster, path) == {good}, "it is gone from the worker that was away", SOON)
    assert is_done(cluster.gather(path, output=cluster.folder / "back"))
    assert (cluster.folder / "back").read_bytes() == content


def test_rm_of_an_older_generation_needs_another_that_is_whole(make_cluster) -> None:
    cluster = make_cluster(generations=2, repairs=False)
    path = stored(cluster, "model.safetensors", seed=1)
    first = max(generations(cluster, path))
    write(path, model(1, seed=2))
    assert is_done(cluster.store(path))
    second = max(generations(cluster, path))
    name = next((cluster.data(1) / "refs").iterdir()).name
    for rank in (2, 3):  # both copies of shard 1 of the newer one
        cluster.workers[rank].kill()
        (cluster.data(rank) / "refs" / name / str(second) / "1.json").unlink()
        cluster.start_worker(rank)
    refused = cluster.run("rm", "--ckpt-path", str(path), "--generation", str(first))
    assert refused.returncode == 1 and "no other generation of model.safetensors is safe" in refused.stderr
    assert first in generations(cluster, path)
    assert is_done(cluster.gather(path, generation=first, output=cluster.folder / "back"))


def test_a_superseded_generation_with_a_damaged_copy_goes_too(make_cluster) -> None:
    cluster = make_cluster(generations=2)
    path = stored(cluster, "model.safetensors", seed=1)
    first = max(generations(cluster, path))
    chunk = sorted(cluster.chunk_files(2).items())[0][1]
    data = bytearray(chunk.read_bytes())
    data[-1] ^= 1
    chunk.write_bytes(data)
    cluster.write_config(generations=1)
    write(path, model(1, seed=2))
    assert is_done(cluster.store(path))
    second = max(generations(cluster, path))
    assert second > first
    wait_until(lambda: generations(cluster, path) == {second}, "only the newest is left", SOON)


def test_rm_without_force_where_too_few_answer(make_cluster) -> None:
    """Whoever answers has only what a store left that did not end; the others have a good generation."""
    cluster = make_cluster(workers=8, n_chunks=4, repairs=False)
    path = stored(cluster, "run1/step_1/model.safetensors")
    holders = held(cluster, path)
    others = sorted(set(cluster.ranks) - holders)
    assert len(others) >= 2
    source = next((cluster.data(min(holders)) / "refs").iterdir())
    generation = max(generations(cluster, path))
    shard = next(source.glob("*/[0-9].json"))
    for rank in others[:2]:
        cluster.workers[rank].kill()
        newer = cluster.data(rank) / "refs" / source.name / str(generation + 1)
        newer.mkdir(parents=True)
        (newer / shard.name).write_text(shard.read_text().replace(str(generation), str(generation + 1)))
        cluster.start_worker(rank)
    for rank in holders:
        cluster.workers[rank].kill()
    refused = cluster.run("rm", "--ckpt-path", str(path))
    assert refused.returncode == 1, refused.stdout
    assert "the others may hold a complete generation" in refused.stderr, refused.stderr


def test_a_touched_file_that_was_forgotten_is_not_brought_back(make_cluster) -> None:
    cluster = make_cluster(start=False)
    cluster.start(watch=True)
    path = write(cluster.ckpt_root / "run1/step_1/model.safetensors", model(1))
    wait_until(lambda: identities(cluster), "the watcher has stored it", SOON)
    wait_until(lambda: cluster.run("status", "--ckpt-path", str(path)).returncode == 0, "it is safe", SOON)
    path.touch()
    # Not while the watcher has it looked at again.
    wait_until(lambda: cluster.run("rm", "--ckpt-path", str(path), "--force").returncode == 0, "it is forgotten", SOON)
    cluster.coordinator.kill()
    cluster.start_coordinator(watch=True)
    another = write(cluster.ckpt_root / "run1/step_2/model.safetensors", model(1, seed=2))
    wait_until(lambda: cluster.identity(another) in identities(cluster), "the watcher has been round", SOON)
    assert identities(cluster) == {cluster.identity(another)}


def test_a_step_of_which_a_part_is_lacking_replaces_none(make_cluster) -> None:
    cluster = make_cluster(retention={"keep_last": 1})
    parts = [stored(cluster, f"run1/step_{step}/model-0000{part}-of-00002.safetensors", seed=10 * step + part)
             for step in (1, 2) for part in (1, 2) if (step, part) != (2, 2)]
    time.sleep(25)  # two rounds of the repair
    assert all(held(cluster, path) for path in parts)
    last = stored(cluster, "run1/step_2/model-00002-of-00002.safetensors")
    wait_until(lambda: not held(cluster, parts[0]) and not held(cluster, parts[1]), "the older step goes", SOON)
    assert held(cluster, parts[2]) and held(cluster, last)


def test_what_a_store_left_that_did_not_end_is_cleared_away(make_cluster) -> None:
    cluster = make_cluster(collect_after="2s", proxied=True)
    path = write(cluster.ckpt_root / "run1/step_1/model.safetensors", model(1))
    rules = [cluster.proxies[rank].hold(r"^PUT /refs/[^?]*/manifest") for rank in cluster.ranks]
    with cluster.stream("store-shard", path) as store:
        next(store)
        for rule in rules:
            rule.wait_reached()
        cluster.coordinator.kill()
    assert {name for *_, name in cluster.refs(path)} == {"0", "1", "2", "3"}
    path.unlink()
    cluster.start_coordinator()
    wait_until(lambda: not held(cluster, path), "its refs are gone", SOON)


def test_a_worker_that_is_cut_off_in_the_middle_forgets_at_its_next_start(make_cluster) -> None:
    cluster = make_cluster()
    path = stored(cluster, "run1/step_1/model.safetensors")
    cluster.coordinator.kill()
    worker = cluster.workers[1]
    worker.kill()
    # The tombstone is durable, and the refs are still there: as if killed between the two.
    name = next((cluster.data(1) / "refs").iterdir()).name
    generation = max(generations(cluster, path))
    (cluster.data(1) / "tombstones" / f"{name}.json").write_text(
        f'{{"file_bytes":1,"identity":"{cluster.identity(path)}","mtime_ns":1,"up_to":{generation},"version":1}}')
    cluster.start_worker(1)
    assert 1 not in held(cluster, path)


def test_older_generations_go_once_the_newer_one_is_safe(make_cluster) -> None:
    cluster = make_cluster()
    path = stored(cluster, "model.safetensors", seed=1)
    first = max(generations(cluster, path))
    cluster.workers[4].kill()
    write(path, model(1, seed=2))
    assert is_done(cluster.store(path))
    cluster.start_worker(4)
    newest = max(generations(cluster, path))
    assert newest > first
    wait_until(lambda: generations(cluster, path) == {newest}, "only the newest generation is left", SOON)
    lines = cluster.gather(path, output=cluster.folder / "back")
    assert is_done(lines) and (cluster.folder / "back").read_bytes() == path.read_bytes()


def test_as_many_generations_stay_as_the_config_says_and_rm_takes_one(make_cluster) -> None:
    cluster = make_cluster(generations=2)
    path = stored(cluster, "model.safetensors", seed=1)
    contents = {max(generations(cluster, path)): path.read_bytes()}
    for seed in (2, 3):
        write(path, model(1, seed=seed))
        assert is_done(cluster.store(path))
        contents[max(generations(cluster, path))] = path.read_bytes()
    first, second, third = sorted(contents)
    wait_until(lambda: generations(cluster, path) == {second, third}, "two generations are left", SOON)
    lines = cluster.gather(path, generation=second, output=cluster.folder / "back")
    assert is_done(lines) and (cluster.folder / "back").read_bytes() == contents[second]
    assert cluster.run("rm", "--ckpt-path", str(path), "--generation", str(first)).returncode == 1
    done = cluster.run("rm", "--ckpt-path", str(path), "--generation", str(second))
    assert done.returncode == 0, done.stderr
    assert generations(cluster, path) == {third}
    last = cluster.run("rm", "--ckpt-path", str(path), "--generation", str(third))
    assert last.returncode == 1 and "last complete" in last.stderr


def test_a_mistyped_path_is_not_pinned(make_cluster) -> None:
    cluster = make_cluster()
    path = stored(cluster, "run1/step_1/model.safetensors")
    mistyped = path.with_name("modle.safetensors")
    for options in ([], ["--off"]):
        refused = cluster.run("pin", "--ckpt-path", str(mistyped), *options)
        assert refused.returncode == 1, refused
        assert refused.stdout.startswith("ERROR: run1/step_1/modle.safetensors is not stored on any worker that answers ")
        assert refused.stdout.count("\n") == 1
    assert not [mark for rank in cluster.ranks for mark in (cluster.data(rank) / "pins").glob("*")]
    assert cluster.run("pin", "--ckpt-path", str(path)).returncode == 0
    assert cluster.run("rm", "--ckpt-path", str(path), "--force").returncode == 0
    # A mark that is left over may be taken away.
    assert cluster.run("pin", "--ckpt-path", str(path)).returncode == 1
    assert cluster.run("pin", "--ckpt-path", str(path), "--off").returncode == 0


def test_retention_keeps_the_last_steps_and_what_is_pinned(make_cluster) -> None:
    cluster = make_cluster()
    steps = [stored(cluster, f"run1/step_{step}/model.safetensors") for step in (1, 2, 3, 4, 10)]
    other = stored(cluster, "run2/step_1/model.safetensors")
    pinned = cluster.run("pin", "--ckpt-path", str(steps[0]))
    assert pinned.returncode == 0
    assert pinned.stdout == "Done: run1/step_1/model.safetensors is pinned on 4 of 4 workers\n"
    cluster.write_config(retention={"keep_last": 2})
    planned = cluster.run("repair", "--dry-run")
    assert ("  to be forgotten: run1/step_2/model.safetensors, since `retention` does not keep it\n" in planned.stdout)
    kept = {cluster.identity(path) for path in (steps[0], steps[3], steps[4], other)}
    wait_until(lambda: identities(cluster) == kept, "two steps and the pinned one are left", SOON)
    assert "(pinned)" in cluster.run("ls").stdout
    # The pin is known to a worker that was away when it was set, and its end too.
    cluster.workers[3].kill()
    assert cluster.run("pin", "--ckpt-path", str(steps[0]), "--off").returncode == 0
    wait_until(lambda: cluster.get("/workers")["workers"][2]["presence"] == "down", "the loss is noticed", SOON)
    # What is at risk counts for nothing, so nothing goes while a worker is away.
    assert cluster.identity(steps[0]) in identities(cluster)
    cluster.start_worker(3)
    wait_until(lambda: cluster.identity(steps[0]) not in identities(cluster), "the pin has ended everywhere", SOON)


def test_the_space_comes_back(make_cluster) -> None:
    cluster = make_cluster(collect_after="2s")
    kept = stored(cluster, "kept.safetensors", 4, seed=1)
    before = chunk_bytes(cluster)
    path = stored(cluster, "gone.safetensors", 8, seed=2)
    assert chunk_bytes(cluster) > before + 15 * 2**20
    assert cluster.run("rm", "--ckpt-path", str(path), "--force").returncode == 0
    wait_until(lambda: chunk_bytes(cluster) == before, "the chunks are gone", SOON)
    wait_until(lambda: not any(live_files(cluster.data(rank), "trash/*") for rank in cluster.ranks), "trash too", SOON)
    lines = cluster.gather(kept, output=cluster.folder / "back")
    assert is_done(lines) and (cluster.folder / "back").read_bytes() == kept.read_bytes()


def test_a_store_beside_collections_loses_nothing(make_cluster) -> None:
    cluster = make_cluster(collect_after="1s")
    for seed in range(4):
        path = stored(cluster, "model.safetensors", 8, seed=seed % 2)  # content that was forgotten comes back
        assert cluster.run("rm", "--ckpt-path", str(path), "--force").returncode == 0
    path = stored(cluster, "model.safetensors", 8, seed=0)
    lines = cluster.gather(path, output=cluster.folder / "back")
    assert is_done(lines) and (cluster.folder / "back").read_bytes() == path.read_bytes()


def test_the_watcher_does_not_bring_back_what_retention_forgot(make_cluster) -> None:
    cluster = make_cluster(start=False, retention={"keep_last": 1})
    for rank in cluster.ranks:
        cluster.start_worker(rank)
    cluster.start_coordinator(watch=True)
    old = write(cluster.ckpt_root / "run1/step_1/model.safetensors", model(1, seed=1))
    new = write(cluster.ckpt_root / "run1/step_2/model.safetensors", model(1, seed=2))
    wait_until(lambda: identities(cluster) == {cluster.identity(new)} and not held(cluster, old),
               "only the newest step is kept", SOON)
    third = write(cluster.ckpt_root / "run1/step_3/model.safetensors", model(1, seed=3))
    wait_until(lambda: identities(cluster) == {cluster.identity(third)}, "only the newest step is kept", SOON)
    assert old.exists() and new.exists()


@pytest.mark.parametrize("wrong", [["rm"], ["pin"], ["drain"], ["status", "--wait"],
                                   ["status", "--ckpt-path", "x", "--timeout", "1"]])
def test_wrong_usage(make_cluster, wrong: list[str]) -> None:
    cluster = make_cluster(start=False)
    assert cluster.run(*wrong).returncode == 2
