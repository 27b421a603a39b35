"""Faults at random moments of every step: whatever was acknowledged comes back, and the cluster becomes whole by itself.

Each test prints what it did; the same seed makes the same choices. FAULT_SEEDS=100 tries more of them."""
import os
import random
import shutil
import subprocess
import threading
from pathlib import Path

import pytest

from harness.checkpoints import model, random_bytes
from harness.cluster import Cluster
from harness.promise import Ledger

SEEDS = range(1, int(os.environ.get("FAULT_SEEDS", "1")) + 1)
SOON = 150  # seconds
OBJECTS = r"/(chunks|shardlists|manifests)/[0-9a-f]{64}"


def filled(cluster: Cluster, chance: random.Random, count: int = 3) -> Ledger:
    ledger = Ledger(cluster)
    for number in range(count):
        assert ledger.store(cluster.ckpt_root / f"run1/step_{number}/model.safetensors",
                            model(chance.choice([0.5, 3, 9]), seed=chance.randrange(1 << 20)))
    return ledger


def fill(path: Path, mebibytes: int) -> None:
    try:
        path.write_bytes(b"\0" * mebibytes * 2**20)
    except OSError:  # full now
        pass


def lose_disk(cluster: Cluster, rank: int) -> None:
    cluster.workers[rank].kill()
    shutil.rmtree(cluster.data(rank))
    cluster.start_worker(rank)


# What runs while somebody is killed, and which requests to workers it makes.
STEPS = {
    "store": r"^(POST /(chunks/missing|sync|pull)|PUT /(chunks|shardlists|manifests|refs))",
    "gather": r"^GET /(refs|chunks|shardlists|manifests)",
    "repair": r"^(POST /(pull|sync)|PUT /(shardlists|refs|manifests))",
    "hand-back": r"^(DELETE /refs|GET /refs.*verify)",
    "forget": r"^PUT /tombstones",
    "collect": r"^POST /gc",
}


def begin(step: str, ledger: Ledger, seed: int) -> threading.Thread | None:
    """Starts it in the background; none: it comes by itself."""
    cluster = ledger.cluster
    path = ledger.paths()[0]
    calls = {
        "store": lambda: ledger.store(cluster.ckpt_root / "run2/model.safetensors", model(9, seed=seed)),
        "gather": lambda: cluster.run("gather", "--ckpt-path", str(path), "--output", str(cluster.folder / "out")),
        "repair": lambda: cluster.run("repair"),
        "hand-back": lambda: cluster.run("repair"),
        "forget": lambda: ledger.forget(path),
        "collect": lambda: [subprocess.run(["curl", "-s", "-X", "POST", cluster.worker_url(rank) + "/gc"], check=False,
                                           capture_output=True) for rank in cluster.ranks],
    }
    thread = threading.Thread(target=calls[step])
    thread.start()
    return thread


@pytest.mark.parametrize("victim", ["worker", "coordinator"])
@pytest.mark.parametrize("step", list(STEPS))
@pytest.mark.parametrize("seed", SEEDS)
def test_a_kill_at_a_random_request_of_every_step(make_cluster, step: str, victim: str, seed: int) -> None:
    chance = random.Random(f"{seed} {step} {victim}")
    cluster = make_cluster(proxied=True, repair_after="1s", collect_after="1s")
    ledger = filled(cluster, chance)
    if step in ("repair", "hand-back"):
        cluster.workers[3].kill()
        if step == "hand-back":
            # Others keep its copies; when it is back they are surplus.
            assert ledger.store(cluster.ckpt_root / "run3/model.safetensors", model(3, seed=seed))
        else:
            shutil.rmtree(cluster.data(3))
        cluster.start_worker(3)
    rank = chance.choice(cluster.ranks)
    number = chance.randrange(6)
    print(f"seed {seed}: {step}: the {victim} (rank {rank}) is killed at request {number}")
    rule = cluster.proxies[rank].hold(STEPS[step], skip=number)
    running = begin(step, ledger, seed)
    # Not every step makes so many requests there: then the kill comes when it is over.
    rule.reached.wait(8)
    process = cluster.coordinator if victim == "coordinator" else cluster.workers[rank]
    process.kill()
    rule.drop()
    if victim == "coordinator":
        cluster.start_coordinator()
    else:
        cluster.start_worker(rank)
    running.join(SOON)
    assert not running.is_alive()
    ledger.check_all()
    ledger.wait_until_whole(SOON)
    ledger.check_all()
    assert cluster.run("verify").returncode == 0


@pytest.mark.parametrize("seed", SEEDS)
def test_bits_that_flip_on_the_wire_are_never_believed(make_cluster, seed: int) -> None:
    cluster = make_cluster(proxied=True)
    ledger = filled(cluster, random.Random(seed))
    for rank, proxy in cluster.proxies.items():
        proxy.flip_bits(OBJECTS, 0.1, seed * 10 + rank)
    stored = sum(ledger.store(cluster.ckpt_root / f"run2/step_{number}/model.safetensors", model(6, seed=number))
                 for number in range(3))
    output = cluster.folder / "out"
    for path in ledger.paths():
        lines = cluster.gather(path, output=output)
        if lines[-1].startswith("Done:"):
            assert output.read_bytes() == path.read_bytes()
        else:
            assert lines[-1].startswith("ERROR:"), lines
    flipped = sum(proxy.flipped for proxy in cluster.proxies.values())
    print(f"seed {seed}: {flipped} bits flipped, {stored} of 3 stores acknowledged")
    assert flipped > 0
    for proxy in cluster.proxies.values():
        proxy.flip_no_more()
    ledger.wait_until_whole(SOON)
    ledger.check_all()
    assert cluster.run("verify").returncode == 0


@pytest.mark.parametrize("kind", ["chunks/*/*", "shardlists/*", "manifests/*", "refs/*/*/*.json"])
@pytest.mark.parametrize("seed", SEEDS)
def test_bits_that_flip_on_a_disk_are_found_and_mended(make_cluster, kind: str, seed: int) -> None:
    chance = random.Random(f"{seed} {kind}")
    cluster = make_cluster(scrub_every="4s")
    ledger = filled(cluster, chance)
    cluster.workers[2].kill()
    files = sorted(cluster.data(2).glob(kind))
    for file in chance.sample(files, max(1, len(files) // 3)):
        content = bytearray(file.read_bytes())
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        file.write_bytes(content)
        print(f"seed {seed}: a bit of {file.relative_to(cluster.folder)} is flipped")
    cluster.start_worker(2)
    ledger.check_all()
    ledger.wait_until_whole(SOON)
    # All that is promised is on the others' disks and on this one's: one of either may go now.
    assert cluster.run("verify").returncode == 0
    lose_disk(cluster, 3)
    ledger.wait_until_whole(SOON)
    ledger.check_all()


def test_a_worker_that_gives_other_bytes_is_not_believed(make_cluster) -> None:
    cluster = make_cluster(proxied=True, repairs=False)
    ledger = Ledger(cluster)
    assert ledger.store(cluster.ckpt_root / "model.safetensors", model(24, seed=3))
    cluster.proxies[2].flip_bits(r"^GET /chunks", 1.0, 3)
    ledger.check_all()
    lines = cluster.gather(ledger.paths()[0], output=cluster.folder / "back")
    assert any("rank 2 (pi-2) has damaged chunks" in line for line in lines), lines


def test_a_worker_that_claims_what_it_has_not_is_found_out(make_cluster) -> None:
    cluster = make_cluster(scrub_every="4s")
    ledger = filled(cluster, random.Random(4))
    for file in cluster.chunk_files(2).values():
        file.unlink()  # behind its back: it goes on claiming them
    ledger.check_all()
    ledger.wait_until_whole(SOON)
    cluster.workers[1].kill()
    cluster.workers[3].kill()
    assert cluster.chunk_files(2)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_disk_that_fills_at_random_moments(make_cluster, tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    cluster = make_cluster(start=False, reserve="1 MiB", collect_after="1s", repair_after="1s")
    disk = cluster.data(2)
    disk.mkdir(parents=True)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(disk)], capture_output=True,
                      check=False).returncode != 0:
        pytest.skip("mounting is not allowed here")
    try:
        for rank in (1, 3, 4):
            cluster.start_worker(rank)
        cluster.start_worker(2, "--new")
        cluster.start_coordinator()
        ledger = Ledger(cluster)
        for number in range(6):
            # Somebody else fills the disk, and frees it again.
            fill(disk / "other", chance.choice([0, 8, 14, 20]))
            path = cluster.ckpt_root / f"run1/step_{number}/model.bin"
            assert ledger.store(path, random_bytes(chance.choice([300_000, 4_000_000, 9_000_000]), seed * 100 + number))
            ledger.check(path)
            (disk / "other").unlink()
        ledger.check_all()
        ledger.wait_until_whole(SOON)
        assert not cluster.temporary_files()
    finally:
        cluster.workers[2].kill()
        subprocess.run(["umount", "--lazy", str(disk)], capture_output=True, check=False)
