"""Addresses in config.yaml are hints: a worker that is elsewhere is found for the job."""
from concurrent.futures import ThreadPoolExecutor

from harness.checkpoints import model, write
from harness.waiting import wait_until


def moved_lines(lines: list[str]) -> list[str]:
    return [line for line in lines if "has moved to" in line]


def test_two_workers_whose_addresses_were_swapped(make_lab_cluster):
    cluster = make_lab_cluster(3).start()
    one, two = (cluster.lab.host(name).address for name in ("w1", "w2"))
    cluster.write_config([cluster.device(1, two), cluster.device(2, one), cluster.device(3)])
    path = write(cluster.ckpt_root / "run" / "step_1" / "model.safetensors", model(1))
    lines = cluster.job("store-shard", path)
    assert lines[-1] == "Done: 6/6 sends (2x replicated) → run/step_1"
    assert moved_lines(lines) == [
        f"  rank 1 has moved to {one}:5001 (mDNS): w1 ({two}:5001): connection refused",
        f"  rank 2 has moved to {two}:5002 (mDNS): w2 ({one}:5002): connection refused"]
    gathered = cluster.job("gather-shards", path)
    assert gathered[-1].startswith("Done: saved → ")
    assert len(moved_lines(gathered)) == 2
    assert (path.parent / "merged.safetensors").read_bytes() == path.read_bytes()


def test_another_worker_at_the_address_gets_nothing_that_is_not_its_own(make_lab_cluster):
    """Both listen on the same port here, so each address answers, as the wrong rank."""
    cluster = make_lab_cluster(2)
    one, two = (cluster.lab.host(name).address for name in ("w1", "w2"))
    devices = [cluster.device(1) | {"port": 5001}, cluster.device(2) | {"port": 5001}]
    cluster.write_config(devices)
    for rank in cluster.ranks:
        cluster.start_worker(rank)
    cluster.write_config([devices[0] | {"ip": two}, devices[1] | {"ip": one}])
    cluster.start_coordinator()
    path = write(cluster.ckpt_root / "run" / "step_1" / "model.safetensors", model(1))
    lines = cluster.job("store-shard", path)
    assert lines[-1].startswith("Done: 4/4")
    assert "answers as rank 2, not 1" in moved_lines(lines)[0]


def test_a_worker_that_moved_while_the_cluster_runs(make_lab_cluster):
    cluster = make_lab_cluster(2).start()
    path = write(cluster.ckpt_root / "run" / "step_1" / "model.safetensors", model(1))
    assert cluster.job("store-shard", path)[-1].startswith("Done:")
    move(cluster, 2, "10.77.0.99")
    moved = (2, "w2", "10.77.0.99", 5002)
    wait_until(lambda: moved in cluster.rows(timeout=2), "the new address is announced")
    path = write(cluster.ckpt_root / "run" / "step_2" / "model.safetensors", model(1, seed=2))
    lines = cluster.job("store-shard", path)
    assert lines[-1].startswith("Done: 4/4")
    assert len(moved_lines(lines)) == 1
    assert '"ip":"10.77.0.99"' in cluster.call("/workers").stdout


def move(cluster, rank: int, address: str) -> None:
    cluster.lab.host(f"w{rank}").ip("addr flush dev eth0 scope global",
                                    f"addr add {address}/24 dev eth0")


def test_a_worker_that_comes_back_where_it_was_has_not_moved(make_lab_cluster):
    cluster = make_lab_cluster(2)
    cluster.write_config()
    workers = {rank: cluster.start_worker(rank) for rank in cluster.ranks}
    cluster.start_coordinator()
    path = write(cluster.ckpt_root / "run" / "step_1" / "model.safetensors", model(1))
    workers[2].kill()
    lines = []
    for line in cluster.follow("store-shard", path):
        if "↻ rank 2 failed" in line and len(workers) == 2:
            workers[3] = cluster.start_worker(2)
        lines.append(line)
    assert lines[-1].startswith("Done: 4/4"), lines
    assert not moved_lines(lines)


def bytes_received(cluster) -> int:
    interfaces = cluster.coordinator.run(["cat", "/proc/net/dev"]).stdout
    return int(interfaces.split("eth0:")[1].split()[0])


def test_a_worker_that_moves_while_a_store_waits_for_it(make_lab_cluster):
    cluster = make_lab_cluster(2).start()
    path = write(cluster.ckpt_root / "run" / "step_1" / "model.safetensors", model(1))
    cluster.lab.cut("w2")
    lines = []
    for line in cluster.follow("store-shard", path):
        if "↻ rank 2 failed" in line and not any("↻ rank 2 failed" in before for before in lines):
            move(cluster, 2, "10.77.0.99")
            cluster.lab.heal("w2")
        lines.append(line)
    assert lines[-1].startswith("Done: 4/4"), lines
    (moved,) = moved_lines(lines)
    assert moved.startswith("  rank 2 has moved to 10.77.0.99:5002 (mDNS): w2 ("), moved


def test_workers_that_move_while_a_gather_runs(make_lab_cluster):
    cluster = make_lab_cluster(2).start()
    path = write(cluster.ckpt_root / "run" / "step_1" / "model.safetensors", model(8))
    assert cluster.job("store-shard", path)[-1].startswith("Done:")
    for rank in cluster.ranks:
        cluster.lab.host(f"w{rank}").run(["tc", "qdisc", "add", "dev", "eth0", "root", "tbf", "rate",
                                          "8mbit", "burst", "16k", "latency", "100ms"])
    before = bytes_received(cluster)
    with ThreadPoolExecutor() as pool:
        job = pool.submit(cluster.job, "gather-shards", path)
        wait_until(lambda: bytes_received(cluster) > before + 1_000_000, "the gather is under way")
        for rank in cluster.ranks:
            move(cluster, rank, f"10.77.0.{90 + rank}")
        lines = job.result()
    assert lines[-1].startswith("Done: saved → "), lines
    assert len(moved_lines(lines)) == 2
    assert (path.parent / "merged.safetensors").read_bytes() == path.read_bytes()


def test_a_stranger_with_the_same_rank_and_name_is_not_taken(make_lab_cluster):
    """Two clusters on one network: which of the two is ours cannot be told."""
    cluster = make_lab_cluster(2, "other", "third").start()
    for number, host in enumerate(("other", "third")):
        stranger = cluster.start_on(host, host, "worker", "--rank", "2", "--new", "--config",
                                    str(cluster.config_path), "--data",
                                    str(cluster.folder / f"strange_{number}"))
        stranger.wait_for_log("listening on")
    cluster.lab.cut("w2")
    wait_until(lambda: len(cluster.rows(timeout=2)) == 3, "the strangers are announced")
    path = write(cluster.ckpt_root / "run" / "step_1" / "model.safetensors", model(1))
    lines = []
    for line in cluster.follow("store-shard", path):
        lines.append(line)
        if "↻ rank 2 failed" in line:
            break
    assert ("  rank 2 (w2) is announced by 2 workers; stop all but one, or correct its ip in "
            "config.yaml") in lines
    assert not list(cluster.folder.glob("strange_*/refs/*"))
