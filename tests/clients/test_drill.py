"""grove drill: a checkpoint is restored from the workers alone, compared, timed and removed."""
import json
import shutil
from hashlib import sha256
from pathlib import Path

from harness.checkpoints import model, write
from harness.cluster import CALL_SECONDS, Cluster
from harness.http import http
from harness.lines import assert_one_error, assert_our_own_lines_are_indented, is_done, matches



def drill(cluster: Cluster, path: Path | None = None, **parameters: object) -> list[str]:
    if path:
        parameters["ckpt_path"] = str(path)
    answer = http.post(f"{cluster.url}/drill", params=parameters, timeout=CALL_SECONDS)
    answer.raise_for_status()
    return answer.text.splitlines()


def last(cluster: Cluster) -> dict | None:
    return cluster.get("/drill")["drill"]


def metric(cluster: Cluster, name: str) -> float | None:
    values = [line.split()[1] for line in cluster.text("/metrics").splitlines() if line.startswith(f"smoltorrent_drill_{name} ")]
    return float(values[0]) if values else None


def stored(cluster: Cluster, name: str = "run1/step_1/model.safetensors", megabytes: float = 8,
           seed: int = 1) -> Path:
    path = write(cluster.ckpt_root / name, model(megabytes, seed=seed))
    lines = cluster.store(path)
    assert is_done(lines), "\n".join(lines)
    return path


def scratch_of(cluster: Cluster) -> list[Path]:
    """What drills have left, and what they must not make."""
    return [*cluster.folder.rglob(".grove-drill-*"), *cluster.ckpt_root.rglob("merged*"),
            *cluster.ckpt_root.rglob(".grove-*")]


def assert_ok(cluster: Cluster, lines: list[str], path: Path, size: int) -> None:
    text = "\n".join(lines)
    assert is_done(lines), text
    assert_our_own_lines_are_indented(lines[:-1])
    key = path.parent.relative_to(cluster.ckpt_root)
    assert lines[-1].startswith(f"Done: restored {key} ({size / 2**20:.1f} MB) in "), text
    assert lines[-1].endswith(" MB/s: the exact bytes"), text
    assert f"  restoring {cluster.identity(path)} → " in text
    result = last(cluster)
    assert result["ok"] is True and result["detail"] == "the exact bytes"
    assert (result["identity"], result["bytes"]) == (cluster.identity(path), size)
    assert result["generation"] == max(generation for _, generation, _ in cluster.refs(path))
    assert result["seconds"] > 0 and result["ended_ms"] > 1_700_000_000_000
    assert not scratch_of(cluster)


def test_the_exact_bytes_come_back_and_nothing_is_left(make_cluster) -> None:
    cluster = make_cluster(workers=3, keep_shards=True)
    path = stored(cluster)
    assert last(cluster) is None and metric(cluster, "ok") is None
    before = cluster.snapshot()
    assert_ok(cluster, drill(cluster, path), path, path.stat().st_size)
    assert cluster.snapshot() == before
    assert not (cluster.folder / "shards").exists()
    result = last(cluster)
    assert metric(cluster, "ok") == 1
    assert abs(metric(cluster, "duration_seconds") - result["seconds"]) < 1e-3
    assert abs(metric(cluster, "timestamp_seconds") - result["ended_ms"] / 1000) < 1
    job = next(job for job in cluster.get("/jobs")["jobs"] if job["kind"] == "drill")
    assert (job["state"], job["identity"]) == ("done", cluster.identity(path))


def test_without_the_local_file_and_without_a_worker(make_cluster) -> None:
    cluster = make_cluster(workers=3)
    path = stored(cluster)
    size = path.stat().st_size
    shutil.rmtree(cluster.ckpt_root / "run1")
    cluster.workers[2].kill()
    lines = drill(cluster, path)
    assert_ok(cluster, lines, path, size)
    assert matches(lines, "replica")
    assert not (cluster.ckpt_root / "run1").exists()


def test_any_checkpoint_is_chosen_by_chance(make_cluster) -> None:
    cluster = make_cluster(workers=3)
    paths = {cluster.identity(path): path for path in
             [stored(cluster, f"run1/step_{step}/model.safetensors", 1, step) for step in (1, 2)]}
    assert_one_error_of_nothing_stored(make_cluster(workers=2))
    seen = set()
    for _ in range(100):
        result = cluster.run("drill")
        assert result.returncode == 0, result
        identity = last(cluster)["identity"]
        assert_ok(cluster, result.stdout.splitlines(), paths[identity], paths[identity].stat().st_size)
        seen.add(identity)
        if seen == set(paths):
            return
    raise AssertionError(f"a hundred drills of {paths} were all of {seen}")


def assert_one_error_of_nothing_stored(empty: Cluster) -> None:
    assert "no complete checkpoint is stored" in assert_one_error(drill(empty))
    assert last(empty)["ok"] is False and last(empty)["identity"] == ""
    absent = empty.ckpt_root / "absent.safetensors"
    assert "is not stored on any worker" in assert_one_error(drill(empty, absent))
    assert last(empty)["identity"] == "absent.safetensors" and not scratch_of(empty)


def test_a_damaged_chunk_comes_from_the_other_copy(make_cluster) -> None:
    cluster = make_cluster(workers=3, repairs=False)
    path = stored(cluster)
    for chunk in cluster.chunk_files(1).values():
        data = bytearray(chunk.read_bytes())
        data[-1] ^= 1
        chunk.write_bytes(data)
    assert_ok(cluster, drill(cluster, path), path, path.stat().st_size)


def test_a_shard_without_any_copy_fails_and_the_result_says_so(make_cluster) -> None:
    cluster = make_cluster(workers=4)
    path = stored(cluster)
    for rank in (1, 2):  # shard 0 is on these
        cluster.workers[rank].kill()
    result = cluster.run("drill", "--ckpt-path", str(path))
    assert result.returncode == 1, result
    message = assert_one_error(result.stdout.splitlines())
    assert message.startswith(f"{cluster.identity(path)} cannot be restored: 1/4 shards failed")
    kept = last(cluster)
    assert kept["ok"] is False and kept["detail"] == message
    assert kept["identity"] == cluster.identity(path)
    assert metric(cluster, "ok") == 0
    assert not scratch_of(cluster)
    for rank in (1, 2):
        cluster.start_worker(rank)
    assert_ok(cluster, drill(cluster, path), path, path.stat().st_size)
    assert metric(cluster, "ok") == 1


def test_a_checkpoint_whose_manifests_are_gone_is_no_success_of_old(make_cluster) -> None:
    cluster = make_cluster(workers=2, repairs=False)
    path = stored(cluster, megabytes=1)
    assert_ok(cluster, drill(cluster, path), path, path.stat().st_size)
    assert metric(cluster, "ok") == 1
    for worker in cluster.workers.values():
        worker.terminate()
    for rank in cluster.ranks:
        shutil.rmtree(cluster.data(rank))
        cluster.start_worker(rank)
    message = assert_one_error(drill(cluster, path))
    assert last(cluster)["ok"] is False and last(cluster)["detail"] == message
    assert metric(cluster, "ok") == 0
    assert "FAILED: " + cluster.identity(path) in cluster.run("status").stdout


def test_the_last_result_outlives_the_coordinator(make_cluster) -> None:
    cluster = make_cluster(workers=2)
    path = stored(cluster, megabytes=1)
    assert_ok(cluster, drill(cluster, path), path, path.stat().st_size)
    before = last(cluster)
    cluster.coordinator.kill()
    cluster.start_coordinator()
    assert last(cluster) == before
    assert metric(cluster, "ok") == 1
    assert abs(metric(cluster, "timestamp_seconds") - before["ended_ms"] / 1000) < 1
    [kept] = (cluster.folder / "share").rglob("*.drill.json")
    cluster.coordinator.kill()
    kept.write_text("{")  # damaged
    cluster.start_coordinator()
    assert last(cluster) is None and metric(cluster, "ok") is None
    cluster.coordinator.wait_for_log("the last drill's result is not known: ")
    assert_ok(cluster, drill(cluster, path), path, path.stat().st_size)


def test_no_worker_at_all(make_cluster) -> None:
    cluster = make_cluster(workers=2)
    for worker in cluster.workers.values():
        worker.kill()
    assert "no worker answers" in assert_one_error(drill(cluster))
    assert last(cluster)["ok"] is False and last(cluster)["identity"] == ""
    drill(cluster, cluster.ckpt_root / "run1/model.bin")
    assert last(cluster)["identity"] == "run1/model.bin"


def test_what_a_killed_coordinator_left_is_swept_by_the_next_drill(make_cluster) -> None:
    cluster = make_cluster(workers=2, proxied=True)
    path = stored(cluster)
    holds = [proxy.hold(r"^GET /chunks/", times=1000) for proxy in cluster.proxies.values()]
    with cluster.stream("drill", path) as lines:
        next(line for line in lines if "restoring" in line)
        holds[0].wait_reached()
        cluster.coordinator.kill()
    for hold in holds:
        hold.release()
    assert scratch_of(cluster)
    cluster.start_coordinator()
    assert last(cluster) is None
    assert_ok(cluster, drill(cluster, path), path, path.stat().st_size)


def test_a_coordinator_that_is_told_to_stop_takes_its_scratch_along(make_cluster) -> None:
    cluster = make_cluster(workers=2, proxied=True)
    path = stored(cluster)
    holds = [proxy.hold(r"^GET /chunks/", times=1000) for proxy in cluster.proxies.values()]
    with cluster.stream("drill", path) as lines:
        next(line for line in lines if "restoring" in line)
        holds[0].wait_reached()
        assert scratch_of(cluster)
        assert cluster.coordinator.terminate() == 0
        assert "stopping" in list(lines)[-1]
    for hold in holds:
        hold.release()
    assert not scratch_of(cluster)


def test_a_second_request_joins_the_drill_that_runs_and_another_runs_beside_it(make_cluster) -> None:
    cluster = make_cluster(workers=2, proxied=True)
    paths = [stored(cluster, f"run1/step_{step}/model.safetensors", 4, step) for step in (1, 2)]
    holds = [proxy.hold(r"^GET /chunks/", times=1000) for proxy in cluster.proxies.values()]
    with cluster.stream("drill", paths[0]) as first:
        next(line for line in first if "restoring" in line)
        holds[0].wait_reached()
        with cluster.stream("drill", paths[0]) as second, cluster.stream("drill", paths[1]) as other:
            assert "restoring run1/step_1/" in next(second)
            assert "restoring run1/step_2/" in next(other)
            drills = [job for job in cluster.get("/jobs")["jobs"] if job["kind"] == "drill"]
            assert len(drills) == 2
            for hold in holds:
                hold.release()
            ends = [list(lines)[-1] for lines in (first, second, other)]
    assert all(end.endswith("the exact bytes") for end in ends) and ends[0] == ends[1] != ends[2]
    assert not scratch_of(cluster)


def test_the_scratch_folder_that_was_asked_for(make_cluster, tmp_path: Path) -> None:
    cluster = make_cluster(workers=2)
    path = stored(cluster, megabytes=1)
    scratch = tmp_path / "my scratch"
    scratch.mkdir()
    lines = drill(cluster, path, scratch=str(scratch))
    assert_ok(cluster, lines, path, path.stat().st_size)
    assert any(f" → {scratch}/.grove-drill-" in line for line in lines)
    assert not list(scratch.iterdir())
    for wrong, word in ((cluster.ckpt_root, "lies in ckpt_root"), (tmp_path / "absent", "is no folder"),
                        ("relative", "absolute path"), ("", "absolute path")):
        assert word in assert_one_error(drill(cluster, path, scratch=str(wrong)))
    assert last(cluster)["ok"] is True  # none of these says anything of the copies
    refused = cluster.run("drill", "--scratch", str(cluster.ckpt_root))
    assert refused.returncode == 1 and "lies in ckpt_root" in refused.stdout
    assert "is not under ckpt_root" in assert_one_error(drill(cluster, Path("/elsewhere")))


def test_a_manifest_that_is_of_other_bytes(make_cluster) -> None:
    """Workers agree with themselves, and yet it is not what was stored: only the whole file tells."""
    cluster = make_cluster(workers=2, repairs=False)
    path = stored(cluster, megabytes=1)
    lie_about_the_whole_file(cluster, path)
    message = assert_one_error(drill(cluster, path))
    assert "is not what was stored: its SHA-256 is" in message
    assert last(cluster)["ok"] is False and not scratch_of(cluster)


def lie_about_the_whole_file(cluster: Cluster, path: Path) -> None:
    name = sha256(cluster.identity(path).encode()).hexdigest()
    for worker in cluster.workers.values():
        worker.terminate()
    for rank in cluster.ranks:
        [ref] = cluster.data(rank).glob(f"refs/{name}/*/manifest.json")
        target = json.loads(ref.read_text())["target"]
        manifest = cluster.data(rank) / "manifests" / target
        text = manifest.read_bytes()
        whole = sha256(path.read_bytes()).hexdigest().encode()
        assert whole in text
        changed = text.replace(whole, b"0" * 64)
        digest = sha256(changed).hexdigest()
        manifest.with_name(digest).write_bytes(changed)
        ref.write_text(ref.read_text().replace(target, digest))
        cluster.start_worker(rank)
