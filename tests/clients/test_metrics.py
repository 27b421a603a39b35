"""/metrics of every process: what docs/operations.md lists, with the values of what happened (#4)."""
import re
import subprocess
from pathlib import Path

import pytest

from harness.checkpoints import random_bytes
from harness.cluster import Cluster
from harness.http import http
from harness.waiting import wait_until

OPERATIONS = Path(__file__).resolve().parents[2] / "docs/operations.md"
ROWS = re.findall(r"^\| `(smoltorrent_\w+)` \| (.*?) \| (.*?) \|", OPERATIONS.read_text(), re.M)


def documented(role: str) -> set[str]:
    return {name for name, _, roles in ROWS if role in roles or roles == "all"}


def scrape(url: str, path: str = "/metrics/") -> str:
    answer = http.get(url + path, timeout=10)
    answer.raise_for_status()
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    return answer.text


def families(text: str) -> set[str]:
    return set(re.findall(r"^# TYPE (\w+) ", text, re.M))


def value(text: str, name: str, **labels: object) -> float:
    """The one value of that name with (at least) these labels."""
    found = [float(number) for inside, number in
             re.findall(rf"^{name}(?:{{(.*?)}})? (\S+)$", text, re.M)
             if all(f'{label}="{wanted}"' in inside for label, wanted in labels.items())]
    assert len(found) == 1, f"{name} {labels}: {found}\n{text}"
    return found[0]


@pytest.fixture
def busy(make_cluster) -> Cluster:
    """A cluster with a store, a gather past a damaged chunk, a failed store, and a dead worker."""
    cluster = make_cluster(workers=3, redundancy=2)
    file = cluster.ckpt_root / "run1/step_1/model.bin"
    file.parent.mkdir(parents=True)
    file.write_bytes(bytes(range(256)) * 8192)
    assert cluster.store(file)[-1].startswith("Done:")
    chunk = next(iter(cluster.chunk_files(1).values()))
    data = bytearray(chunk.read_bytes())
    data[-1] ^= 1
    chunk.write_bytes(data)
    assert cluster.gather(file)[-1].startswith("Done:")
    assert cluster.store(cluster.ckpt_root / "missing.bin")[-1].startswith("ERROR:")
    http.post(cluster.worker_url(2) + "/scrub").raise_for_status()
    cluster.workers[3].kill()
    return cluster


def test_what_happened_is_counted_and_every_metric_is_documented(busy: Cluster) -> None:
    def after_the_death() -> str | None:
        text = scrape(busy.url)
        return text if value(text, "smoltorrent_worker_up", rank=3) == 0 else None
    text = wait_until(after_the_death, "a survey sees that worker 3 is gone", 30)

    assert value(text, "smoltorrent_store_operations_total", result="done") == 1
    assert value(text, "smoltorrent_store_operations_total", result="failed") == 1
    assert value(text, "smoltorrent_gather_operations_total", result="done") == 1
    assert value(text, "smoltorrent_store_wall_seconds_count") == 2
    assert value(text, "smoltorrent_gather_wall_seconds_count") == 1
    assert value(text, "smoltorrent_send_duration_seconds_count") == 6  # 3 shards, twice
    assert value(text, "smoltorrent_transfer_errors_total", rank=1) >= 1
    assert value(text, "smoltorrent_transfer_errors_total", rank=2) == 0
    assert value(text, "smoltorrent_worker_up", rank=1, host="pi-1") == 1
    assert value(text, "smoltorrent_worker_damaged_refs", rank=1) >= 1
    assert value(text, "smoltorrent_checkpoints", state="safe") == 0
    assert value(text, "smoltorrent_copies_wanted", state="out_of_reach") == 6
    assert value(text, "smoltorrent_checkpoint_not_safe", identity="run1/step_1/model.bin",
                 state="out_of_reach") == 1
    assert value(text, "smoltorrent_jobs", kind="store", state="running") == 0
    assert value(text, "smoltorrent_survey_age_seconds") < 30
    assert documented("coordinator") - families(text) == {
        "smoltorrent_newest_safe_checkpoint_age_seconds",  # nothing is safe now
        # No drill has been.
        "smoltorrent_drill_timestamp_seconds", "smoltorrent_drill_duration_seconds", "smoltorrent_drill_ok"}
    assert families(text) <= documented("coordinator") | documented("watcher")

    worker = scrape(busy.worker_url(2), "/metrics")
    # The schedule of the scrub has not looked yet.
    assert families(worker) | {"smoltorrent_pull_errors_total", "smoltorrent_oldest_proof_age_seconds"} \
        == documented("worker")
    assert value(worker, "smoltorrent_copies_held") == 2
    assert value(worker, "smoltorrent_scrub_chunks_total") >= 1
    assert value(worker, "smoltorrent_scrub_damaged_chunks_total") == 0
    assert value(scrape(busy.worker_url(1)), "smoltorrent_quarantined_files") == 1

    for page in (text, worker):
        linted = subprocess.run(["promtool", "check", "metrics"], input=page, text=True,
                                capture_output=True, timeout=60, check=False)
        assert linted.returncode == 0, linted.stdout + linted.stderr


def test_a_safe_checkpoint_says_how_old_it_is(make_cluster) -> None:
    cluster = make_cluster(workers=2)
    file = cluster.ckpt_root / "run1/model.bin"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"x" * 1000)
    assert cluster.store(file)[-1].startswith("Done:")
    text = scrape(cluster.url)
    assert 0 <= value(text, "smoltorrent_newest_safe_checkpoint_age_seconds") < 60
    assert value(text, "smoltorrent_checkpoints", state="safe") == 1
    assert value(text, "smoltorrent_checkpoint_bytes", state="safe") == 1000
    assert value(text, "smoltorrent_copies_live", state="safe") == 4
    assert value(text, "smoltorrent_worker_copies", rank=2) == 2
    assert "smoltorrent_checkpoint_not_safe{" not in text


def test_a_worker_that_hangs_delays_a_scrape_by_seconds_only(make_cluster) -> None:
    cluster = make_cluster(workers=2)
    cluster.workers[2].pause()
    answer = http.get(cluster.url + "/metrics/", timeout=9)  # Prometheus: 10 s
    assert "smoltorrent_store_operations_total" in answer.text


def test_what_is_counted_by_rank_is_there_before_the_first_event(make_cluster) -> None:
    """increase() and rate() miss the first step of a series that begins with 1."""
    cluster = make_cluster(workers=2)
    text = scrape(cluster.url)
    for rank in cluster.ranks:
        for presence in ("up", "late", "down", "full"):
            # One that starts later than the coordinator is late.
            assert value(text, "smoltorrent_worker_changes_total", rank=rank, presence=presence) <= 1
        assert value(text, "smoltorrent_worker_changes_total", rank=rank, presence="full") == 0
        assert value(text, "smoltorrent_transfer_errors_total", rank=rank) == 0
        assert value(text, "smoltorrent_gather_damaged_chunks_total", rank=rank) == 0
    assert value(text, "smoltorrent_repair_copies_made_total") == 0


def test_what_repair_does_is_counted(make_cluster) -> None:
    cluster = make_cluster(workers=3)
    file = cluster.ckpt_root / "run1/model.bin"
    file.parent.mkdir(parents=True)
    file.write_bytes(random_bytes(2_000_000))  # no two chunks alike: each copy brings its own bytes
    assert cluster.store(file)[-1].startswith("Done:")
    cluster.lose_disk(2)
    cluster.start_worker(2)
    wait_until(lambda: cluster.newest()["safety"] == "safe",
               "the copies are made again", 60)
    # The copies count a moment before the round does.
    made = wait_until(lambda: value(scrape(cluster.url), "smoltorrent_repair_copies_made_total"),
                      "they are counted", 10)
    text = scrape(cluster.url)
    assert made == 2 and value(text, "smoltorrent_repair_bytes_total") >= 1_200_000
    assert value(text, "smoltorrent_repair_copies_dropped_total") == 0
