"""The watcher and what happens around it: API and workers that go, gaps, direct calls. Issue 4."""
import os
import shutil
import subprocess
import threading
import time


import harness.reference_page as page
from harness.binary import GROVE, ROOT
from harness.http import http
from harness.lines import is_done
from harness.waiting import wait_until


def test_one_that_is_killed_in_the_middle_of_a_store_goes_on_at_its_next_start(make_watched):
    watched = make_watched(watch=False, proxied=True)
    watched.watch_alone()
    watched.write("a.safetensors")
    watched.wait_stored("a.safetensors")
    rule = watched.cluster.proxies[1].hold(r"^PUT /chunks/")
    watched.write("b.safetensors", seed=2)
    rule.wait_reached()
    watched.process.kill()
    rule.release()
    watched.watch_alone()
    stored = watched.wait_stored("a.safetensors", "b.safetensors")
    watched.settle()
    assert [len(stored[name]) for name in ("a.safetensors", "b.safetensors")] == [1, 1]


def test_it_waits_for_the_api_and_goes_on_by_itself(make_watched):
    watched = make_watched(watch=False)
    watched.watch_alone()
    watched.write("a.safetensors")
    watched.wait_stored("a.safetensors")
    watched.cluster.coordinator.kill()
    watched.write("b.safetensors", seed=2)
    watched.wait_for("is the API running there.*waiting")
    watched.cluster.start_coordinator()
    watched.wait_stored("b.safetensors")
    watched.wait_for("watcher: going on")  # once the round is over
    # A call that was under way when the API died has another cause than those after it.
    assert watched.count("is the API running there") in (1, 2)
    assert watched.count("watcher: going on") == 1


def test_it_waits_for_the_workers_and_goes_on_by_itself(make_watched):
    watched = make_watched(start=False)
    watched.cluster.start_coordinator(watch=True)
    watched.write("a.safetensors")
    watched.wait_for("none of 3 workers answers.*waiting")
    for rank in watched.cluster.ranks:
        watched.cluster.start_worker(rank)
    watched.wait_stored("a.safetensors", seconds=30)
    assert watched.count("none of 3 workers answers") == 1


def test_a_replaced_worker_is_filled_again_in_the_same_generation_once(watched):
    watched.write("a.safetensors")
    watched.write("b.safetensors", seed=2)
    before = watched.wait_stored("a.safetensors", "b.safetensors")
    (watched.root / "b.safetensors").unlink()  # nobody can mend this one
    watched.cluster.workers[1].kill()
    shutil.rmtree(watched.cluster.data(1))
    watched.cluster.start_worker(1)
    after = watched.wait_stored("a.safetensors", seconds=40)
    assert [g["generation"] for g in after["a.safetensors"]] == \
        [g["generation"] for g in before["a.safetensors"]]
    watched.wait_for("crosscheck: a.safetensors is mended")
    watched.wait_for("crosscheck: gap: b.safetensors: at risk.*its file is not under ckpt_root")
    watched.settle()
    assert watched.count("crosscheck: gap: a.safetensors: storing") == 1
    assert watched.count("crosscheck: gap: b.safetensors") == 1


def test_a_gap_is_named_and_not_mended_where_that_would_be_a_new_generation(watched):
    path = watched.write("a.safetensors")
    watched.wait_stored("a.safetensors")
    watched.cluster.write_config(n_chunks=2)
    watched.cluster.workers[1].kill()
    shutil.rmtree(watched.cluster.data(1))
    watched.cluster.start_worker(1)
    watched.wait_for("crosscheck: gap: a.safetensors: at risk.*stored in 3 shards and n_chunks is 2", 40)
    assert len({generation for _, generation, _ in watched.cluster.refs(path)}) == 1
    assert not watched.count("crosscheck: gap: a.safetensors: storing")


def test_a_forgotten_file_stays_forgotten_until_it_changes(make_watched):
    watched = make_watched(watch=False)
    path = watched.write("a.safetensors")
    status = path.stat()
    body = {"up_to": 1, "file_bytes": status.st_size, "mtime_ns": status.st_mtime_ns}
    for rank in watched.cluster.ranks:
        answer = http.put(f"{watched.cluster.worker_url(rank)}/tombstones/a.safetensors",
                          json=body)
        answer.raise_for_status()
    watched.watch_alone()
    watched.wait_for("transfer: a.safetensors was forgotten on purpose")
    watched.settle()
    assert "a.safetensors" not in watched.stored()
    watched.write("a.safetensors", seed=7)
    watched.wait_stored("a.safetensors")


def test_what_retention_would_drop_is_not_stored(make_watched):
    watched = make_watched(watch=False, retention={"keep_last": 2})
    names = [f"run1/step_{step}/model.safetensors" for step in (100, 200, 300)]
    for age, name in enumerate(names):
        os.utime(watched.write(name, seed=age), (10_000 + age, 10_000 + age))
    watched.watch_alone()
    watched.wait_for(f"transfer: {names[0]} is not stored: retention would drop it")
    watched.wait_stored(*names[1:])
    assert names[0] not in watched.stored()


def test_a_direct_call_and_the_watcher_store_the_same_content_once(watched):
    path = watched.write("a.safetensors")
    lines: list[str] = []
    calls = [threading.Thread(target=lambda: lines.extend(watched.cluster.store(path)))
             for _ in range(3)]
    for call in calls:
        call.start()
    watched.settle()
    for call in calls:
        call.join()
    assert sum(line.startswith("Done:") for line in lines) == 3
    assert len({generation for _, generation, _ in watched.cluster.refs(path)}) == 1


def test_the_workers_are_told_what_should_exist(watched):
    watched.write("a.safetensors")
    watched.wait_for("file_sync: 1 checkpoints named to 3 of 3 workers", 30)
    for rank in watched.cluster.ranks:
        listed = next(watched.cluster.data(rank).glob("**/expected*")).read_text()
        assert '"identity":"a.safetensors"' in listed.replace(" ", "")


def test_checksum_sync_rereads_what_is_due_once_and_names_damage(make_watched):
    watched = make_watched(watch=False)
    path = watched.write("a.safetensors")
    assert is_done(watched.cluster.store(path))
    chunk = next(iter(watched.cluster.chunk_files(1).values()))
    content = bytearray(chunk.read_bytes())
    content[-1] ^= 1
    chunk.write_bytes(content)
    # Nobody has read it for longer than scrub_every.
    long_ago = time.time() - 8 * 86_400
    for file in watched.cluster.chunk_files(1).values():
        os.utime(file, (long_ago, long_ago))
    watched.cluster.workers[3].kill()
    watched.watch_alone()
    watched.wait_for(r"checksum_sync: ✗ rank 1 \(pi-1\): \d+ copies re-read, 0 MB, 1 damaged")
    watched.wait_for("checksum_sync: ✗ rank 3 was not verified: ")
    watched.wait_for("checksum_sync: ERROR: 1 damaged chunks.*; 1/3 workers were not verified")
    watched.cluster.start_worker(3)
    watched.wait_for(r"checksum_sync: ✓ rank 3 \(pi-3\)")
    watched.wait_stored("a.safetensors", seconds=30)  # mended by the crosscheck
    assert len(watched.stored()["a.safetensors"]) == 1
    second = watched.watch_alone()
    second.wait_for_log("checksum_sync: Done:")
    assert watched.alone[0].text().count("rank 1 (pi-1): ") == 1  # once


def test_a_stop_is_prompt_however_young_the_process_is(make_watched):
    watched = make_watched()
    began = time.monotonic()
    assert watched.process.terminate() == 0
    assert time.monotonic() - began < 2, "no connection or timer keeps it"


def test_the_shim_samples(make_watched, tmp_path):
    """"Start the watcher", as the page has it. `uv` is not packaged for Debian: a stand-in that
    execs python takes its place."""
    watched = make_watched(watch=False)
    uv = tmp_path / "uv"
    uv.write_text('#!/bin/sh\n[ "$1" = run ] && [ "$2" = python ] || exit 64\nshift 2\n'
                  'exec /usr/bin/python3 "$@"\n')
    uv.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:/usr/bin:/bin", "GROVE_BINARY": str(GROVE),
                   "GROVE_CONFIG": str(watched.cluster.config_path)}
    plain, with_extensions = [line for line in page.WATCH.splitlines() if line.startswith("uv run")]
    for number, (sample, name) in enumerate([(plain, "a.safetensors"), (with_extensions, "b.pth")]):
        shim = subprocess.Popen(["bash", "-c", f"exec {sample} --metrics-port 0"], cwd=ROOT,
                                env=environment, stderr=subprocess.DEVNULL)
        try:
            watched.write(name, seed=number)
            watched.wait_stored(name)
            shim.terminate()
            assert wait_until(lambda: shim.poll() is not None, "the shim ends")
            assert shim.returncode == 0
        finally:
            shim.kill()
            shim.wait()
    refused = subprocess.run(["uv", "run", "python", "watcher/watch.py", "--ext", "pth"], cwd=ROOT,
                             env=environment, check=False, capture_output=True)
    assert refused.returncode == 2
