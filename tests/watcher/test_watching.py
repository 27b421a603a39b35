"""Which files the watcher takes, and when. Issue 4."""
import os
import shutil

import pytest

from harness.checkpoints import model
from harness.http import http
from harness.ports import free_port
from harness.waiting import wait_until


def test_a_new_file_is_stored_by_itself_and_each_phase_says_so(watched):
    path = watched.write("run1/step_1/model.safetensors")
    watched.wait_stored("run1/step_1/model.safetensors")
    # A worker that is not up yet when it is asked first is asked again, alone.
    for phase in ["file_sync: 1 checkpoints named to 3 of 3 workers",
                  *(rf"checksum_sync: ✓ rank {rank} \(pi-{rank}\): \d+ copies re-read" for rank in (1, 2, 3)),
                  r"checksum_sync: Done: \d+ copies re-read on \d workers, none damaged",
                  r"transfer: run1/step_1/model.safetensors is stored \(\d+ bytes\)",
                  "crosscheck: 1 checkpoints, each with all its copies"]:
        watched.wait_for(phase)
    merged = path.with_name("merged.safetensors")
    assert watched.cluster.gather(path)[-1] == f"Done: saved → {merged}"
    assert merged.read_bytes() == path.read_bytes()
    # A changed file is a new generation; what gather wrote is no file of the user's.
    watched.write("run1/step_1/model.safetensors", seed=2)
    wait_until(lambda: watched.count("model.safetensors is stored") == 2, "the change is stored")
    watched.settle()
    assert watched.stored().keys() == {"run1/step_1/model.safetensors", "probe/0.safetensors"}
    assert not watched.count("transfer: .*merged")


def test_files_of_folders_that_come_later_and_of_renames_are_taken(watched):
    watched.wait_for("watching 0 files")
    watched.write("a/b/c/d/deep.safetensors")
    watched.write("tmp-step_5/x/model.safetensors", seed=2)
    watched.write("b/.writing.safetensors", seed=3)
    watched.wait_stored("a/b/c/d/deep.safetensors")
    (watched.root / "tmp-step_5").rename(watched.root / "step_5")
    (watched.root / "b/.writing.safetensors").rename(watched.root / "b/model.safetensors")
    watched.wait_stored("step_5/x/model.safetensors", "b/model.safetensors")
    assert len(watched.stored()) == 3


def test_a_half_written_file_waits_until_it_is_complete(watched):
    content = model(0.2, tensors=3)
    path = watched.write("slow.safetensors", content=content[:len(content) // 2])
    watched.wait_for("transfer: slow.safetensors is not complete")
    assert not watched.stored()
    with path.open("ab") as file:
        file.write(content[len(content) // 2:])
    watched.wait_stored("slow.safetensors")
    assert watched.stored()["slow.safetensors"][0]["bytes"] == len(content)


def test_a_file_that_is_written_slowly_is_named_once_and_stored_when_it_is_complete(watched):
    content = model(0.2, tensors=3)
    path = watched.write("slow.safetensors", content=b"")
    for end in (100, 5000, len(content)):
        watched.settle()  # it has rested meanwhile
        path.write_bytes(content[:end])
    watched.wait_stored("slow.safetensors")
    assert watched.count("slow.safetensors is not complete") == 1
    assert watched.count("slow.safetensors is stored") == 1


def test_a_file_that_changes_whenever_it_is_stored_is_named_once_and_held_back(watched):
    worker = watched.cluster.workers[1]
    watched.write("a.safetensors")
    watched.wait_stored("a.safetensors")

    def jobs(state: str) -> int:
        return sum(job["state"] == state and job["identity"] == "a.safetensors"
                   for job in watched.cluster.get("/jobs")["jobs"])
    for tries in (1, 2):
        worker.pause()
        watched.write("a.safetensors", seed=2 * tries)
        wait_until(lambda: jobs("running") == 1, "it is being stored")
        watched.write("a.safetensors", seed=2 * tries + 1)
        worker.resume()
        wait_until(lambda: jobs("failed") == tries, "the store has failed")
    wait_until(lambda: jobs("done") == 2, "it is stored when it rests")
    assert watched.count("a.safetensors changed while it was stored") == 1
    assert jobs("failed") == 2


def test_an_unreadable_file_is_taken_once_it_can_be_read(make_watched):
    watched = make_watched(watch=False)
    path = watched.write("a.safetensors")
    path.chmod(0)
    # In a namespace where nobody overrides a mode.
    watched.watch_alone(prefix=["unshare", "--user"])
    watched.wait_for("transfer: a.safetensors cannot be read: .*; it is taken when it can be")
    path.chmod(0o600)
    watched.wait_stored("a.safetensors")
    assert watched.count("a.safetensors cannot be read") == 1


def test_a_file_that_is_gone_before_it_rests_is_named_unless_it_has_another_name(watched):
    watched.wait_for("watching 0 files")
    brief = watched.root / "brief.safetensors"

    def is_noticed() -> bool:
        watched.write(brief.name)  # its wait begins anew
        text = http.get(f"{watched.cluster.url}/metrics").text
        return "smoltorrent_watcher_waiting_files 1" in text
    wait_until(is_noticed, "the file is noticed")
    brief.unlink()
    watched.wait_for("transfer: brief.safetensors has vanished before it was stored")
    watched.write("writing.safetensors", seed=2).rename(watched.root / "final.safetensors")
    watched.write("dir/a.safetensors", seed=3)
    (watched.root / "dir").rename(watched.root / "renamed")
    watched.wait_stored("final.safetensors", "renamed/a.safetensors")
    assert watched.count("has vanished") == 1


def test_what_is_left_alone_is_named_once_or_not_at_all(watched):
    watched.write("broken.safetensors", content=b"\xff" * 5000)
    watched.write("empty.safetensors", content=b"")
    watched.write("run/merged.safetensors", seed=4)
    for silent in [".hidden.safetensors", "tmp-1/model.safetensors", "a.tmp.safetensors", "x.pth",
                   "notes.txt"]:
        watched.write(silent, seed=5)
    watched.settle()
    os.utime(watched.root / "run", (1, 1))
    (watched.root / "broken.safetensors").chmod(0o600)  # a look, not a write
    watched.settle()
    text = watched.text()
    assert text.count("broken.safetensors") == 1
    assert text.count("transfer: empty.safetensors is not complete: it is empty") == 1
    assert text.count("transfer: run/merged.safetensors is not grove's") == 1
    for silent in ["hidden", "tmp-1", "a.tmp", "x.pth", "notes"]:
        assert silent not in text
    assert set(watched.stored()) == {"probe/0.safetensors", "probe/1.safetensors"}


def test_each_part_of_a_sharded_set_is_its_own_checkpoint_and_the_newest_goes_first(make_watched):
    watched = make_watched(watch=False)
    parts = [f"run1/step_1/model-0000{n}-of-00004.safetensors" for n in range(1, 5)]
    for age, name in enumerate(parts):
        path = watched.write(name, seed=age)
        os.utime(path, (10_000 - age, 10_000 - age))
    watched.watch_alone()
    watched.wait_stored(*parts)
    text = watched.text()
    order = sorted(parts, key=lambda name: text.index(f"transfer: {name} is stored"))
    assert order == parts


def test_a_file_that_vanishes_is_no_trouble(make_watched):
    watched = make_watched(watch=False, start=False)
    for rank in watched.cluster.ranks:
        watched.cluster.start_worker(rank)
    path = watched.write("gone.safetensors")
    watched.write("dir/gone2.safetensors")
    watched.write("moved/gone3.safetensors")
    port = free_port()
    watched.watch_alone("--metrics-port", str(port))
    watched.wait_for("the API running there")
    url = f"http://127.0.0.1:{port}/metrics"
    wait_until(lambda: "smoltorrent_watcher_files 3" in http.get(url).text,
               "all files are known")
    path.unlink()
    shutil.rmtree(watched.root / "dir")
    (watched.root / "moved").rename(watched.cluster.folder / "elsewhere")
    names = ["gone.safetensors", "dir/gone2.safetensors", "moved/gone3.safetensors"]
    for name in names:
        watched.wait_for(f"transfer: {name} has vanished before it was stored")
    watched.cluster.start_coordinator()
    watched.settle()
    assert [watched.count(name) for name in names] == [1, 1, 1]


def test_other_extensions_are_watched_when_told(make_watched, grove):
    watched = make_watched(watch=False)
    watched.watch_alone("--ext", ".safetensors,.pth")
    watched.write("a.pth", content=b"anything")
    watched.write("b.safetensors")
    watched.wait_stored("a.pth", "b.safetensors")
    for bad in ["pth", "", ".pth,", ".a/b"]:
        refused = grove("watch", "--ext", bad, "--config", str(watched.cluster.config_path))
        assert refused.returncode == 2 and "extension" in refused.stderr, bad


@pytest.mark.parametrize("limit", ["max_inotify_watches", "max_inotify_instances"])
def test_beyond_the_limit_of_inotify_the_tree_is_scanned(make_watched, limit):
    watched = make_watched(watch=False)
    for number in range(8):
        (watched.root / f"old_{number}").mkdir()
    value = 4 if limit == "max_inotify_watches" else 0
    inside = f"echo {value} > /proc/sys/user/{limit} && exec \"$@\""
    watched.watch_alone(prefix=["unshare", "--user", "--map-root-user", "sh", "-c", inside, "sh"])
    watched.wait_for("inotify cannot watch all folders under .* scanning them instead")
    watched.write("old_7/new/model.safetensors")
    watched.wait_stored("old_7/new/model.safetensors")
    assert watched.count("inotify cannot watch") == 1
