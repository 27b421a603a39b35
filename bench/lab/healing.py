"""Questions about healing, each answered by one row: copies made again, and what repair and scrubs cost those who work meanwhile."""
import random
import re
import shutil
import statistics
import time
from dataclasses import replace
from pathlib import Path

from harness.binary import GROVE
from harness.waiting import wait_until
from lab.cables import Lab
from lab.contenders import Grove
from lab.experiments import cluster, gather, store
from lab.files import make_random, settle
from lab.race import Bench
from lab.report import Row

LOST = 4                 # the rank whose disk is lost
MINUTES_MAX = 20         # for anything here
SCRUB_SECONDS = 10       # how long a paced scrub is watched
DETECTIONS = 6


def with_config(bench: Bench, **config: str) -> Bench:
    return replace(bench, config={**bench.config, **config})


def is_safe(grove: Grove, path: Path) -> bool:
    checkpoints = grove.cluster.get("/checkpoints")["checkpoints"]
    found = [row["generations"][0]["safety"] for row in checkpoints if path.match(f"*/{row['identity']}")]
    assert len(found) == 1, f"{path} is listed {len(found)} times"
    return found[0] == "safe"


def held_by(grove: Grove, rank: int) -> int:
    """Bytes of chunks."""
    return sum(chunk.stat().st_size for chunk in grove.cluster.data(rank).glob("chunks/*/*"))


def lose_disk(grove: Grove) -> int:
    """The worker dies with all that it held; returns how many bytes of chunks that were."""
    held = held_by(grove, LOST)
    for process in grove.cluster.processes:
        if process.name == f"worker_{LOST}":
            process.kill()
    shutil.rmtree(grove.cluster.data(LOST))
    return held


def seconds_to_heal(grove: Grove, path: Path, began: float) -> float:
    wait_until(lambda: not is_safe(grove, path), "the loss shows", 60)
    wait_until(lambda: is_safe(grove, path), "all copies are there again", 60 * MINUTES_MAX)
    return time.monotonic() - began


def goodput_between_workers(bench: Bench, lab: Lab) -> float:
    return lab.goodput("w1", f"w{LOST}", bench.goodput_seconds)


def times_to_heal(bench: Bench, is_replaced: bool) -> tuple[float, float, int]:
    """Of the runs the median: the ratio to the wire time of what was lost, seconds, bytes lost."""
    found = []
    for _ in range(bench.runs):
        with cluster(bench) as (lab, grove):
            path = make_random(bench.checkpoint("run/step_1/random.bin"), bench.size)
            goodput = goodput_between_workers(bench, lab)
            store(lab, grove, path)
            began = time.monotonic()
            held = lose_disk(grove)
            if is_replaced:
                grove.cluster.start_worker(LOST)
            seconds = seconds_to_heal(grove, path, began)
        found.append((seconds * goodput / held, seconds, held))
        bench.say(f"{'replaced' if is_replaced else 'gone'} with {held / 1e6:.0f} MB: {seconds:.1f} s, {found[-1][0]:.3f} x wire")
    return sorted(found)[(len(found) - 1) // 2]


def lost_disk(bench: Bench) -> Row:
    """A new disk in the same machine, at once: its cable alone has to bring all that it held."""
    ratio, seconds, held = times_to_heal(bench, is_replaced=True)
    return Row(f"a worker's disk with {held / 1e6:.0f} MB is lost and replaced at once: until every copy is there and proven again",
               "≤ 1.25 × the wire time of what it held", f"{ratio:.3f} × ({seconds:.1f} s, detection included)")


def gone_worker(bench: Bench) -> Row:
    """Nobody comes back: the others make its copies for each other. Without `repair_after`, which only waits."""
    ratio, seconds, held = times_to_heal(with_config(bench, repair_after="1s"), is_replaced=False)
    return Row(f"a worker with {held / 1e6:.0f} MB is gone for good (`repair_after: 1s`): until every copy is on the other three",
               "≤ 1.25 × the wire time of what it held", f"{ratio:.3f} × ({seconds:.1f} s, detection included)")


def detection(bench: Bench) -> Row:
    """How long until the coordinator calls a worker down: one that is dead, and one that hangs."""
    took: dict[str, list[float]] = {"dead": [], "hung": []}
    with cluster(bench) as (lab, grove):
        log = next(it.log for it in grove.cluster.processes if it.name == "coordinator")

        def said(words: str) -> int:
            return log.read_text().count(f"rank {LOST} (w{LOST}) {words}")
        for number in range(1, 2 * DETECTIONS + 1):
            how, times = list(took.items())[number % 2]
            worker = next(it for it in reversed(grove.cluster.processes) if it.name == f"worker_{LOST}")
            time.sleep(random.uniform(5, 10))  # anywhere between two looks
            began = time.monotonic()
            worker.kill() if how == "dead" else worker.pause()
            wait_until(lambda: said("is down") == number, "its loss shows", 60)
            times.append(time.monotonic() - began)
            grove.cluster.start_worker(LOST) if how == "dead" else worker.resume()
            wait_until(lambda: said("is up again") == number, "it is up again", 60)
    bench.say(f"detection: {took}")
    return Row(f"a worker is killed, or hangs, {DETECTIONS} times each: until it is down for the coordinator", "≤ 10 s",
               "; ".join(f"{how}: {statistics.median(times):.1f} s, at most {max(times):.1f} s" for how, times in took.items()))


def store_beside_repair(bench: Bench) -> Row:
    """A store of a quarter of the size, while the lost disk of a worker is filled again."""
    size = bench.size // 4
    ratios, times = [], []
    for _ in range(bench.runs):
        with cluster(bench) as (lab, grove):
            large = make_random(bench.checkpoint("run/step_1/random.bin"), bench.size)
            first, second = (make_random(bench.checkpoint(f"other/step_{step}/random.bin"), size) for step in (1, 2))
            store(lab, grove, large)
            alone = store(lab, grove, first).seconds
            lose_disk(grove)
            grove.cluster.start_worker(LOST)
            wait_until(lambda: held_by(grove, LOST) > 0, "the repair moves bytes", 60)
            beside = store(lab, grove, second).seconds
            assert not is_safe(grove, large), "the repair was over before the store: give a larger --size"
        ratios.append(alone / beside)
        times.append((alone, beside))
        bench.say(f"store of {size / 1e6:g} MB: alone {alone:.2f} s, beside a repair {beside:.2f} s")
    middle = sorted(range(len(ratios)), key=ratios.__getitem__)[(len(ratios) - 1) // 2]
    return Row(f"store of {size / 1e6:g} MB while a worker's lost disk is filled again", "≥ 80 % of the throughput without",
               f"{ratios[middle]:.1%} ({times[middle][1]:.1f} s and {times[middle][0]:.1f} s)")


def scrubbed_bytes(grove: Grove, rank: int) -> float:
    host = grove.lab.host(f"w{rank}")
    page = host.run(["curl", "-s", f"http://{host.address}:{5000 + rank}/metrics"]).stdout
    return float(re.search(r"^smoltorrent_scrub_bytes_total (\S+)$", page, re.M)[1])


def scrubbing(bench: Bench) -> Row:
    """At full speed (grove verify), as paced, and what a gather loses to the paced one on every worker."""
    with cluster(with_config(bench, scrub_every="8s")) as (lab, grove):
        path = make_random(bench.checkpoint("run/step_1/random.bin"), bench.size)
        store(lab, grove, path)
        ranks = grove.cluster.ranks
        wait_until(lambda: all(scrubbed_bytes(grove, rank) > 0 for rank in ranks), "every worker scrubs", 120)
        begun, before = time.monotonic(), [scrubbed_bytes(grove, rank) for rank in ranks]
        time.sleep(SCRUB_SECONDS)
        paced = [(scrubbed_bytes(grove, rank) - earlier) / (time.monotonic() - begun)
                 for rank, earlier in zip(ranks, before)]
        beside = [gather(bench, lab, grove, path).seconds for _ in range(bench.runs)]
    with cluster(bench) as (lab, grove):
        path = make_random(bench.checkpoint("run/step_1/random.bin"), bench.size)
        store(lab, grove, path)
        alone = [gather(bench, lab, grove, path).seconds for _ in range(bench.runs)]
        settle(path)
        before = sum(scrubbed_bytes(grove, rank) for rank in ranks)
        begun = time.monotonic()
        lab.host("coord").run([str(GROVE), "verify", "--config", str(grove.cluster.config_path)],
                              seconds=60 * MINUTES_MAX)
        full = (sum(scrubbed_bytes(grove, rank) for rank in ranks) - before) / (time.monotonic() - begun)
    ratio = statistics.median(beside) / statistics.median(alone)
    bench.say(f"gather alone {alone}, beside scrubs {beside}; paced {paced}, full {full}")
    return Row("every worker re-reads what it holds; a gather meanwhile", "a gather loses ≤ 10 %",
               f"{full / 1e6:.0f} MB/s by all {len(ranks)} at full speed (`grove verify`: one disk, two cores), "
               f"{statistics.mean(paced) / 1e6:.0f} MB/s by each as paced; the gather {ratio:.3f} × "
               f"({statistics.median(beside):.1f} s and {statistics.median(alone):.1f} s)")
