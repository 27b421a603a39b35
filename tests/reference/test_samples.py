"""The reference's samples, cut out of the page as they stand there and run; only host, port and
paths are changed. In the page's order."""
import json
import re
import subprocess
import threading
from pathlib import Path

import httpx
import pytest

import harness.reference_page as page
from harness.binary import GROVE
from harness.checkpoints import model, write
from harness.cluster import CALL_SECONDS, Cluster
from harness.reference_page import placed


def run(command: list[str], **options: object) -> str:
    result = subprocess.run(command, text=True, capture_output=True, timeout=CALL_SECONDS,
                            check=False, **options)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def run_shell(text: str, cluster: Cluster) -> str:
    environment = {"PATH": f"{GROVE.parent}:/usr/bin:/bin",
                   "GROVE_CONFIG": str(cluster.config_path)}
    return run(["bash", "-c", text], env=environment)


def run_python(text: str) -> str:
    return run(["/usr/bin/python3", "-c", text], env={"PATH": "/usr/bin:/bin"})


@pytest.fixture
def path(shared_cluster: Cluster, request: pytest.FixtureRequest) -> Path:
    return write(shared_cluster.ckpt_root / request.node.name / "step_100/model.safetensors",
                 model(8))


def assert_stored(output: str, path: Path) -> None:
    lines = [line for line in output.splitlines() if line]
    assert lines[0].startswith("Loaded 24 tensors (7.")
    assert lines[-1] == f"Done: 8/8 sends (2x replicated) → {path.parent.parent.name}/step_100"


def assert_gathered(output: str, path: Path) -> None:
    merged = path.with_name("merged.safetensors")
    lines = [line for line in output.splitlines() if line]
    assert lines[-1] == f"Done: saved → {merged}"
    assert merged.read_bytes() == path.read_bytes()


@pytest.mark.smoke
def test_curl_samples(shared_cluster: Cluster, path: Path) -> None:
    """/store-shard and /gather-shards, "curl"."""
    assert_stored(run_shell(placed(page.STORE_CURL, shared_cluster, path), shared_cluster), path)
    assert_gathered(run_shell(placed(page.GATHER_CURL, shared_cluster, path), shared_cluster), path)


@pytest.mark.smoke
def test_httpx_samples(shared_cluster: Cluster, path: Path) -> None:
    """/store-shard and /gather-shards, "Python (httpx)"."""
    assert_stored(run_python(placed(page.STORE_HTTPX, shared_cluster, path)), path)
    assert_gathered(run_python(placed(page.GATHER_HTTPX, shared_cluster, path)), path)


def test_discover_sample(make_lab_cluster) -> None:
    """/discover, "curl" and "Response": its fields in its order, sorted by rank."""
    cluster = make_lab_cluster(2).start()
    answer = json.loads(cluster.coordinator.run(["bash", "-c", page.DISCOVER_CURL]).stdout)
    promised = json.loads(page.DISCOVER_ANSWER)
    assert list(answer) == list(promised)
    for rank, row in enumerate(answer["workers"], start=1):
        assert list(row) == list(promised["workers"][0])
        assert row == {"ip": cluster.lab.host(f"w{rank}").address, "port": 5000 + rank,
                       "rank": rank, "hostname": f"w{rank}"}
    assert len(answer["workers"]) == 2
    table = cluster.coordinator.run(
        ["env", f"PATH={GROVE.parent}:/usr/bin:/bin", f"GROVE_CONFIG={cluster.config_path}",
         "bash", "-c", page.DISCOVER_COMMAND]).stdout
    assert [line.split()[1] for line in table.splitlines()[1:]] == ["w1", "w2"]


def test_metrics_sample(shared_cluster: Cluster, path: Path) -> None:
    """/metrics, "curl": with the trailing slash, and without."""
    text = run_shell(placed(page.METRICS_CURL, shared_cluster, path), shared_cluster)
    for family in ("store_operations_total", "gather_operations_total", "store_wall_seconds",
                   "gather_wall_seconds", "bytes_sent_total", "bytes_received_total",
                   "send_duration_seconds"):
        assert f"\n# TYPE smoltorrent_{family} " in f"\n{text}", family
    assert httpx.get(f"{shared_cluster.url}/metrics", trust_env=False).status_code == 200


@pytest.mark.smoke
def test_command_samples(shared_cluster: Cluster, path: Path) -> None:
    """"Store a checkpoint" and "Gather a checkpoint"."""
    stored = run_shell(placed(page.STORE_COMMAND, shared_cluster, path), shared_cluster)
    assert_stored(stored, path)
    gathered = run_shell(placed(page.GATHER_COMMAND, shared_cluster, path), shared_cluster)
    assert_gathered(gathered, path)


def test_config_sample(grove, tmp_path: Path) -> None:
    """"config.yaml reference": the page's own file is a valid config and means what it says."""
    config = tmp_path / "config.yaml"
    config.write_text(page.CONFIG)
    shown = grove("config", "--json", "--config", str(config), env={"HOME": "/home/user"})
    assert shown.returncode == 0, shown.stderr
    read = json.loads(shown.stdout)
    assert read["ckpt_root"] == "/home/user/smolcluster/checkpoints"
    assert (read["n_chunks"], read["num_workers"]) == (4, 4)
    written = re.findall(r"- host: (\S+)\n +ip: (\S+)\n +rank: (\d)\n +port: (\d+)", page.CONFIG)
    devices = [*read["devices_config"]["master"], *read["devices_config"]["workers"]]
    assert len(devices) == 5
    assert [tuple(str(device[key]) for key in ("host", "ip", "rank", "port"))
            for device in devices] == written


def test_checked_store_sample_tells_success_from_failure(shared_cluster: Cluster,
                                                         path: Path) -> None:
    """"Check for errors programmatically"."""
    text = placed(page.CHECKED_STORE, shared_cluster, path)
    assert run_python(f"{text}\nprint(store({str(path)!r}))") == "True\n"
    caught = (f"{text}\ntry:\n    store({str(path.with_name('absent.safetensors'))!r})\n"
              "except RuntimeError as error:\n    print(error)")
    assert "ERROR: checkpoint not found" in run_python(caught)


def test_checked_store_sample_takes_a_retried_store_for_a_success(make_cluster) -> None:
    """"Check for errors programmatically": a ↻ line is no error."""
    cluster = make_cluster()
    path = write(cluster.ckpt_root / "run1/step_100/model.safetensors", model(4))
    cluster.workers[3].kill()
    lines: list[str] = []

    def start_the_worker_at_its_first_retry() -> None:
        with cluster.stream("store-shard", path) as stream:  # the sample joins this job
            for line in stream:
                if not lines and line.startswith("  ↻ rank 3 failed — queuing retry"):
                    cluster.start_worker(3, wait=False)
                    lines.append(line)

    helper = threading.Thread(target=start_the_worker_at_its_first_retry)
    helper.start()
    text = placed(page.CHECKED_STORE, cluster, path)
    assert run_python(f"{text}\nprint(store({str(path)!r}))") == "True\n"
    helper.join()
    assert lines
