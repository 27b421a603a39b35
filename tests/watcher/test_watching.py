"""Which files the watcher takes, and when. Issue 4."""
import os
import shutil

import httpx
import pytest

from harness.checkpoints import model
from harness.ports import free_port
from harness.waiting import wait_until


def test_a_new_file_is_stored_by_itself_and_each_phase_says_so(watched):
    path = watched.write("run1/step_1/model.safetensors")
    watched.wait_stored("run1/step_1/model.safetensors")
    for phase in ["file_sync: 1 checkpoints named to 3 of 3 workers",
                  r"checksum_sync: Done: \d+ copies re-read on 3 workers, none damaged",
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
    port = free_port()
    watched.watch_alone("--metrics-port", str(port))
    watched.wait_for("the API running there")
    url = f"http://127.0.0.1:{port}/metrics"
    wait_until(lambda: "smoltorrent_watcher_files 2" in httpx.get(url, trust_env=False).text,
               "both files are known")
    path.unlink()
    shutil.rmtree(watched.root / "dir")
    watched.wait_for("transfer: gone.safetensors has vanished")
    watched.cluster.start_coordinator()
    watched.settle()
    assert watched.count("gone.safetensors") == 1


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
