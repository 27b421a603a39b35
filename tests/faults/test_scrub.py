"""Damage on disks: found by itself, shown, mended; and the proof when somebody asks for it."""
import re
from pathlib import Path

import pytest

from harness.checkpoints import model, write
from harness.cluster import Cluster
from harness.http import http
from harness.lines import is_done
from harness.waiting import wait_until

MENDED_WITHIN = 60  # seconds


def stored(cluster: Cluster, name: str = "run1/step_1/model.safetensors", megabytes: float = 8) -> Path:
    path = write(cluster.ckpt_root / name, model(megabytes, seed=len(name)))
    lines = cluster.store(path)
    assert is_done(lines), "\n".join(lines)
    return path


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def counter(cluster: Cluster, rank: int, name: str) -> float:
    text = http.get(cluster.worker_url(rank) + "/metrics", timeout=30).text
    return float(re.search(rf"^{name} (\S+)$", text, re.MULTILINE)[1])


def states(cluster: Cluster, rank: int, path: Path) -> set[str]:
    page = http.get(cluster.worker_url(rank) + "/refs", params={"identity": cluster.identity(path)},
                    timeout=30).json()
    return {row["state"] for row in page["refs"]}


def test_damage_is_found_on_schedule_and_mended_without_anybody_asking(make_cluster) -> None:
    cluster = make_cluster(scrub_every="4s")
    path = stored(cluster)
    damaged = dict(list(cluster.chunk_files(2).items())[:3])
    contents = {name: file.read_bytes() for name, file in damaged.items()}
    for file in damaged.values():
        flip(file)
    wait_until(lambda: len(list((cluster.data(2) / "quarantine").iterdir())) == 3, "all of it is found", MENDED_WITHIN)
    assert counter(cluster, 2, "smoltorrent_scrub_damaged_chunks_total") == 3

    def is_mended() -> bool:
        files = cluster.chunk_files(2)
        return all(name in files and files[name].read_bytes() == content for name, content in contents.items())

    wait_until(is_mended, "it is mended", MENDED_WITHIN)
    wait_until(lambda: cluster.newest()["safety"] == "safe", "it is safe again", MENDED_WITHIN)
    assert states(cluster, 2, path) == {"ok"}


def test_damage_shows_at_once_in_every_verdict(make_cluster) -> None:
    cluster = make_cluster(scrub_every="4s", repairs=False)
    path = stored(cluster)
    flip(next(iter(cluster.chunk_files(2).values())))
    wait_until(lambda: "damaged" in states(cluster, 2, path), "the worker says so", MENDED_WITHIN)
    assert cluster.newest()["verdict"].startswith("at risk: 1 of 2 copies; damaged on pi-2"), cluster.newest()
    assert "damaged on pi-2" in cluster.run("status").stdout


def test_a_schedule_outlives_a_restart(make_cluster) -> None:
    cluster = make_cluster(scrub_every="30s")
    stored(cluster)
    chunks = len(cluster.chunk_files(2))
    wait_until(lambda: counter(cluster, 2, "smoltorrent_scrub_chunks_total") >= chunks, "all is read once", 60)
    cluster.workers[2].kill()
    cluster.start_worker(2)
    # It looks within a quarter of the period, and by then nothing is due.
    wait_until(lambda: "smoltorrent_oldest_proof_age_seconds" in http.get(
        cluster.worker_url(2) + "/metrics", timeout=30).text, "it has looked", 30)
    assert counter(cluster, 2, "smoltorrent_scrub_chunks_total") == 0
    assert counter(cluster, 2, "smoltorrent_oldest_proof_age_seconds") < 30


def test_a_scrub_reads_the_disk_and_not_the_page_cache(make_cluster) -> None:
    cluster = make_cluster()
    stored(cluster, megabytes=24)
    io = Path(f"/proc/{cluster.workers[2].pid}/io")

    def read_bytes() -> int:
        return int(re.search(r"^read_bytes: (\d+)$", io.read_text(), re.MULTILINE)[1])

    cluster.run("verify")
    before = read_bytes()
    if before == 0:
        pytest.skip("the file system here does not count what it reads")
    assert cluster.run("verify").returncode == 0
    held = sum(file.stat().st_size for file in cluster.chunk_files(2).values())
    assert read_bytes() - before >= held


def test_damage_met_in_a_gather_is_told_and_mended(make_cluster) -> None:
    cluster = make_cluster()
    path = stored(cluster)
    for file in list(cluster.chunk_files(2).values()):
        flip(file)
    lines = cluster.gather(path, output=cluster.folder / "back")
    assert is_done(lines), "\n".join(lines)
    assert (cluster.folder / "back").read_bytes() == path.read_bytes()
    assert "  ✗ rank 2 (pi-2) has damaged chunks: another copy is taken, and theirs mended" in lines
    assert re.search(r'^smoltorrent_gather_damaged_chunks_total\{rank="2"\} [1-9]', cluster.text("/metrics"),
                     re.MULTILINE)
    wait_until(lambda: cluster.newest()["safety"] == "safe" and len(list(
        (cluster.data(2) / "quarantine").iterdir())) > 0, "it is mended", 2 * MENDED_WITHIN)
    cluster.workers[1].kill()
    cluster.workers[3].kill()
    proof = http.get(cluster.worker_url(2) + "/refs", params={"identity": cluster.identity(path), "verify": "now"},
                     timeout=60).json()
    assert {row["state"] for row in proof["refs"]} == {"ok"}


def test_verify_prints_the_proof_of_every_copy(make_cluster) -> None:
    cluster = make_cluster(repairs=False)
    path = stored(cluster)
    proven = cluster.run("verify", "--ckpt-path", str(path))
    assert proven.returncode == 0, proven.stdout
    lines = proven.stdout.splitlines()
    for shard in range(4):
        for rank in (shard % 4 + 1, (shard + 1) % 4 + 1):
            assert any(line.startswith(f"  ✓ shard {shard} on rank {rank} (pi-{rank}): ")
                       and line.endswith(" MB re-read from the disk, every chunk matches its SHA-256")
                       for line in lines), proven.stdout
    assert re.match(r"Done: run1/step_1/model.safetensors generation \d+: 8 of 8 copies proven; "
                    r"the SHA-256 of the file is [0-9a-f]{64}$", lines[-1]), lines[-1]
    # Proven a moment ago, and yet it is read again.
    flip(next(iter(cluster.chunk_files(3).values())))
    damaged = cluster.run("verify", "--ckpt-path", str(path))
    assert damaged.returncode == 1
    assert re.search(r"^  ✗ .* on rank 3 \(pi-3\): 1 chunks are damaged or gone$", damaged.stdout, re.MULTILINE)
    assert "7 of 8 copies proven; grove repair makes what is missing from the other copies" in damaged.stdout
    assert cluster.run("repair").returncode == 0
    assert cluster.run("verify", "--ckpt-path", str(path)).returncode == 0
    unknown = cluster.run("verify", "--ckpt-path", str(cluster.ckpt_root / "other.bin"))
    assert unknown.returncode == 1 and "ERROR: other.bin is not stored" in unknown.stdout
    cluster.workers[4].kill()
    away = cluster.run("verify", "--ckpt-path", str(path))
    assert away.returncode == 1 and "  ✗ rank 4 (pi-4) was not asked: " in away.stdout


def test_verify_of_everything_fails_while_anything_is_missing(make_cluster) -> None:
    cluster = make_cluster(repairs=False)
    stored(cluster)
    assert cluster.run("verify").returncode == 0
    # As after fsck: the file is gone, and nothing has met the damage.
    next(iter(cluster.chunk_files(3).values())).unlink()
    for _ in range(2):
        missing = cluster.run("verify")
        assert missing.returncode == 1, missing.stdout
        assert re.search(r"^  ✗ rank 3 \(pi-3\): .*, [12] copies not whole \([12] chunks missing\)$",
                         missing.stdout, re.MULTILINE), missing.stdout
        assert re.search(r"^ERROR: 0 damaged chunks, [12] copies not whole; grove repair makes",
                         missing.stdout, re.MULTILINE), missing.stdout
    assert cluster.run("repair").returncode == 0
    assert cluster.run("verify").returncode == 0
