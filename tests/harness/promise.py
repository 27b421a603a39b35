"""What was promised, and whether it still holds: every checkpoint that was acknowledged comes back byte for byte."""
import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from harness.cluster import Cluster
from harness.lines import is_done
from harness.waiting import wait_until


def digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass
class Promised:
    acknowledged: str | None = None  # the content of the last store that said Done
    # Of later stores that did not: a gather may give what came after the last Done, since all of it may be
    # durable though nobody could be told.
    attempted: set[str] = field(default_factory=set)
    forgotten: bool = False


class Ledger:
    """Stores, forgets and gathers through here are remembered, so that a check knows what must be true."""

    def __init__(self, cluster: Cluster):
        self.cluster = cluster
        self.entries: dict[Path, Promised] = {}
        self.checks = 0

    def store(self, path: Path, content: bytes | None = None) -> bool:
        """With `content` the file is written first. True: it was acknowledged."""
        if content is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            scratch = path.parent / f".{path.name}.new"
            scratch.write_bytes(content)
            scratch.rename(path)
        entry = self.entries.setdefault(path, Promised())
        digest = digest_of(path)
        entry.attempted.add(digest)
        try:
            lines = self.cluster.store(path)
        except Exception:  # noqa: BLE001 - the coordinator was killed: the outcome is unknown
            return False
        if not is_done(lines):
            return False
        self.entries[path] = Promised(acknowledged=digest)
        return True

    def forget(self, path: Path) -> bool:
        """True: it is forgotten for good."""
        self.entries[path].forgotten = True  # from now on it may be gone
        done = self.cluster.run("rm", "--ckpt-path", str(path), "--force")
        if done.returncode != 0:
            return False
        del self.entries[path]
        return True

    def paths(self) -> list[Path]:
        return [path for path, entry in self.entries.items() if entry.acknowledged and not entry.forgotten]

    def check(self, path: Path) -> None:
        """It gathers exactly."""
        entry = self.entries[path]
        output = self.cluster.folder / "gathered"
        lines = self.cluster.gather(path, output=output)
        assert is_done(lines), f"{path} was acknowledged and cannot be gathered:\n" + "\n".join(lines)
        digest = digest_of(output)
        output.unlink()
        allowed = entry.attempted | {entry.acknowledged}
        assert digest in allowed, f"{path}: {digest} was gathered, of {allowed}"
        self.checks += 1

    def check_all(self) -> None:
        for path in self.paths():
            self.check(path)

    def is_whole(self) -> bool:
        """All that was acknowledged has its copies on workers that answer."""
        rows = {row["identity"]: row["generations"] for row in self.cluster.get("/checkpoints")["checkpoints"]}
        for path in self.paths():
            complete = [it for it in rows.get(self.cluster.identity(path), []) if it["state"] == "complete"]
            if not complete or complete[0]["safety"] != "safe":
                return False
        return True

    def wait_until_whole(self, seconds: float = 180) -> None:
        wait_until(self.is_whole, "everything is safe again by itself", seconds)
