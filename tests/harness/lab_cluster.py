"""A cluster whose coordinator and workers have a network each, as on real machines."""
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

from harness.binary import GROVE
from harness.netlab import Netlab
from harness.process import Process

API_PORT = 8000


class LabCluster:
    """Workers w1, w2, … and the coordinator coord; ports as in the reference."""

    def __init__(self, lab: Netlab, folder: Path, workers: int, disks: Path | None = None,
                 **config: object):
        self.lab, self.folder, self.config = lab, folder, config
        self.disks = disks or folder  # where the workers' data is
        self.ranks = list(range(1, workers + 1))
        self.coordinator = lab.host("coord")
        self.ckpt_root = folder / "checkpoints"
        self.ckpt_root.mkdir(parents=True, exist_ok=True)
        self.config_path = folder / "config.yaml"
        self.processes: list[Process] = []

    def device(self, rank: int, ip: str = "") -> dict[str, object]:
        return {"host": f"w{rank}", "ip": ip or self.lab.host(f"w{rank}").address, "rank": rank,
                "port": 5000 + rank}

    def write_config(self, devices: list[dict] | None = None) -> None:
        devices = devices or [self.device(rank) for rank in self.ranks]
        settings = {"ckpt_root": str(self.ckpt_root), "num_workers": len(devices),
                    "keep_shards": False, "devices_config": {"workers": devices}, **self.config}
        self.config_path.write_text(json.dumps(settings))

    def start_on(self, host: str, name: str, *arguments: str, data_home: str = "") -> Process:
        """A grove process there, with a home of its own."""
        home = self.folder / "homes" / (data_home or host)
        home.mkdir(parents=True, exist_ok=True)
        log = self.folder / f"{name}.{len(self.processes)}.log"
        process = self.lab.host(host).start(
            name, ["env", f"HOME={home}", f"XDG_DATA_HOME={home}", str(GROVE), *arguments], log)
        self.processes.append(process)
        return process

    def data(self, rank: int) -> Path:
        return self.disks / f"worker_{rank}"

    def start_worker(self, rank: int, host: str = "") -> Process:
        new = [] if self.data(rank).exists() else ["--new"]
        worker = self.start_on(host or f"w{rank}", f"worker_{rank}", "worker", "--rank", str(rank),
                               "--config", str(self.config_path), "--data", str(self.data(rank)),
                               *new)
        worker.wait_for_log(r"listening on \S+:\d+")
        return worker

    def start_coordinator(self) -> Process:
        process = self.start_on("coord", "coordinator", "start", "--no-watch", "--config", str(self.config_path))
        process.wait_for_log("API listening")
        return process

    def start(self) -> "LabCluster":
        self.write_config()
        for rank in self.ranks:
            self.start_worker(rank)
        self.start_coordinator()
        return self

    def call(self, target: str, method: str = "GET") -> subprocess.CompletedProcess:
        """curl on the coordinator's host; the answer ends with its status."""
        return self.coordinator.run(
            ["curl", "-sN", "-X", method, "--max-time", "100", "-w", "%{http_code}",
             f"http://127.0.0.1:{API_PORT}{target}"], seconds=110)

    def job(self, endpoint: str, path: Path) -> list[str]:
        answer = self.call(f"/{endpoint}?ckpt_path={path}", "POST").stdout
        return answer.rsplit("\n", 1)[0].splitlines()

    def store(self, path: Path) -> list[str]:
        return self.job("store-shard", path)

    def gather(self, path: Path, output: Path) -> list[str]:
        answer = self.call(f"/gather-shards?ckpt_path={path}&output={output}", "POST").stdout
        return answer.rsplit("\n", 1)[0].splitlines()

    def get(self, target: str) -> dict:
        answer = self.call(target).stdout
        assert answer.endswith("200"), answer
        return json.loads(answer[:-3])

    def follow(self, endpoint: str, path: Path) -> Iterator[str]:
        """The job's lines as they come; who stops reading leaves the job to itself."""
        curl = self.coordinator.popen(
            ["curl", "-sN", "-X", "POST", f"http://127.0.0.1:{API_PORT}/{endpoint}?ckpt_path={path}"],
            stdout=subprocess.PIPE, text=True)
        try:
            for line in curl.stdout:
                yield line.rstrip("\n")
        finally:
            curl.kill()
            curl.wait()
            curl.stdout.close()

    def discover(self, timeout: float) -> dict:
        answer = self.call(f"/discover?timeout={timeout}").stdout
        assert answer.endswith("200"), answer
        answer = answer[:-3]
        return json.loads(answer)

    def rows(self, timeout: float = 30) -> list[tuple[int, str, str, int]]:
        return [(row["rank"], row["hostname"], row["ip"], row["port"])
                for row in self.discover(timeout)["workers"]]

    def row(self, rank: int) -> tuple[int, str, str, int]:
        return (rank, f"w{rank}", self.lab.host(f"w{rank}").address, 5000 + rank)
