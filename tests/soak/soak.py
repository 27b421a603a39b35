"""Hours of stores, gathers, deletions and faults at random on six workers: nothing is lost, and memory, file
descriptors and disk space stay flat. Run by `make soak MINUTES=60` (scripts/soak), not by the tests.

The seed is printed; the same seed makes the same choices, though not at the same moments. Prints a table at the end and
exits with 1 where anything that was acknowledged did not come back, or something grew."""
import argparse
import random
import re
import shutil
import statistics
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from harness.checkpoints import model, random_bytes  # noqa: E402
from harness.cluster import Cluster  # noqa: E402
from harness.promise import Ledger  # noqa: E402
from harness.waiting import wait_until  # noqa: E402

WORKERS = 6
FILES = 24  # that there are at a time, about
SAMPLE_SECONDS = 20
# The last quarter's median may be so much above the second's: the first quarter fills caches and disks.
TOLERANCE = {"memory": 1.25, "descriptors": 1.25, "disk": 1.25}
SLACK = {"memory": 16 << 20, "descriptors": 16, "disk": 64 << 20}


class Soak:
    def __init__(self, folder: Path, seed: int):
        self.random = random.Random(seed)
        self.cluster = Cluster(folder, workers=WORKERS, n_chunks=WORKERS, generations=2, repair_after="5s",
                               scrub_every="60s", collect_after="30s")
        self.cluster.start()
        self.ledger = Ledger(self.cluster)
        self.counts: Counter[str] = Counter()
        self.samples: list[dict[str, dict[str, float]]] = []
        self.names = 0

    # --- what is done ---

    def store(self) -> None:
        paths = self.ledger.paths()
        if len(paths) < FILES or not paths:
            self.names += 1
            suffix = self.random.choice(["safetensors", "bin"])
            path = self.cluster.ckpt_root / f"run{self.names % 5}/step_{self.names}/model.{suffix}"
            content = model(self.random.choice([0.1, 1, 4, 12, 40]), seed=self.names) if suffix == "safetensors" \
                else random_bytes(self.random.choice([100_000, 5_000_000]), self.names)
        else:
            path = self.random.choice(paths)
            content = None
            if path.suffix == ".bin" and self.random.random() < 0.7:
                content = random_bytes(self.random.choice([100_000, 5_000_000]), self.random.randrange(1 << 30))
            elif self.random.random() < 0.7:
                content = model(self.random.choice([0.1, 1, 4, 12]), seed=self.random.randrange(1 << 30))
        done = self.ledger.store(path, content)
        self.counts["stored" if done else "stores that failed"] += 1

    def gather(self) -> None:
        if paths := self.ledger.paths():
            self.ledger.check(self.random.choice(paths))
            self.counts["gathered and compared"] += 1

    def forget(self) -> None:
        paths = self.ledger.paths()
        if len(paths) < FILES // 2:
            return
        path = self.random.choice(paths)
        done = self.ledger.forget(path)
        self.counts["forgotten" if done else "deletions that failed"] += 1
        if done:
            path.unlink(missing_ok=True)

    # --- faults ---

    def rank(self) -> int:
        return self.random.choice(self.cluster.ranks)

    def kill_worker(self) -> None:
        rank = self.rank()
        self.cluster.workers[rank].kill()
        self.store()
        self.cluster.start_worker(rank)

    def kill_coordinator(self) -> None:
        self.cluster.coordinator.kill()
        self.cluster.start_coordinator()

    def hang_worker(self) -> None:
        worker = self.cluster.workers[self.rank()]
        worker.pause()
        self.store()
        worker.resume()

    def lose_disk(self) -> None:
        if not self.ledger.is_whole():
            return
        rank = self.rank()
        self.cluster.workers[rank].kill()
        shutil.rmtree(self.cluster.data(rank))
        self.cluster.start_worker(rank)
        self.ledger.wait_until_whole()

    def damage(self, files: list[Path]) -> None:
        if not files or not self.ledger.is_whole():
            return
        file = self.random.choice(files)
        try:
            content = bytearray(file.read_bytes())
            if not content:
                return
            content[self.random.randrange(len(content))] ^= 1 << self.random.randrange(8)
            file.write_bytes(content)
        except FileNotFoundError:  # collected meanwhile
            return
        self.ledger.check_all()
        # What nobody has read is known to nobody: another loss before that would be one too many.
        self.cluster.run("verify")

    def damage_chunk(self) -> None:
        self.damage(list(self.cluster.chunk_files(self.rank()).values()))
        self.ledger.wait_until_whole()

    def damage_list(self) -> None:
        self.damage(list(self.cluster.data(self.rank()).glob("shardlists/*")))
        self.ledger.wait_until_whole()

    def damage_ref(self) -> None:
        rank = self.rank()
        self.cluster.workers[rank].kill()
        self.damage(list(self.cluster.data(rank).glob("refs/*/*/*.json")))
        self.cluster.start_worker(rank)
        self.ledger.wait_until_whole()

    # --- what it takes ---

    def sample(self) -> None:
        taken: dict[str, dict[str, float]] = {}
        processes = {f"worker {rank}": worker for rank, worker in self.cluster.workers.items()}
        processes["coordinator"] = self.cluster.coordinator
        for name, process in processes.items():
            try:
                status = Path(f"/proc/{process.pid}/status").read_text()
                descriptors = len(list(Path(f"/proc/{process.pid}/fd").iterdir()))
            except (FileNotFoundError, ProcessLookupError):
                continue
            memory = int(re.search(r"RssAnon:\s+(\d+) kB", status)[1]) * 1024
            taken[name] = {"memory": memory, "descriptors": descriptors}
        for rank in self.cluster.ranks:
            total = 0
            for file in self.cluster.data(rank).rglob("*"):
                try:
                    total += file.stat().st_blocks * 512
                except FileNotFoundError:
                    continue
            taken.setdefault(f"worker {rank}", {})["disk"] = total
        self.samples.append(taken)

    def run(self, minutes: float) -> None:
        ends = time.monotonic() + minutes * 60
        sampled = time.monotonic()
        actions = {self.store: 40, self.gather: 30, self.forget: 12, self.kill_worker: 5, self.kill_coordinator: 2,
                   self.hang_worker: 2, self.lose_disk: 2, self.damage_chunk: 4, self.damage_list: 1,
                   self.damage_ref: 2}
        while time.monotonic() < ends:
            action = self.random.choices(list(actions), list(actions.values()))[0]
            self.counts[action.__name__] += 1
            action()
            self.cluster.assert_never_crashed()
            if time.monotonic() - sampled > SAMPLE_SECONDS:
                sampled = time.monotonic()
                self.sample()

    def settle(self) -> None:
        self.ledger.wait_until_whole()
        self.ledger.check_all()
        live = {self.cluster.identity(path) for path in self.ledger.entries}

        def nothing_else() -> bool:
            return {row["identity"] for row in self.cluster.get("/checkpoints")["checkpoints"]} <= live

        wait_until(nothing_else, "what was forgotten is gone everywhere", 120)

    # --- the report ---

    def report(self) -> bool:
        """Prints it; True where nothing has grown."""
        print(f"\n{sum(self.counts.values())} steps, {self.ledger.checks} gathers compared:")
        for name, count in sorted(self.counts.items()):
            print(f"  {name:24} {count}")
        quarter = len(self.samples) // 4
        if quarter < 3:
            print("too short to tell what grows: give it more minutes")
            return True
        is_flat = True
        print(f"\n{'':14}{'':14}{'2nd quarter':>14}{'last quarter':>14}   (medians of {quarter} samples)")
        names = ["coordinator", *(f"worker {rank}" for rank in self.cluster.ranks)]
        for kind, unit in (("memory", 1 << 20), ("descriptors", 1), ("disk", 1 << 20)):
            for name in names:
                values = [sample[name][kind] for sample in self.samples if kind in sample.get(name, {})]
                if not values:
                    continue
                part = len(values) // 4
                before = statistics.median(values[part:2 * part])
                after = statistics.median(values[-part:])
                grew = after > before * TOLERANCE[kind] + SLACK[kind]
                is_flat = is_flat and not grew
                print(f"{kind:14}{name:14}{before / unit:14.1f}{after / unit:14.1f}{'   GREW' if grew else ''}")
        return is_flat


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    print(f"seed {options.seed}, {options.minutes} minutes", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="grove-soak-"))
    soak = Soak(folder, options.seed)
    try:
        soak.run(options.minutes)
        soak.settle()
        is_flat = soak.report()
        print("\nOK" if is_flat else "\nFAILED: something grew")
        return 0 if is_flat else 1
    except AssertionError as failure:
        soak.report()
        print(soak.cluster.run("status").stdout)
        print(soak.cluster.run("repair", "--dry-run").stdout)
        for name, text in soak.cluster.logs():
            print(f"--- {name}\n{text}")
        print(f"\nFAILED: {failure}")
        return 1
    finally:
        soak.cluster.close()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
