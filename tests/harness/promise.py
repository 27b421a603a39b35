"""What a cluster owes, and whether it keeps it: the checks that every test with faults ends with.

Owed is each file whose store said `Done:`, byte for byte, until a newer store of it did. A store that did not
end so (an error, a client or a coordinator that was killed) may have become complete or not: then its bytes
are as good as those before, but only whole. What nobody acknowledged may be absent; what was deleted on purpose
must be.
"""
import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from harness.lines import is_done
from harness.seeds import Story
from harness.waiting import wait_until

SAFE_WITHIN = 90  # seconds, after the last fault
LOST_SHARDS = re.compile(r"shards? \d")


class Stores(Protocol):
    """A Cluster or a LabCluster."""
    folder: Path
    ckpt_root: Path

    def store(self, path: Path) -> list[str]: ...
    def gather(self, path: Path, **parameters: object) -> list[str]: ...
    def get(self, path: str) -> dict: ...


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass
class Owed:
    acknowledged: str | None = None  # SHA-256 of the content
    attempted: set[str] = field(default_factory=set)  # since then, without a Done:
    lines: list[str] = field(default_factory=list)  # of the last store


class Promise:
    """`story` is told what is done. Files may be stored side by side, each by one thread at a time."""

    def __init__(self, cluster: Stores, story: Story):
        self.cluster, self.story = cluster, story
        self.owed: dict[Path, Owed] = {}
        self._outputs = 0

    # --- what is done ---

    def write(self, name: str, content: bytes) -> Path:
        """The file as a trainer would leave it: written under another name, then renamed."""
        path = self.cluster.ckpt_root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = path.with_name(f".{path.name}.new")
        scratch.write_bytes(content)
        scratch.rename(path)
        return path

    def store(self, name: str, content: bytes) -> bool:
        """Whether the store said `Done:`. A connection that is lost is a store that did not."""
        path = self.write(name, content)
        self.begin(path, content)
        try:
            lines = self.cluster.store(path)
        except Exception as error:  # httpx's, when the coordinator is killed
            lines = [f"(the connection was lost: {error!r})"]
        return self.end(path, content, lines)

    def must_store(self, name: str, content: bytes) -> Path:
        assert self.store(name, content), "\n".join(self.owed[self.cluster.ckpt_root / name].lines)
        return self.cluster.ckpt_root / name

    def begin(self, path: Path, content: bytes) -> None:
        self.owed.setdefault(path, Owed()).attempted.add(hashlib.sha256(content).hexdigest())

    def end(self, path: Path, content: bytes, lines: list[str]) -> bool:
        owed = self.owed[path]
        owed.lines = lines
        done = is_done(lines)
        self.story.tell(f"store of {path.name}: {lines[-1] if lines else 'no line'}")
        if done:
            owed.acknowledged, owed.attempted = hashlib.sha256(content).hexdigest(), set()
        return done

    def may_be_gone(self, path: Path) -> None:
        """It is being deleted on purpose: from now on it may be there or not."""
        owed = self.owed[path]
        owed.attempted.add(owed.acknowledged)
        owed.acknowledged = None

    def forget(self, path: Path) -> None:
        """It was deleted on purpose."""
        self.owed.pop(path, None)

    def must_stay_gone(self, path: Path) -> None:
        """It was deleted on purpose: until it is stored again, nobody may bring it back."""
        self.owed[path] = Owed()

    def acknowledged(self) -> list[Path]:
        return [path for path, owed in self.owed.items() if owed.acknowledged]

    # --- what is checked ---

    def check(self, may_be_lost: bool = False) -> None:
        """Every file gathers as it is owed. `may_be_lost`: more disks than `redundancy - 1` are destroyed,
        and then the shards that are lost are named instead."""
        for path in list(self.owed):
            self.check_one(path, may_be_lost)

    def check_one(self, path: Path, may_be_lost: bool = False) -> None:
        owed = self.owed[path]
        allowed = owed.attempted | ({owed.acknowledged} if owed.acknowledged else set())
        self._outputs += 1
        output = self.cluster.folder / "gathered" / f"{self._outputs}-{path.name}"
        output.parent.mkdir(exist_ok=True)
        lines = self.cluster.gather(path, output=output)
        text = "\n".join(lines)
        if is_done(lines):
            assert sha256_of(output) in allowed, f"{path.name} came back with bytes that nobody is owed:\n{text}"
            output.unlink()
        else:
            assert not output.exists(), f"{path.name}: a file is visible after an error:\n{text}"
            is_told = may_be_lost and LOST_SHARDS.search(text)
            assert is_told or not owed.acknowledged, f"{path.name} was acknowledged and does not come back:\n{text}"
        # After an error it goes with the job, a moment after its last line.
        wait_until(lambda: not list(output.parent.glob(".grove-*")), "a gather leaves no half of a file behind", 10)

    def not_safe(self) -> dict[str, str]:
        """What the coordinator says of each acknowledged file that is not safe."""
        listed = {row["identity"]: row for row in self.cluster.get("/checkpoints")["checkpoints"]}
        found = {}
        for path, owed in list(self.owed.items()):
            if not owed.acknowledged:
                continue
            identity = str(path.relative_to(self.cluster.ckpt_root))
            complete = [row for row in listed.get(identity, {"generations": []})["generations"] if row["state"] == "complete"]
            if not complete or complete[0]["safety"] != "safe":
                found[identity] = complete[0]["verdict"] if complete else "not there"
        return found

    def wait_safe(self, seconds: float = SAFE_WITHIN) -> None:
        """The cluster gets back to full copies by itself."""
        last: dict[str, str] = {}

        def is_safe() -> bool:
            nonlocal last
            last = self.not_safe()
            return not last

        try:
            wait_until(is_safe, "all is safe again", seconds, period=0.5)
        except AssertionError as error:
            raise AssertionError(f"{error}: {last}") from None
        self.story.tell("all is safe")
