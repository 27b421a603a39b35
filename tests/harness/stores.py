"""Two versions of one checkpoint on a proxied cluster: the ground most fault tests stand on."""
from pathlib import Path

from harness.checkpoints import model, write
from harness.cluster import Cluster
from harness.lines import is_done

MEGABYTES = 48  # 12 MB a shard: three chunks of 4 MiB, more than one window is not needed


class Versions:
    """`old` is stored; the file now holds `new`."""

    def __init__(self, cluster: Cluster, megabytes: float = MEGABYTES):
        self.cluster = cluster
        self.old, self.new = model(megabytes, seed=1), model(megabytes, seed=2)
        self.path = write(cluster.ckpt_root / "run1/step_1/model.safetensors", self.old)
        lines = cluster.store(self.path)
        assert is_done(lines), "\n".join(lines)
        self.old_generation = max(generation for _, generation, _ in cluster.refs(self.path))
        self.path.write_bytes(self.new)
        self.merged: Path = self.path.with_name("merged.safetensors")
        for proxy in cluster.proxies.values():
            proxy.clear_requests()

    def gathered(self, **parameters: object) -> bytes:
        """What a gather gives, wherever it puts it."""
        lines = self.cluster.gather(self.path, **parameters)
        assert is_done(lines), "\n".join(lines)
        return Path(lines[-1].removeprefix("Done: saved → ")).read_bytes()

    def is_committed(self) -> bool:
        """Whether a generation after `old` has a manifest on some worker."""
        return any(name == "manifest" and generation > self.old_generation
                   for _, generation, name in self.cluster.refs(self.path))

    def assert_gather_gives_the_last_done(self) -> None:
        """`new` only if its commit had begun: its manifest is there, so every copy is, too."""
        content = self.gathered()
        if self.is_committed():
            assert content == self.new
        else:
            assert content == self.old

    def acknowledged(self) -> set[tuple[int, str]]:
        """(rank, request) of each chunk that a worker has acknowledged to the coordinator."""
        return {(rank, request.target.split("?")[0]) for rank, proxy in self.cluster.proxies.items()
                for request in proxy.matching(r"^PUT /chunks/") if request.status == 204}

    def store_the_rest(self, killed_rank: int | None = None) -> None:
        """A second run completes, and moves only what was missing. A killed worker has lost what it
        had acknowledged but not yet been asked to make durable."""
        before = {(rank, chunk) for rank, chunk in self.acknowledged() if rank != killed_rank}
        for proxy in self.cluster.proxies.values():
            proxy.clear_requests()
        lines = self.cluster.store(self.path)
        assert is_done(lines), "\n".join(lines)
        again = before & self.acknowledged()
        assert not again, f"{len(again)} of {len(before)} chunks were sent a second time"
        assert self.gathered() == self.new
        assert not self.cluster.temporary_files()
