"""The grove command: help, exit statuses, --json, and how it stops."""
import json
import re
import signal
import socket
import subprocess
import textwrap
from pathlib import Path

import pytest

from harness.binary import GROVE, ROOT
from harness.checkpoints import model, write
from harness.cluster import Cluster
from harness.lines import is_done
from harness.ports import free_port
from harness.process import Process
from harness.waiting import wait_until

OPERATIONS = (ROOT / "docs/operations.md").read_text()
COMMANDS = ["start", "worker", "join", "watch", "store", "gather", "drill", "doctor", "discover", "status", "ls", "config",
            "version"]


@pytest.mark.smoke
@pytest.mark.parametrize("command", [[], *[[each] for each in COMMANDS]])
def test_help(grove, command: list[str]) -> None:
    result = grove(*command, "--help")
    assert result.returncode == 0 and not result.stderr
    assert "--help" in result.stdout
    for each in COMMANDS if not command else []:
        assert each in result.stdout


@pytest.mark.smoke
def test_help_is_what_the_docs_show(grove) -> None:
    shown = re.findall(r"^    \$ grove (\w+) --help\n((?:    (?!\$).*\n|\n(?=    (?!\$)))+)", OPERATIONS,
                       re.M)
    assert len(shown) == 13
    for command, block in shown:
        printed = grove(command, "--help").stdout.split("\n\nThe config file is")[0]
        assert textwrap.dedent(block).strip() == printed.strip(), command


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["store"], ["gather", "--nonsense"],
                                       ["worker"], ["worker", "--rank", "x"], ["store", "positional"],
                                       ["gather", "--ckpt-path", "/x", "--generation", "x"]])
def test_wrong_usage_is_2_and_said_on_stderr(grove, arguments: list[str]) -> None:
    result = grove(*arguments)
    assert result.returncode == 2, result
    assert result.stderr and not result.stdout


@pytest.mark.smoke
def test_version(grove) -> None:
    result = grove("version")
    assert result.returncode == 0 and "0.1.0" in result.stdout
    assert json.loads(grove("version", "--json").stdout)["version"] == "0.1.0"


def test_config_prints_what_is_valid_and_refuses_what_is_not(grove, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    text = ("ckpt_root: /ckpt\nnum_workers: 1\nredundancy: 1\ndevices_config: {workers: "
            "[{host: pi-1, ip: 10.0.0.1, rank: 1, port: 5001}]}\n")
    config.write_text(text)
    told = json.loads(grove("config", "--json", cwd=tmp_path, env={"GROVE_CONFIG": "config.yaml"}).stdout)
    assert told["source"] == str(config)
    assert told["devices_config"]["workers"] == [
        {"host": "pi-1", "ip": "10.0.0.1", "rank": 1, "port": 5001}]
    assert (told["n_chunks"], told["shards_root"]) == (1, "/shards")
    assert "pi-1             10.0.0.1:5001" in grove("config", "--config", str(config)).stdout
    config.write_text(f"{text}redundency: 2\n")
    refused = grove("config", "--json", "--config", str(config))
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.startswith(f"ERROR: {config}:5: ")


@pytest.mark.smoke
def test_store_ls_status_gather(cluster: Cluster) -> None:
    path = write(cluster.ckpt_root / "run1/step_1/model.safetensors", model(2))
    stored = cluster.run("store", "--ckpt-path", str(path))
    assert stored.returncode == 0 and is_done(stored.stdout.splitlines()), stored
    listed = cluster.run("ls")
    assert listed.returncode == 0 and "run1/step_1" in listed.stdout
    [checkpoint] = json.loads(cluster.run("ls", "--json").stdout)["checkpoints"]
    assert checkpoint["identity"] == "run1/step_1/model.safetensors"
    status = cluster.run("status")
    assert status.returncode == 0
    assert all(f"pi-{rank}" in status.stdout for rank in cluster.ranks)
    assert len(json.loads(cluster.run("status", "--json").stdout)["workers"]) == 4
    gathered = cluster.run("gather", "--ckpt-path", str(path), "--output",
                           str(cluster.folder / "out.safetensors"))
    assert gathered.returncode == 0 and is_done(gathered.stdout.splitlines()), gathered
    assert (cluster.folder / "out.safetensors").read_bytes() == path.read_bytes()


def test_an_error_is_1(cluster: Cluster) -> None:
    result = cluster.run("store", "--ckpt-path", str(cluster.ckpt_root / "absent.safetensors"))
    assert result.returncode == 1
    assert result.stdout.splitlines()[-1].startswith("ERROR: checkpoint not found")


def test_without_a_coordinator_it_says_so(make_cluster) -> None:
    cluster = make_cluster(start=False)
    for command in (["status"], ["ls"], ["store", "--ckpt-path", "/x"]):
        result = cluster.run(*command)
        assert result.returncode == 1
        said = (result.stdout + result.stderr).strip()
        assert str(cluster.api_port) in said and "grove start" in said, said


def test_the_config_is_looked_up_in_order(grove, tmp_path: Path) -> None:
    environment = {"HOME": str(tmp_path / "home"), "PATH": "/usr/bin:/bin"}
    places = [tmp_path / "named.yaml", tmp_path / "configs/config.yaml",
              tmp_path / "home/.config/grove/config.yaml"]
    result = grove("start", env=environment, cwd=tmp_path)
    said = result.stdout + result.stderr
    assert result.returncode in (1, 2) and "configs/config.yaml" in said and ".config/grove" in said
    for place in reversed(places):  # each one wins over those written before it
        write(place, f"unknown_in_{place.parent.name}: 1\n".encode())
        variables = environment | ({"GROVE_CONFIG": str(place)} if place == places[0] else {})
        result = grove("ls", env=variables, cwd=tmp_path)
        assert f"unknown_in_{place.parent.name}" in result.stdout + result.stderr
    explicit = write(tmp_path / "explicit/c.yaml", b"unknown_in_explicit: 1\n")
    result = grove("ls", "--config", str(explicit), env=variables, cwd=tmp_path)
    assert "unknown_in_explicit" in result.stdout + result.stderr


def test_ctrl_c_on_a_store_is_130_and_the_job_goes_on(make_cluster) -> None:
    cluster = make_cluster(proxied=True)
    path = write(cluster.ckpt_root / "run1/step_1/model.safetensors", model(4))
    rule = cluster.proxies[4].hold(r"^PUT /refs/")
    command = Process("store", [str(GROVE), "store", "--ckpt-path", str(path), "--config",
                                str(cluster.config_path)], cluster.folder / "store.0.log")
    rule.wait_reached()
    command.wait_for_log("Loaded 24 tensors")
    assert command.terminate(signal.SIGINT) == 130
    rule.release()
    wait_until(lambda: cluster.get("/jobs")["jobs"][0]["state"] == "done", "the job ends well")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_coordinator_and_worker_cleanly(make_cluster, number) -> None:
    cluster = make_cluster()
    path = write(cluster.ckpt_root / "run1/step_1/model.safetensors", model(2))
    assert is_done(cluster.store(path))
    status = {process.terminate(number) for process in
              [cluster.coordinator, *cluster.workers.values()]}
    assert status <= {0, 130}, status
    assert not cluster.temporary_files()
    cluster.start()
    assert is_done(cluster.gather(path))


def test_a_second_ctrl_c_stops_at_once(make_cluster) -> None:
    cluster = make_cluster(proxied=True)
    path = write(cluster.ckpt_root / "run1/step_1/model.safetensors", model(4))
    rule = cluster.proxies[4].hold(r"^PUT /refs/")
    with cluster.stream("store-shard", path) as lines:
        next(lines)
        rule.wait_reached()
        coordinator = cluster.coordinator
        coordinator.may_end = True
        coordinator.send(signal.SIGINT)
        wait_until(lambda: not listens(cluster.api_port) or not coordinator.is_running(),
                   "the coordinator stops listening")
        coordinator.send(signal.SIGINT)
        coordinator.popen.wait(2)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_local_start_needs_no_other_set_up(tmp_path: Path) -> None:
    """grove start --local 3: config, workers and API from one command. It is started once for its
    config, whose ports are then changed to free ones, as a user may, and once more."""
    data, environment = tmp_path / "data", {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    command = [str(GROVE), "start", "--local", "3", "--data", str(data)]
    config = data / "config.yaml"
    first = Process("local", command, tmp_path / "first.log", environment)
    try:
        wait_until(config.exists, "the config is written")
        first.terminate()
    finally:
        first.kill()
    text, api_port = config.read_text(), free_port()
    for usual in ("5001", "5002", "5003"):
        text = text.replace(f"port: {usual}", f"port: {free_port()}")
    config.write_text(text + f"\napi:\n  port: {api_port}\n")
    local = Process("local", command, tmp_path / "second.log", environment)
    try:
        local.wait_for_log(rf"API listening on http://127\.0\.0\.1:{api_port}")
        for rank in (1, 2, 3):
            local.wait_for_log(rf"worker {rank} listening on")
        path = write(tmp_path / "checkpoints/run1/step_1/model.safetensors", model(2))
        for verb in ("store", "gather"):
            result = subprocess.run([str(GROVE), verb, "--config", str(config), "--ckpt-path",
                                     str(path)], text=True, capture_output=True, timeout=60,
                                    check=False)
            assert result.returncode == 0, result
        assert path.with_name("merged.safetensors").read_bytes() == path.read_bytes()
        children = [int(each) for each in Path(
            f"/proc/{local.pid}/task/{local.pid}/children").read_text().split()]
        assert len(children) == 3
        local.kill()  # its workers must not outlive it, however it ends
        wait_until(lambda: not any(map(is_running, children)), "the workers end with it")
    finally:
        local.kill()


def is_running(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    try:
        return status.read_text().rsplit(") ", 1)[1][0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_port_in_use_is_said(make_cluster) -> None:
    cluster = make_cluster()
    result = cluster.run("start")
    assert result.returncode == 1 and str(cluster.api_port) in result.stderr, result


def test_a_worker_refuses_what_is_not_its_folder(make_cluster, tmp_path: Path) -> None:
    cluster = make_cluster()

    def worker(rank: int, data: Path, *extra: str) -> subprocess.CompletedProcess:
        return cluster.run("worker", "--rank", str(rank), "--data", str(data), "--port",
                           str(free_port()), *extra)

    def refused(result: subprocess.CompletedProcess, word: str) -> None:
        assert result.returncode == 1 and word in result.stderr, result

    refused(worker(1, cluster.data(1)), str(cluster.data(1)))  # one process per folder
    cluster.workers[1].terminate()
    refused(worker(2, cluster.data(1)), "rank 1")  # another rank's folder
    refused(worker(1, tmp_path / "empty"), "--new")  # a disk that is not mounted looks like this
    refused(worker(9, tmp_path / "nine", "--new"), "9")  # no such rank
    assert not (tmp_path / "empty").exists() or not list((tmp_path / "empty").iterdir())
