"""The same files through grove and its rivals, in turn, on the same cables.

Every repetition makes new files and a new cluster, and begins with another contender. The wire time of a file is its size by the
goodput of one TCP stream, measured at the beginning of the repetition.
"""
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from lab.cables import Cable, Lab
from lab.contenders import Contender, Grove, same
from lab.files import make_random, make_weights, settle
from lab.usage import Meter, Usage


@dataclass
class Bench:
    """What all experiments are given: how large, how often, where."""

    cable: Cable
    workers: int
    size: int           # bytes of the main files
    runs: int
    folder: Path        # the coordinator's files and all logs
    disks: Path         # the workers' data
    rivals: list[type[Contender]]
    kinds: list[str]    # of the race: random, BF16, next step
    config: dict[str, object] = field(default_factory=dict)  # more for grove's config.yaml
    goodput_seconds: int = 4
    say: Callable[[str], None] = print

    @contextmanager
    def lab(self, cable: Cable | None = None, workers: int = 0) -> Iterator[Lab]:
        """A lab, and empty folders once it is over."""
        try:
            with Lab(workers or self.workers, cable or self.cable) as lab:
                yield lab
        finally:
            for top in (self.folder, self.disks):
                shutil.rmtree(top)
                top.mkdir()

    def checkpoint(self, name: str) -> Path:
        return self.folder / "checkpoints" / name


@dataclass
class Result:
    who: str
    verb: str           # store or gather
    kind: str           # which file
    size: int
    wire: float         # seconds
    usage: Usage

    @property
    def ratio(self) -> float:
        return self.usage.seconds / self.wire

    def __str__(self) -> str:
        use = self.usage
        return (f"{self.verb:6} {self.kind:10} {self.who:10} {use.seconds:7.2f} s  {self.ratio:5.3f} x wire"
                f"  CPU {use.cpu['coord']:5.2f} + {sum(use.cpu[name] for name in use.workers):5.2f} s"
                f"  sent {use.sent['coord'] / self.size:5.3f}  received {use.received['coord'] / self.size:5.3f}"
                f"  idle {use.idle:4.0%}  others {use.others:5.2f} s")


def measured(bench: Bench, lab: Lab, contender: Contender, verb: str, kind: str, path: Path,
             goodput: float) -> Result:
    output = bench.folder / "back"
    with Meter(lab) as meter:
        meter.run(contender.store(path) if verb == "store" else contender.gather(path, output))
    if verb == "gather":
        assert same(path, output), f"{contender.name} gave back other bytes"
        output.resolve().unlink()
        output.unlink(missing_ok=True)
    result = Result(contender.name, verb, kind, path.stat().st_size, path.stat().st_size / goodput,
                    meter.usage)
    bench.say(str(result))
    return result


def repetition(bench: Bench, number: int) -> Iterator[Result]:
    with bench.lab() as lab, ExitStack() as stack:
        contenders: list[Contender] = []
        for make in (partial(Grove, **bench.config), *bench.rivals):
            contenders.append(make(lab, bench.folder, bench.disks))
            stack.callback(contenders[-1].close)
        turn = number % len(contenders)
        contenders = contenders[turn:] + contenders[:turn]
        random = make_random(bench.checkpoint("random/step_1/random.bin"), bench.size)
        weights, following = make_weights(
            [bench.checkpoint(f"run/step_{step}/model.safetensors") for step in (1, 2)], bench.size, number)
        files = {"random": random, "BF16": weights, "next step": following}
        settle(*files.values())
        # Rivals know no steps and find nothing to compress: they are run on one file.
        tasks = [(kind, contender) for kind in files for contender in contenders
                 if kind in bench.kinds and (kind == "BF16" or contender.name == "grove")]
        out, back = (lab.goodput(*ends, bench.goodput_seconds) for ends in (("coord", "w1"), ("w1", "coord")))
        bench.say(f"one TCP stream: {out * 8e-6:.2f} and {back * 8e-6:.2f} Mb/s")
        for kind, contender in tasks:
            yield measured(bench, lab, contender, "store", kind, files[kind], out)
        for kind, contender in tasks:
            settle()
            contender.forget()
            yield measured(bench, lab, contender, "gather", kind, files[kind], back)


def race(bench: Bench) -> list[Result]:
    return [result for number in range(bench.runs) for result in repetition(bench, number)]


def medians(results: list[Result]) -> list[Result]:
    """One for each contender, verb and file, in the order they were first seen: the run of median time."""
    groups: dict[tuple[str, str, str], list[Result]] = {}
    for result in results:
        groups.setdefault((result.verb, result.kind, result.who), []).append(result)
    return [sorted(group, key=lambda result: result.usage.seconds)[(len(group) - 1) // 2]
            for group in groups.values()]
