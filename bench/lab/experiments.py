"""Questions about grove alone, each answered by one row: what was done, the goal, what came out."""
import json
import os
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from harness.waiting import wait_until
from lab.cables import Cable, Lab
from lab.contenders import Grove, Rsync, same
from lab.files import make_random, make_weights, replace_tensor, settle
from lab.race import Bench
from lab.report import Row
from lab.usage import Meter, Usage

FRAME = 1514 / 1448     # bytes on a cable for one of payload, at best
CHANGED_TENSOR = 104    # an mlp.gate_proj: neither the largest nor one of the tiny ones
WORKER_COUNTS = (2, 4, 8, 16)
AT_ONCE = 8


@contextmanager
def cluster(bench: Bench, cable: Cable | None = None, workers: int = 0) -> Iterator[tuple[Lab, Grove]]:
    with bench.lab(cable, workers) as lab:
        grove = Grove(lab, bench.folder, bench.disks, **bench.config)
        yield lab, grove
        grove.close()


def store(lab: Lab, grove: Grove, *paths: Path) -> Usage:
    settle(*paths)
    with Meter(lab) as meter:
        meter.run([command for path in paths for command in grove.store(path)])
    return meter.usage


def bytes_sent(grove: Grove) -> int:
    """The coordinator's own count: all it wrote to sockets, heads of HTTP included, those of TCP not."""
    return json.loads(grove.cluster.call("/jobs").stdout[:-3])["bytes_sent"]


def gather(bench: Bench, lab: Lab, grove: Grove, path: Path) -> Usage:
    output = bench.folder / "back"
    with Meter(lab) as meter:
        meter.run(grove.gather(path, output))
    assert not path.exists() or same(path, output), "a gather gave back other bytes"
    output.unlink()
    return meter.usage


def median_seconds(usages: list[Usage]) -> float:
    return statistics.median(usage.seconds for usage in usages)


def one_tensor(bench: Bench) -> Row:
    with cluster(bench) as (lab, grove):
        before, after = (bench.checkpoint(f"run/step_{step}/model.safetensors") for step in (1, 2))
        make_weights([before], bench.size, seed=1)
        store(lab, grove, before)
        changed = replace_tensor(before, after, CHANGED_TENSOR)
        counted = bytes_sent(grove)
        usage = store(lab, grove, after)
        counted = bytes_sent(grove) - counted
    return Row(f"stored again with one tensor of 290 changed ({changed / 1e6:.1f} MB of random bytes)",
               "≤ 1.1 × that tensor",
               f"{counted / changed:.3f} × sent by the coordinator, {usage.sent['coord'] / changed:.3f} × in frames; "
               f"{usage.seconds:.2f} s")


def killed(bench: Bench) -> Row:
    with cluster(bench) as (lab, grove):
        path = make_random(bench.checkpoint("run/step_1/random.bin"), bench.size)
        settle(path)
        began = lab.carried()["coord"][0]
        client = lab.host("coord").popen(grove.store(path)[0], stdout=subprocess.DEVNULL)
        wait_until(lambda: lab.carried()["coord"][0] - began >= 0.9 * FRAME * bench.size,
                   "nine tenths are on the wire", 8 * bench.size / bench.cable.bytes_per_second + 60)
        grove.cluster.processes[-1].kill()
        client.wait()
        grove.cluster.start_coordinator()
        usage = store(lab, grove, path)
    return Row("coordinator killed (-9) when 90 % was sent, started and asked again", "≤ 12 % of the file",
               f"{usage.sent['coord'] / bench.size:.1%} in frames; {usage.seconds:.1f} s")


def more_workers(bench: Bench) -> Row:
    times = {}
    for workers in WORKER_COUNTS:
        usages = []
        for _ in range(bench.runs):
            with cluster(bench, workers=workers) as (lab, grove):
                path = make_random(bench.checkpoint("run/step_1/random.bin"), bench.size)
                usages.append(store(lab, grove, path))
        times[workers] = median_seconds(usages)
        bench.say(f"{workers} workers: {times[workers]:.2f} s")
    worst = max(times.values()) / times[WORKER_COUNTS[0]]
    return Row(f"store with {', '.join(map(str, WORKER_COUNTS))} workers", "never slower than with 2 (± 5 %)",
               ", ".join(f"{seconds:.1f} s" for seconds in times.values()) + f": at worst {worst:.3f} ×",
               {"x": list(times), "y": list(times.values())})


def slow_worker(bench: Bench) -> Row:
    with cluster(bench) as (lab, grove):
        path = make_random(bench.checkpoint("run/step_1/random.bin"), bench.size)
        store(lab, grove, path)
        usual = median_seconds([gather(bench, lab, grove, path) for _ in range(bench.runs)])
        lab.lay(lab.workers[-1], replace(bench.cable, mbit=bench.cable.mbit / 10))
        slowed = [gather(bench, lab, grove, path) for _ in range(bench.runs)]
    seconds = median_seconds(slowed)
    return Row(f"gather with one worker of {len(lab.workers)} at {bench.cable.mbit / 10:g} Mb/s",
               "≤ 1.15 × the time without it",
               f"{seconds / usual:.3f} × ({seconds:.1f} s and {usual:.1f} s); it sent "
               f"{statistics.median(usage.sent[lab.workers[-1]] for usage in slowed) / bench.size:.1%} of the file")


def lossy(bench: Bench) -> Row:
    """A small part of the file: one stream of rsync is slow here."""
    cable = replace(bench.cable, loss_percent=2, delay_ms=20)
    size = bench.size // 25
    times: dict[str, list[float]] = {}
    for number in range(bench.runs):
        with bench.lab(cable) as lab:
            contenders = [Grove(lab, bench.folder, bench.disks, **bench.config), Rsync(lab, bench.folder, bench.disks)]
            path = make_random(bench.checkpoint("run/step_1/random.bin"), size)
            output = bench.folder / "back"
            for contender in contenders[::1 if number % 2 == 0 else -1]:
                for verb, commands in (("store", contender.store(path)), ("gather", contender.gather(path, output))):
                    settle(path)
                    with Meter(lab) as meter:
                        meter.run(commands)
                    times.setdefault(f"{contender.name} {verb}", []).append(meter.usage.seconds)
                    bench.say(f"{contender.name} {verb}: {meter.usage.seconds:.1f} s")
                assert same(path, output), f"{contender.name} gave back other bytes"
                output.unlink()
            for contender in contenders:
                contender.close()
    middle = {what: statistics.median(seconds) for what, seconds in times.items()}
    return Row(f"{size / 1e6:g} MB at {cable}", "finishes; beside rsync's",
               "; ".join(f"{verb} {middle[f'grove {verb}']:.1f} s, rsync {middle[f'rsync {verb}']:.1f} s"
                         for verb in ("store", "gather")))


def at_once(bench: Bench) -> Row:
    size = bench.size // AT_ONCE
    rounds = []
    for _ in range(bench.runs):
        with cluster(bench) as (lab, grove):
            first, second = ([make_random(bench.checkpoint(f"run_{name}{number}/step_1/random.bin"), size)
                              for number in range(AT_ONCE)] for name in "ab")
            settle(*first, *second)
            one_by_one = sum(store(lab, grove, path).seconds for path in first)
            together = store(lab, grove, *second)
            rounds.append((together.seconds / one_by_one, one_by_one, together))
            bench.say(f"one by one {one_by_one:.2f} s, at once {together.seconds:.2f} s")
    ratio, one_by_one, together = sorted(rounds, key=lambda one: one[0])[(len(rounds) - 1) // 2]
    return Row(f"{AT_ONCE} stores of {size / 1e6:g} MB at once", "≤ 1.1 × of one after the other; none starves",
               f"{ratio:.3f} × ({together.seconds:.1f} s and {one_by_one:.1f} s); the first was done after "
               f"{min(together.finished):.1f} s, the last after {max(together.finished):.1f} s")


def codec_choice(bench: Bench) -> Row:
    """On cables that are faster than the codec, where nothing is gained by it."""
    times: dict[str, list[float]] = {"auto": [], "off": []}
    for number in range(2 * bench.runs):
        for choice in list(times)[::1 if number % 2 == 0 else -1]:
            with cluster(replace(bench, config={**bench.config, "compression": choice}), Cable(0)) as (lab, grove):
                path = bench.checkpoint("run/step_1/model.safetensors")
                make_weights([path], bench.size, seed=number)
                times[choice].append(store(lab, grove, path).seconds)
        bench.say("  ".join(f"{choice} {seconds[-1]:.2f} s" for choice, seconds in times.items()))
    auto, off = (statistics.median(seconds) for seconds in times.values())
    return Row(f"store of {bench.size / 1e6:g} MB of BF16 weights, not shaped: `compression: auto` against `off`, "
               f"{2 * bench.runs} runs each", "≤ 1.03 ×", f"{auto / off:.3f} × ({auto:.2f} s and {off:.2f} s)")


def memory(bench: Bench, sizes: list[float]) -> Row:
    """Unshaped, so that it ends; the source goes before the gather, so that the disk is large enough."""
    peaks = {}
    for gigabytes in sizes:
        with cluster(bench, Cable(0)) as (lab, grove):
            path = bench.checkpoint("run/step_1/model.safetensors")
            make_weights([path], round(gigabytes * 1e9), seed=1)
            usages = [store(lab, grove, path)]
            path.unlink()
            usages.append(gather(bench, lab, grove, path))
        peaks[gigabytes] = [
            max(usage.peak(kind(usage), hosts, ["grove"]) for usage in usages)
            for hosts in (["coord"], usages[0].workers)
            for kind in (lambda usage: usage.anonymous_mib, lambda usage: usage.rss_mib)]
        bench.say(f"{gigabytes:g} GB: coordinator {peaks[gigabytes][0]:.0f} MiB without page cache, "
                  f"{peaks[gigabytes][1]:.0f} with; worker {peaks[gigabytes][2]:.0f}, {peaks[gigabytes][3]:.0f}; "
                  + ", ".join(f"{usage.seconds:.0f} s" for usage in usages))
    return Row("peak memory without page cache (RssAnon; VmHWM in brackets) for a store and a gather of "
               + ", ".join(f"{gigabytes:g}" for gigabytes in peaks) + " GB of BF16 weights",
               "flat; coordinator ≤ 256 MiB, worker ≤ 128 MiB",
               "; ".join(f"{who} " + ", ".join(f"{peak[at]:.0f} ({peak[at + 1]:.0f})" for peak in peaks.values())
                         + " MiB" for who, at in (("coordinator", 0), ("worker", 2))),
               {"x": list(peaks), "coordinator": [peak[0] for peak in peaks.values()],
                "worker": [peak[2] for peak in peaks.values()]})


def trained(bench: Bench, folder: Path) -> Row:
    """Files NAME-STEP.KIND.safetensors, two steps of each kind: bytes on the wire of the later one."""
    steps: dict[str, list[Path]] = {}
    for path in sorted(folder.glob("*-*.safetensors")):
        steps.setdefault(path.name.split(".")[1], []).append(path)
    found = []
    with cluster(bench) as (lab, grove):
        for kind, sources in steps.items():
            shares = []
            for step, source in enumerate(sources[:2], 1):
                path = bench.checkpoint(f"run/step_{step}/{kind}.safetensors")
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(source.read_bytes())
                counted = bytes_sent(grove)
                store(lab, grove, path)
                shares.append((bytes_sent(grove) - counted) / path.stat().st_size)
                gather(bench, lab, grove, path)
            found.append(f"{kind} {shares[1]:.3f} (the step before it: {shares[0]:.3f})")
    return Row("the next step of a really trained series: what the coordinator sends, heads of HTTP included, of the size",
               "w16 ≤ 0.24, w32 ≤ 0.63, m ≤ 0.86, v ≤ 0.76", "; ".join(found))


LOAD = """
import time, numpy
a = numpy.random.default_rng(1).standard_normal((256, 256), dtype=numpy.float32)
while True:
    count, end = 0, time.monotonic() + 1
    while time.monotonic() < end:
        a @ a
        count += 1
    print(count, flush=True)
"""


def training(bench: Bench) -> Row:
    """A load that multiplies matrices has core 0 with the coordinator; everything else has core 1. The switch and the
    shapers are software here and work on the sender's core: what that takes is seen beside a bare TCP stream."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {1})  # what measures is inherited by the workers
    on_core_0 = ["taskset", "--cpu-list", "0"]
    with cluster(bench) as (lab, grove):
        subprocess.run(["taskset", "--all-tasks", "--pid", "--cpu-list", "0", str(grove.cluster.processes[-1].pid)],
                       check=True, stdout=subprocess.DEVNULL)
        coordinator = lab.host("coord")
        load = coordinator.popen(
            ["env", "OPENBLAS_NUM_THREADS=1", "OMP_NUM_THREADS=1", *on_core_0, "/usr/bin/python3", "-c", LOAD],
            stdout=subprocess.PIPE, text=True)
        quiet = max(5, bench.size / bench.cable.bytes_per_second / 2)

        def listen(until: Callable[[], bool]) -> float:
            heard = []
            while not until():
                heard.append(int(load.stdout.readline()))
            return statistics.mean(heard[1:-1] or heard)  # the seconds at both ends are only partly of this time

        def alone() -> float:
            end = time.monotonic() + quiet
            return listen(lambda: time.monotonic() > end)

        def beside(command: list[str | Path]) -> float:
            """The share that the load loses to it."""
            before = alone()
            client = coordinator.popen([*on_core_0, *map(str, command)], stdout=subprocess.DEVNULL)
            during = listen(lambda: client.poll() is not None)
            return 1 - during / statistics.mean([before, alone()])

        stores, streams = [], []
        try:
            for number in range(bench.runs):
                path = make_random(bench.checkpoint(f"run/step_{number + 1}/random.bin"), bench.size)
                settle(path)
                stores.append(beside(grove.store(path)[0]))
                receiver = lab.workers[0]
                server = lab.start_receiver(receiver)
                streams.append(beside(["iperf3", "--client", lab.host(receiver).address, "--bytes", str(bench.size)]))
                server.communicate()
                bench.say(f"load: loses {stores[-1]:.1%} beside a store, {streams[-1]:.1%} beside a TCP stream")
        finally:
            load.kill()
            load.wait()
            os.sched_setaffinity(0, cores)
    shares = [f"{statistics.median(losses):.1%} (" + ", ".join(f"{loss:.1%}" for loss in losses) + ")"
              for losses in (stores, streams)]
    return Row("matrix products on the coordinator's core during a store, the workers on the other core",
               "lose ≤ 3 %", f"{shares[0]} beside a store; {shares[1]} beside one TCP stream of the same bytes (iperf3)")
