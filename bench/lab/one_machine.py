"""One machine, four local workers, no network: store against `cp` twice + `sync`, gather against `cp` once + `sync`.

Every byte crosses loopback twice and is written twice by the same cores and the same disk, as on a machine that has only itself.
"""
import os
import shutil
import statistics
import subprocess
import time
from pathlib import Path

from harness.cluster import Cluster
from lab.files import make_random, settle
from lab.race import Bench
from lab.report import Row


def copy_and_sync(source: Path, targets: list[Path]) -> float:
    began = time.monotonic()
    for target in targets:
        subprocess.run(["cp", source, target], check=True)
    os.sync()
    seconds = time.monotonic() - began
    for target in targets:
        target.unlink()
    return seconds


def timed(cluster: Cluster, *arguments: str) -> float:
    began = time.monotonic()
    done = cluster.run(*arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return time.monotonic() - began


def one_run(bench: Bench, folder: Path, order: int) -> dict[str, float]:
    """Who comes first changes from run to run; the source is cold for every one of them."""
    cluster = Cluster(folder, workers=4, **bench.config).start()
    try:
        source = make_random(cluster.ckpt_root / "run/step_1/random.bin", bench.size)
        back = folder / "back"
        copies = [folder / "a", folder / "b"]
        seconds: dict[str, float] = {}
        for grove_is_next in (order % 2 == 0, order % 2 == 1):
            settle(source)
            if grove_is_next:
                seconds["store"] = timed(cluster, "store", "--ckpt-path", str(source))
            else:
                seconds["cp twice"] = copy_and_sync(source, copies)
        for grove_is_next in (order % 2 == 0, order % 2 == 1):
            settle(source, *(file for rank in cluster.ranks for file in cluster.chunk_files(rank).values()))
            if grove_is_next:
                seconds["gather"] = timed(cluster, "gather", "--ckpt-path", str(source), "--output", str(back))
                subprocess.run(["cmp", source, back], check=True)
                back.unlink()
            else:
                seconds["cp once"] = copy_and_sync(source, copies[:1])
        cluster.assert_never_crashed()
        return seconds
    finally:
        cluster.close()
        shutil.rmtree(folder)


def one_machine(bench: Bench) -> list[Row]:
    runs = []
    for number in range(bench.runs):
        folder = bench.folder / "one_machine"
        folder.mkdir()
        runs.append(one_run(bench, folder, number))
        bench.say("  ".join(f"{what} {seconds:.2f} s" for what, seconds in runs[-1].items()))
    middle = {what: statistics.median(run[what] for run in runs) for what in runs[0]}
    rows = []
    for what, beside in (("store", "cp twice"), ("gather", "cp once")):
        ratios = ", ".join(f"{run[what] / run[beside]:.2f}" for run in runs)
        rows.append(Row(f"one machine, not shaped, {bench.size / 1e9:g} GB of random bytes: {what} against `{beside[:2]}` "
                        f"{beside[3:]} + `sync`", "≤ 1.5 ×",
                        f"{middle[what] / middle[beside]:.2f} × ({middle[what]:.1f} s and {middle[beside]:.1f} s; run by "
                        f"run {ratios})"))
    return rows
