"""What scripts/launch.sh is made of, each by itself (issue 4)."""
import http.server
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.binary import GROVE, ROOT, require_grove
from harness.process import Process

SCRIPTS = ROOT / "scripts"


def output_of(*command: str | Path) -> str:
    return subprocess.run(command, text=True, capture_output=True, check=True).stdout


def packages_needed_by(packages: set[str]) -> set[str]:
    """These and what they depend on, as far as it is installed."""
    needs: dict[str, set[str]] = {}
    for line in output_of("dpkg-query", "--show", "--showformat=${Package} ${Depends}\n").splitlines():
        name, _, depends = line.partition(" ")
        needs[name] = {re.split(r"[ :(]", each.strip())[0] for each in re.split(r"[,|]", depends)}
    found: set[str] = set()
    ahead = set(packages)
    while ahead:
        found |= ahead
        ahead = {need for name in ahead for need in needs.get(name, ())} - found
    return found


def test_the_run_packages_cover_what_the_program_is_linked_to() -> None:
    require_grove()
    listed = set(output_of(SCRIPTS / "install_dependencies", "--run", "--list").split())
    covered = packages_needed_by(listed)
    loaded = {Path(path).resolve() for path in re.findall(r"=> (/\S+)", output_of("ldd", GROVE))
              if not re.search(r"/lib[at]san\.|/libubsan\.", path)}  # GROVE_BINARY may be instrumented
    assert loaded
    for path in loaded:
        # dpkg knows some libraries by their place from before /lib and /usr/lib were one.
        owner = subprocess.run(["dpkg-query", "--search", path, str(path).removeprefix("/usr")],
                               text=True, capture_output=True, check=False).stdout.split(":")[0]
        assert owner in covered, f"{path} is {owner}'s; add it to run_packages"


@pytest.fixture
def keeper(tmp_path: Path):
    """Runs keep_running with a command; a changed script runs as changed."""
    running: list[Process] = []

    def keep(*command: str, changed: tuple[str, str] = ("", "")) -> Process:
        script = tmp_path / "keep_running"
        text = (SCRIPTS / "keep_running").read_text()
        assert changed[0] in text
        script.write_text(text.replace(*changed))
        running.append(Process("keep_running", ["bash", str(script), "--", *command],
                               tmp_path / "log"))
        return running[-1]

    yield keep
    for process in running:
        process.kill()


@pytest.mark.parametrize(("exit_command", "said"), [
    ("exit 0", "ended with status 0"), ("exit 3", "ended with status 3"),
    ("kill -KILL $$", "was killed by SIGKILL")])
def test_whatever_ends_is_started_again_ever_later(keeper, exit_command: str, said: str) -> None:
    process = keeper("sh", "-c", exit_command)
    process.wait_for_log(rf"sh {said} after \d s; starting it again in 1 s\n(.*\n)*"
                         rf".*sh {said} after \d s; starting it again in 2 s")
    assert process.terminate() == 0  # while it waits


def test_the_wait_is_short_again_after_a_long_run(keeper) -> None:
    process = keeper("false", changed=("long_run=60", "long_run=0"))
    process.wait_for_log(r"again in 1 s\n(.*\n)*.*again in 1 s")


def test_the_wait_has_an_upper_end(keeper) -> None:
    process = keeper("false", changed=("delay_min=1 delay_max=30", "delay_min=1 delay_max=1"))
    process.wait_for_log(r"again in 1 s\n(.*\n)*.*again in 1 s")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_told_to_stop_it_stops_the_command_first(keeper, number: signal.Signals) -> None:
    process = keeper(sys.executable, "-c", "import signal, time\n"
                     "def stop(*_): print('stopped cleanly', flush=True); exit(0)\n"
                     "signal.signal(signal.SIGTERM, stop)\nprint('ready', flush=True)\n"
                     "time.sleep(100)")
    process.wait_for_log("ready")
    assert process.terminate(number) == 0
    assert process.text() == "ready\nstopped cleanly\n"


@pytest.fixture
def peer() -> Iterator[Callable[[int, str], int]]:
    """Answers every GET with this status and body; returns its port."""
    servers: list[http.server.HTTPServer] = []

    def answer(status: int, body: str) -> int:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status)
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *_: object) -> None:
                pass

        servers.append(http.server.HTTPServer(("127.0.0.1", 0), Handler))
        threading.Thread(target=servers[-1].serve_forever, kwargs={"poll_interval": 0.01}).start()
        return servers[-1].server_address[1]

    yield answer
    for server in servers:
        server.shutdown()
        server.server_close()


def answers(port: int, *whom: str) -> subprocess.CompletedProcess:
    config = {"source": "config.yaml", "api": {"host": "0.0.0.0", "port": port},
              "devices_config": {"workers": [{"rank": 2, "ip": "127.0.0.1", "port": port}]}}
    return subprocess.run([SCRIPTS / "answers", *whom], input=json.dumps(config), text=True,
                          capture_output=True, check=False)


@pytest.mark.parametrize(("status", "body", "whom", "said"), [
    (200, '{"rank": 2}', ["--worker", "2"], ""),
    (200, '{"jobs": []}', ["--api"], ""),
    (200, '{"rank": 3}', ["--worker", "2", "--here"], "worker 3 answers at PEER, not worker 2"),
    (200, '{"rank": 2}', ["--api"], "another program answers at PEER, not the API"),
    (200, "<html>", ["--api"], "another program answers at PEER, not the API"),
    (404, "[]", ["--worker", "2"], "another program answers at PEER, not worker 2"),
    (503, "{}", ["--worker", "2"], "worker 2 does not answer at PEER: status 503"),
    (200, "{}", ["--worker", "4"], "config.yaml has no worker 4")])
def test_who_answers_is_told_from_who_does_not(peer: Callable[[int, str], int], status: int, body: str,
                                               whom: list[str], said: str) -> None:
    port = peer(status, body)
    done = answers(port, *whom)
    where = f"127.0.0.1:{port}"
    assert (done.returncode, done.stdout, done.stderr) == (
        (1, "", said.replace("PEER", where) + "\n") if said else (0, f"{where}\n", ""))


class Disk:
    """A home with a config of one worker, whose data folder worker_data finds or makes."""

    def __init__(self, folder: Path):
        self.home = folder / "home"
        self.home.mkdir()
        self.disk = folder / "disk"
        self.config = folder / "config.yaml"
        self.config.write_text("ckpt_root: /ckpt\nnum_workers: 1\nredundancy: 1\ndevices_config: "
                               "{workers: [{host: a, ip: 127.0.0.1, rank: 1, port: 5001}]}\n")

    def data(self, *options: str | Path) -> subprocess.CompletedProcess:
        environment = {"HOME": str(self.home), "PATH": os.environ["PATH"]}
        return subprocess.run([SCRIPTS / "worker_data", "--rank", "1", "--grove", GROVE, "--config",
                               self.config, *options], env=environment, text=True,
                              capture_output=True, check=False)

    def refusal(self, *options: str | Path) -> str:
        done = self.data(*options)
        assert (done.returncode, done.stdout) == (1, "")
        return done.stderr


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    require_grove()
    return Disk(tmp_path)


def test_a_data_folder_is_made_once_and_remembered(disk: Disk) -> None:
    disk.disk.mkdir()
    first = disk.data("--data", disk.disk)
    assert first.stdout == f"{disk.disk}/worker_1\n", first.stderr
    identity = (disk.disk / "worker_1/identity.json").read_bytes()
    assert disk.data().stdout == first.stdout  # also without being told again
    assert (disk.disk / "worker_1/identity.json").read_bytes() == identity


def test_a_disk_that_is_not_mounted_is_no_new_one(disk: Disk) -> None:
    assert f"{disk.disk} is not there: mount its disk" in disk.refusal("--data", disk.disk)
    disk.disk.mkdir()
    assert disk.data("--data", disk.disk).returncode == 0
    disk.disk.rename(disk.disk.with_name("taken away"))
    for mount_point_is_there in (False, True):
        if mount_point_is_there:
            disk.disk.mkdir()
        assert f"worker 1 kept its data in {disk.disk}/worker_1" in disk.refusal("--data", disk.disk)
        assert "mount its disk" in disk.refusal()


def test_a_folder_of_somebody_else_is_not_taken(disk: Disk) -> None:
    (disk.disk / "worker_1").mkdir(parents=True)
    assert "is there, without a worker's data in it" in disk.refusal("--data", disk.disk)
    assert not list((disk.disk / "worker_1").iterdir())
