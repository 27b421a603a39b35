"""A real cluster for a test: workers and a coordinator as processes on free loopback ports."""
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote

from harness.binary import GROVE
from harness.http import http
from harness.live_files import live_files
from harness.ports import free_port
from harness.process import Process
from harness.proxy import Proxy

CALL_SECONDS = 150  # longer than all retries of one copy (1 + 2 + 4 + 8 + 16 + 32 s)


class Cluster:
    """`proxied` puts a Proxy before every worker, at the port the config names."""

    def __init__(self, folder: Path, workers: int = 4, proxied: bool = False,
                 prefix: list[str] | None = None, repairs: bool = True, **config: object):
        self.folder = folder
        self.repairs = repairs  # by itself
        self.ckpt_root = folder / "checkpoints"
        self.ckpt_root.mkdir(parents=True, exist_ok=True)
        self.config_path = folder / "config.yaml"
        self.ranks = list(range(1, workers + 1))
        self.prefix = prefix or []  # put before the coordinator's command
        self.worker_prefixes: dict[int, list[str]] = {}  # … and before a worker's, at each of its starts
        self.workers: dict[int, Process] = {}
        self.coordinator: Process | None = None
        self.ended: list[Process] = []
        self.proxies: dict[int, Proxy] = {}
        self.ports = {rank: free_port() for rank in self.ranks}
        self.api_port = free_port()
        for rank in self.ranks if proxied else []:
            self.proxies[rank] = Proxy(free_port(), self.ports[rank])
        self.settings: dict[str, object] = {
            "ckpt_root": str(self.ckpt_root), "n_chunks": workers, "num_workers": workers,
            "keep_shards": False, "api": {"host": "127.0.0.1", "port": self.api_port},
            "devices_config": {"workers": [self.device(rank) for rank in self.ranks]}, **config}
        self.write_config()

    # --- processes ---

    def device(self, rank: int) -> dict[str, object]:
        proxy = self.proxies.get(rank)
        return {"host": f"pi-{rank}", "ip": "127.0.0.1", "rank": rank,
                "port": proxy.port if proxy else self.ports[rank]}

    def write_config(self, **changes: object) -> None:
        """Writes config.yaml with these settings changed, as a user's editor would: at once."""
        self.settings |= changes
        text = "".join(f"{key}: {json.dumps(value)}\n" for key, value in self.settings.items())
        scratch = self.config_path.with_suffix(".new")
        scratch.write_text(text)
        scratch.rename(self.config_path)

    def start(self, watch: bool = False) -> "Cluster":
        for rank in self.ranks:
            self.start_worker(rank, wait=False)
        self.start_coordinator(watch)
        for worker in self.workers.values():
            worker.wait_for_log(r"listening on \S+:\d+")
        return self

    def start_worker(self, rank: int, *extra: str, wait: bool = True,
                     prefix: list[str] | None = None) -> Process:
        data = self.data(rank)
        new = [] if data.exists() else ["--new"]
        command = [*(prefix or self.worker_prefixes.get(rank, [])), str(GROVE), "worker", "--rank", str(rank),
                   "--config", str(self.config_path), "--data", str(data), "--port", str(self.ports[rank]),
                   "--no-announce", *new, *extra]
        if old := self.workers.get(rank):
            self.ended.append(old)
        self.workers[rank] = Process(f"worker {rank}", command, self._log(f"worker_{rank}"))
        if wait:
            self.workers[rank].wait_for_log(r"listening on \S+:\d+")
        return self.workers[rank]

    def lose_disk(self, rank: int) -> None:
        """Kills the worker; started again it takes the empty folder for a new disk."""
        self.workers[rank].kill()
        shutil.rmtree(self.data(rank))

    def start_coordinator(self, watch: bool = False) -> Process:
        command = [*self.prefix, str(GROVE), "start", "--config", str(self.config_path),
                   *([] if watch else ["--no-watch"]), *([] if self.repairs else ["--no-repair"])]
        if self.coordinator:
            self.ended.append(self.coordinator)
        # Where it keeps its id.
        environment = os.environ | {"XDG_DATA_HOME": str(self.folder / "share")}
        self.coordinator = Process("coordinator", command, self._log("coordinator"), environment)
        self.coordinator.wait_for_log(r"API listening on http://127\.0\.0\.1:\d+")
        return self.coordinator

    def _log(self, name: str) -> Path:
        number = len(list(self.folder.glob(f"{name}.*.log")))
        return self.folder / f"{name}.{number}.log"

    def processes(self) -> list[Process]:
        return [*self.ended, *self.workers.values(), *filter(None, [self.coordinator])]

    def assert_never_crashed(self) -> None:
        for process in self.processes():
            process.assert_never_crashed()

    def close(self) -> None:
        for process in self.processes():
            process.kill()
        for proxy in self.proxies.values():
            proxy.close()

    def logs(self) -> Iterator[tuple[str, str]]:
        for path in sorted(self.folder.glob("*.log")):
            yield path.stem, path.read_text(errors="replace")[-6000:]

    # --- the API ---

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.api_port}"

    def call(self, endpoint: str, path: Path | str, **parameters: object) -> list[str]:
        """The lines of a whole job."""
        with self.stream(endpoint, path, **parameters) as lines:
            return list(lines)

    @contextmanager
    def stream(self, endpoint: str, path: Path | str, **parameters: object
               ) -> Iterator[Iterator[str]]:
        with http.stream("POST", f"{self.url}/{endpoint}", params={"ckpt_path": str(path), **parameters},
                         timeout=CALL_SECONDS) as answer:
            answer.raise_for_status()
            yield (line.rstrip("\n") for line in answer.iter_lines())

    def store(self, path: Path | str) -> list[str]:
        return self.call("store-shard", path)

    def gather(self, path: Path | str, **parameters: object) -> list[str]:
        return self.call("gather-shards", path, **parameters)

    def get(self, path: str) -> dict:
        answer = http.get(self.url + path, timeout=30)
        answer.raise_for_status()
        return answer.json()

    def newest(self) -> dict:
        """What is said of the newest generation, where there is one checkpoint."""
        return self.get("/checkpoints")["checkpoints"][0]["generations"][0]

    def text(self, path: str) -> str:
        answer = http.get(self.url + path, timeout=30)
        answer.raise_for_status()
        return answer.text

    @staticmethod
    def free_port() -> int:
        return free_port()

    def worker_url(self, rank: int) -> str:
        return f"http://127.0.0.1:{self.ports[rank]}"

    def run(self, *arguments: str, **options: object) -> subprocess.CompletedProcess:
        """The grove command with this cluster's config."""
        return subprocess.run([str(GROVE), *arguments, "--config", str(self.config_path)],
                              text=True, capture_output=True, timeout=CALL_SECONDS, check=False,
                              **options)

    # --- what is on the disks ---

    def data(self, rank: int) -> Path:
        return self.folder / f"worker_{rank}"

    def identity(self, path: Path) -> str:
        return str(path.relative_to(self.ckpt_root))

    def refs(self, path: Path, generation: int | None = None) -> list[tuple[int, int, str]]:
        """(rank, generation, name) of each ref to this checkpoint; names are "0"… or "manifest"."""
        name = sha256(self.identity(path).encode()).hexdigest()
        found = []
        for rank in self.ranks:
            for file in live_files(self.data(rank), f"refs/{name}/*/*.json"):
                number = int(file.parent.name)
                if generation in (None, number):
                    found.append((rank, number, file.stem))
        return found

    def chunk_files(self, rank: int) -> dict[str, Path]:
        return {file.name: file for file in live_files(self.data(rank), "chunks/*/*")}

    def snapshot(self, *others: Path) -> dict[str, tuple[int, int]]:
        """Every file of the workers, the checkpoints and `others`, with size and mtime."""
        files = {}
        for top in [*map(self.data, self.ranks), self.ckpt_root, *others]:
            for file in live_files(top, "**/*"):
                status = file.lstat()
                files[str(file)] = (status.st_size if file.is_file() else 0,
                                    status.st_mtime_ns if file.is_file() else 0)
        return files

    def temporary_files(self) -> list[Path]:
        """What an interrupted job may have left: workers' tmp/, and grove's own hidden files."""
        left = [file for rank in self.ranks for file in live_files(self.data(rank), "tmp/*")]
        return left + live_files(self.folder, "**/.grove-*")

    def bytes_put(self) -> int:
        """Bytes of chunk bodies sent with PUT (proxied clusters only)."""
        return sum(request.body_bytes for proxy in self.proxies.values()
                   for request in proxy.matching(r"^PUT /chunks/"))


def encoded(identity: str) -> str:
    """An identity as one segment of a worker's URL."""
    return quote(identity, safe="")
