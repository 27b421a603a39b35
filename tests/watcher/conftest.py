"""A cluster whose watcher runs, and what its log and the workers say of it."""
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.binary import GROVE
from harness.checkpoints import model
from harness.cluster import Cluster
from harness.process import Process
from harness.waiting import wait_until


class Watched:
    """A cluster and the process its watcher runs in: the coordinator, or one of its own."""

    def __init__(self, cluster: Cluster):
        self.cluster = cluster
        self.root = cluster.ckpt_root
        self.alone: list[Process] = []

    @property
    def process(self) -> Process:
        return self.alone[-1] if self.alone else self.cluster.coordinator

    def watch_alone(self, *flags: str, prefix: list[str] | None = None) -> Process:
        command = [*(prefix or []), str(GROVE), "watch", "--config", str(self.cluster.config_path),
                   *([] if "--metrics-port" in flags else ["--metrics-port", "0"]), *flags]
        log = self.cluster.folder / f"watcher.{len(self.alone)}.log"
        self.alone.append(Process("watcher", command, log))
        return self.alone[-1]

    def write(self, name: str, seed: int = 1, content: bytes | None = None) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(model(0.2, tensors=3, seed=seed) if content is None else content)
        return path

    def text(self) -> str:
        return self.process.text()

    def count(self, pattern: str) -> int:
        return len(re.findall(pattern, self.text()))

    def wait_for(self, pattern: str, seconds: float = 45) -> re.Match:
        return self.process.wait_for_log(pattern, seconds)

    def stored(self) -> dict[str, list[dict]]:
        """The complete generations of each identity, newest first."""
        answer = self.cluster.get("/checkpoints")
        complete = {row["identity"]: [g for g in row["generations"] if g["state"] == "complete"]
                    for row in answer["checkpoints"]}
        return {identity: found for identity, found in complete.items() if found}

    def wait_stored(self, *names: str, seconds: float = 20) -> dict[str, list[dict]]:
        def all_safe() -> dict[str, list[dict]] | None:
            stored = self.stored()
            is_safe = all(name in stored and stored[name][0]["safety"] == "safe" for name in names)
            return stored if is_safe else None
        return wait_until(all_safe, f"{names} are stored", seconds)

    def settle(self) -> None:
        """Waits until a file that comes now is stored: what came before has been looked at."""
        name = f"probe/{len(list(self.root.glob('probe/*')))}.safetensors"
        self.write(name, seed=99)
        self.wait_stored(name)

    def close(self) -> None:
        for process in self.alone:
            process.assert_never_crashed()
            process.kill()


@pytest.fixture
def make_watched(make_cluster: Callable[..., Cluster]):
    made: list[Watched] = []

    def make(watch: bool = True, start: bool = True, **options: object) -> Watched:
        # What the watcher mends the coordinator would have mended from the other copy meanwhile.
        cluster = make_cluster(start=False, **{"workers": 3, "repairs": False, **options})
        if start:
            cluster.start(watch=watch)
        made.append(Watched(cluster))
        return made[-1]

    yield make
    for watched in made:
        watched.close()


@pytest.fixture
def watched(make_watched: Callable[..., Watched]) -> Watched:
    """Three workers and a coordinator that watches."""
    return make_watched()
