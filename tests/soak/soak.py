"""Hours of stores, gathers, deletions and faults at random on six workers: nothing is lost, and memory, file
descriptors and disk space stay flat. Run by `make soak MINUTES=60` (scripts/soak), not by the tests.

A leak shows only in a process that lives on: in the first three quarters of the run the coordinator and two of the workers
are not killed, and are watched (samples.py); in the last quarter nobody is spared.

The seed is printed; the same seed makes the same choices, though not at the same moments. Prints a table at the end and
exits with 1 where anything that was acknowledged did not come back, or something grew."""
import argparse
import os
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from harness.checkpoints import model, random_bytes  # noqa: E402
from harness.cluster import Cluster  # noqa: E402
from harness.http import http  # noqa: E402
from harness.live_files import live_files  # noqa: E402
from harness.promise import Promise, sha256_of  # noqa: E402
from harness.seeds import Story  # noqa: E402
from harness.small_disk import SmallDisk, can_mount_images  # noqa: E402
from harness.waiting import wait_until  # noqa: E402
from samples import Sampler  # noqa: E402

WORKERS = 6
GENERATIONS = 2
FILES = 24  # that there are at a time, about
DISK_MEGABYTES = 1500  # of the one worker that has a small disk of its own, to be filled up
DISK_PERCENT_MAX = 110  # at the end: of the bytes of what is kept, both copies
SAFE_AGAIN = 240  # seconds, after any fault
# What a job pinned that its coordinator did not end (a killed store, a repair) stays for its lease, 10 min; then come two
# grace periods and a collection.
SPACE_BACK = 600 + 180
SPARED_SHARE = 0.75  # of the run, in which these workers and the coordinator are not killed
SPARED_RANKS = {1, 2}


class Soak:
    def __init__(self, folder: Path, seed: int, minutes: float):
        self.story = Story(seed)
        self.cluster = Cluster(folder, workers=WORKERS, n_chunks=WORKERS, generations=GENERATIONS, repair_after="5s",
                               scrub_every="60s", collect_after="30s", reserve="1 %")
        self.disk = SmallDisk(self.cluster, 6, DISK_MEGABYTES) if can_mount_images(folder) else None
        for rank in self.cluster.ranks:
            self.cluster.start_worker(rank, "--new")
        self.cluster.start_coordinator()
        self.promise = Promise(self.cluster, self.story)
        self.counts: Counter[str] = Counter()
        self.sampler = Sampler(self.cluster, self.data, self.owed_bytes, minutes)
        self.names = 0
        self.nobody_spared_from = time.monotonic() + minutes * 60 * SPARED_SHARE
        self.busy: set[Path] = set()
        self.flipped: dict[tuple[int, Path], str] = {}  # the SHA-256 with the flipped bit, by rank and path in its data

    def data(self, rank: int) -> Path:
        """Where the data of a worker are seen from here."""
        return self.disk.inside if self.disk and rank == self.disk.rank else self.cluster.data(rank)

    def owed_bytes(self) -> int:
        """Of every generation that is kept, twice."""
        return 2 * sum(row["bytes"] for checkpoint in self.cluster.get("/checkpoints")["checkpoints"]
                       for row in checkpoint["generations"] if row["state"] == "complete")

    def quiet(self) -> list[Path]:
        """The files that are owed and not being stored just now."""
        return [path for path in self.promise.acknowledged() if path not in self.busy]

    # --- what is done ---

    def store(self) -> None:
        """A new file, or one that is there: changed, or as it is."""
        paths = self.quiet()
        if len(paths) < FILES:
            self.names += 1
            name = f"run{self.names % 5}/step_{self.names}/model.{self.story.choice(['safetensors', 'bin'])}"
            self._store(name, self._content(name, most=40))
            return
        path = self.story.choice(paths)
        name = self.cluster.identity(path)
        is_changed = self.story.random() < 0.7
        self._store(name, self._content(name, most=12) if is_changed else path.read_bytes())

    def _content(self, name: str, most: float) -> bytes:
        seed = self.story.randrange(1 << 30)
        megabytes = self.story.choice([size for size in (0.1, 1, 4, 12, 40) if size <= most])
        return model(megabytes, seed=seed) if name.endswith(".safetensors") else random_bytes(int(megabytes * 1e6), seed)

    def _store(self, name: str, content: bytes) -> None:
        path = self.cluster.ckpt_root / name
        self.busy.add(path)
        done = self.promise.store(name, content)
        self.busy.discard(path)
        self.counts["stored" if done else "stores that said ERROR"] += 1

    def gather(self) -> None:
        if paths := self.quiet():
            self.promise.check_one(self.story.choice(paths))
            self.counts["gathered and compared"] += 1

    def forget(self) -> None:
        paths = self.quiet()
        if len(paths) < FILES // 2:
            return
        path = self.story.choice(paths)
        self.promise.may_be_gone(path)
        answer = http.delete(f"{self.cluster.url}/checkpoints/{quote(self.cluster.identity(path), safe='')}",
                             params={"force": "true"}, timeout=60)
        self.story.tell(f"delete {path.parent.name}: {answer.status_code}")
        if answer.status_code == 200:
            self.promise.forget(path)
            path.unlink()
            self.counts["forgotten"] += 1

    # --- faults ---

    def rank(self) -> int:
        return self.story.choice(self.cluster.ranks)

    def spares(self) -> bool:
        return time.monotonic() < self.nobody_spared_from

    def mortal_rank(self) -> int:
        return self.story.choice([rank for rank in self.cluster.ranks if not (self.spares() and rank in SPARED_RANKS)])

    def beside_a_fault(self, name: str, begin: Callable[[], None], end: Callable[[], None]) -> None:
        """A store is running when the fault begins, and one and a gather run before it ends."""
        self.counts[name] += 1
        self.story.tell(name)
        storing = threading.Thread(target=self.store)
        storing.start()
        time.sleep(self.story.uniform(0, 0.5))
        begin()
        storing.join()
        self.story.choice([self.store, self.gather])()
        end()
        self.wait_safe()

    def wait_safe(self) -> None:
        """Two faults at a time are more than the promise takes."""
        began = time.monotonic()
        self.promise.wait_safe(SAFE_AGAIN)
        self.counts["seconds until all was safe again"] += int(time.monotonic() - began)

    def kill_worker(self) -> None:
        rank = self.mortal_rank()
        self.beside_a_fault("kill -9 of a worker", self.cluster.workers[rank].kill, lambda: self.cluster.start_worker(rank))

    def kill_coordinator(self) -> None:
        if self.spares():
            return
        self.counts["kill -9 of the coordinator"] += 1
        storing = threading.Thread(target=self.store)
        storing.start()
        time.sleep(self.story.uniform(0, 0.5))
        self.cluster.coordinator.kill()
        storing.join()
        self.cluster.start_coordinator()

    def hang_worker(self) -> None:
        worker = self.cluster.workers[self.rank()]
        self.beside_a_fault("SIGSTOP of a worker", worker.pause, worker.resume)

    def lose_disk(self) -> None:
        rank = self.mortal_rank()

        def lose() -> None:
            self.cluster.workers[rank].kill()
            if self.disk and rank == self.disk.rank:
                self.disk.renew()
            else:
                shutil.rmtree(self.cluster.data(rank))

        self.beside_a_fault("disk lost", lose, lambda: self.cluster.start_worker(rank, "--new"))

    def fill_disk(self) -> None:
        if self.disk:
            self.beside_a_fault("disk full", lambda: self.disk.fill(self.story.choice([0, 100_000, 5_000_000])), self.disk.free)

    def damage(self, kind: str, pattern: str) -> None:
        self.counts[f"bit flipped: {kind}"] += 1
        rank = self.rank()
        files = live_files(self.data(rank), pattern)
        if not files:
            return
        file = self.story.choice(files)
        try:
            with file.open("r+b") as it:
                at = self.story.randrange(max(1, os.fstat(it.fileno()).st_size))
                it.seek(at)
                byte = it.read(1)
                it.seek(at)
                it.write(bytes([byte[0] ^ 1 << self.story.randrange(8)]) if byte else b"")
            self.flipped[rank, file.relative_to(self.data(rank))] = sha256_of(file)
        except FileNotFoundError:  # collected meanwhile
            return
        self.story.tell(f"a bit of {kind} flipped on rank {rank}: {file.name}")
        self.promise.check()
        # Sooner than scrub_every.
        http.post(f"{self.cluster.worker_url(rank)}/scrub", timeout=120)
        self.wait_safe()

    def unfound_damage(self) -> list[str]:
        """What lies where it was flipped, as it was flipped: no scrub found it, and no collection took it."""
        return [f"rank {rank}: {name}" for (rank, name), digest in self.flipped.items()
                if (file := self.data(rank) / name).exists() and sha256_of(file) == digest]

    # --- all of it ---

    def run(self, minutes: float) -> None:
        ends = time.monotonic() + minutes * 60
        self.sampler.start()
        actions: dict[Callable[[], None], int] = {
            self.store: 40, self.gather: 30, self.forget: 14, self.kill_worker: 4, self.kill_coordinator: 6,
            self.hang_worker: 2, self.lose_disk: 2, self.fill_disk: 2,
            lambda: self.damage("a chunk", "chunks/*/*"): 3, lambda: self.damage("a shard list", "shardlists/*"): 1,
            lambda: self.damage("a manifest", "manifests/*"): 1, lambda: self.damage("a ref", "refs/*/*/*.json"): 2}
        while time.monotonic() < ends:
            self.story.choices(list(actions), list(actions.values()))[0]()
            self.counts["steps"] += 1
            self.cluster.assert_never_crashed()
            self.sampler.sample_disks_if_due()

    def settle(self) -> None:
        """No more faults: all becomes safe, everything comes back, and what was forgotten is gone."""
        self.sampler.stop()
        self.wait_safe()
        self.promise.check()
        known = {self.cluster.identity(path) for path in self.promise.owed}

        def nothing_else() -> bool:
            return {row["identity"] for row in self.cluster.get("/checkpoints")["checkpoints"]} <= known

        def no_more_than_kept() -> bool:
            return all(len(row["generations"]) <= GENERATIONS for row in self.cluster.get("/checkpoints")["checkpoints"])

        def space_is_back() -> bool:
            return self.sampler.disk_percent() <= DISK_PERCENT_MAX

        wait_until(nothing_else, "what was forgotten is gone everywhere", 180, period=1)
        wait_until(no_more_than_kept, "no more generations are kept than the config says", 180, period=1)
        began = time.monotonic()
        try:
            wait_until(space_is_back, f"the disks hold no more than {DISK_PERCENT_MAX} % of what is kept", SPACE_BACK, period=2)
        except AssertionError:
            print(f"the disks hold {self.sampler.disk_percent():.0f} % of what is kept")
            raise
        for unfound in self.unfound_damage():
            self.counts["flipped bits that no scrub found"] += 1
            print(f"not found: {unfound}")
        print(f"after {time.monotonic() - began:.0f} s the disks hold {self.sampler.disk_percent():.0f} % of what is kept")

    def report(self) -> bool:
        """Prints it; True where nothing has grown that lived long enough to tell."""
        self.sampler.stop()
        print("\n| what | how often |\n|---|---|")
        for name, count in sorted(self.counts.items()):
            print(f"| {name} | {count} |")
        return self.sampler.report()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    print(f"seed {options.seed}, {options.minutes:g} minutes", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="grove-soak-"))
    soak = Soak(folder, options.seed, options.minutes)
    try:
        soak.run(options.minutes)
        soak.settle()
        is_flat = soak.report()
        print("\nOK" if is_flat else "\nFAILED: something grew, or nothing could be told of it")
        return 0 if is_flat else 1
    except AssertionError as failure:
        soak.report()
        print(soak.cluster.run("status").stdout)
        print(soak.cluster.run("repair", "--dry-run").stdout)
        for name, text in soak.cluster.logs():
            print(f"--- {name}\n{text}")
        print(f"\nFAILED (seed {options.seed}): {failure}")
        return 1
    finally:
        soak.cluster.close()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
