"""scripts/launch.sh against real sshds: each worker is a host of its own (issue 4).

The reference's paragraph "Start the cluster": its three commands run as they stand there, with the program
under test and the hosts' ssh configuration added.
"""
import contextlib
import os
import pty
import re
import shlex
import signal
import subprocess
import termios
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.binary import GROVE, ROOT, require_grove
from harness.checkpoints import model
from harness.reference_page import LAUNCH
from harness.ssh_hosts import SshHosts, generate_key, lines_of
from harness.waiting import wait_until

# What follows `bash scripts/launch.sh` in each of the page's commands.
ALL, API_ONLY, WORKERS_1_3 = (shlex.split(line)[2:] for line in LAUNCH.splitlines()
                              if line.startswith("bash scripts/launch.sh"))


@pytest.fixture
def make_hosts(tmp_path: Path) -> Iterator[Callable[..., SshHosts]]:
    require_grove()
    made: list[SshHosts] = []

    def make(**options: object) -> SshHosts:
        made.append(SshHosts(tmp_path / f"hosts {len(made)}", **options))  # paths have a space
        return made[-1]

    yield make
    for hosts in made:
        hosts.close()


def test_a_whole_cluster_is_launched_and_left_alone_when_launched_again(
        make_hosts: Callable[..., SshHosts]) -> None:
    hosts = make_hosts()
    done = hosts.launch(*ALL)
    assert done.returncode == 0, done.stdout + done.stderr
    assert lines_of(done) == [
        *(f"  ✓ rank {rank} (pi-{rank}): started, answers at {hosts.worker(rank).address}:500{rank}"
          for rank in hosts.ranks), "  ✓ API: started, answers at 127.0.0.1:8000"]
    for rank in hosts.ranks:
        assert hosts.sessions(hosts.worker(rank)) == {f"syncps_worker_{rank}"}
    assert hosts.sessions(hosts.coord) == {"syncps_api"}

    checkpoint = hosts.ckpt_root / "run1/step_100/model.safetensors"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.write_bytes(model(2))
    # The watcher was launched too: nobody has to ask.
    wait_until(lambda: "run1/step_100/model.safetensors" in hosts.grove("ls").stdout,
               "the watcher stores a new checkpoint")
    stored = hosts.grove("store", "--ckpt-path", checkpoint)
    assert stored.stdout.splitlines()[-1] == "Done: 8/8 sends (2x replicated) → run1/step_100"

    pids = [hosts.api_pid(), *map(hosts.worker_pid, hosts.ranks)]
    again = hosts.launch()
    assert again.returncode == 0, again.stdout + again.stderr
    assert [line.split(": ", 1)[1].split(",")[0] for line in lines_of(again)] == ["already running"] * 5
    assert [hosts.api_pid(), *map(hosts.worker_pid, hosts.ranks)] == pids

    # Another config: the workers, which read it at their start, start again; the API reads it afresh.
    hosts.write_config(reserve="1 %")
    changed = hosts.launch()
    assert [line.split(": ", 1)[1].split(",")[0] for line in lines_of(changed)] == [
        *["started again"] * 4, "already running"]
    assert "reserve" in (hosts.home(2) / ".config/grove/config.yaml").read_text()
    assert "reserve" not in (hosts.home(2) / ".config/grove/config.yaml~").read_text()
    gathered = hosts.grove("gather", "--ckpt-path", checkpoint)
    assert gathered.stdout.splitlines()[-1].startswith("Done: saved")
    assert (checkpoint.parent / "merged.safetensors").read_bytes() == checkpoint.read_bytes()


def test_only_the_named_workers_are_started(make_hosts: Callable[..., SshHosts]) -> None:
    hosts = make_hosts(workers=3)
    done = hosts.launch(*WORKERS_1_3)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [line.split(":")[0] for line in lines_of(done)] == ["  ✓ rank 1 (pi-1)", "  ✓ rank 3 (pi-3)"]
    assert hosts.sessions(hosts.worker(2)) == set()
    assert hosts.sessions(hosts.coord) == set()
    unknown = hosts.launch("--workers", "1,4")
    assert unknown.returncode == 2
    assert unknown.stderr == f"launch: {hosts.config_path} has no worker of rank 4; it has 1 2 3\n"


def test_a_killed_worker_comes_back_and_its_log_is_in_its_session(
        make_hosts: Callable[..., SshHosts]) -> None:
    hosts = make_hosts(workers=1)
    assert hosts.launch("--workers", "1").returncode == 0
    first = hosts.worker_pid(1)
    os.kill(first, signal.SIGKILL)

    def runs_again() -> bool:
        with contextlib.suppress(FileNotFoundError):  # what waits to start it again comes and goes
            pid = hosts.worker_pid(1)
            return pid != first and Path(f"/proc/{pid}/comm").read_text() == "grove\n"
        return False

    wait_until(runs_again, "the worker runs again")

    # The reference's own line, from a terminal; the user's ssh_config says RequestTTY.
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (50, 200))
    shown = hosts.coord.popen(["ssh", "-F", hosts.folder / "ssh_config", "pi-1",
                               "tmux attach -t syncps_worker_1"], stdin=theirs, stdout=theirs,
                              stderr=theirs, env=os.environ | {"TERM": "xterm"})
    os.set_blocking(ours, False)
    screen = b""

    def shows_both_lives() -> bool:
        nonlocal screen
        with contextlib.suppress(BlockingIOError):
            screen += os.read(ours, 65536)
        return b"was killed by SIGKILL" in screen and screen.count(b"listening on") >= 2

    try:
        wait_until(shows_both_lives, "the session shows the log")
    finally:
        shown.terminate()
        shown.wait(10)
        os.close(ours)
        os.close(theirs)


def test_hosts_that_fail_are_named_with_their_reasons(make_hosts: Callable[..., SshHosts]) -> None:
    hosts = make_hosts()
    hosts.sshds[1].terminate()
    (hosts.home(2) / ".sshd/authorized_keys").write_text(generate_key(hosts.folder / "other_key"))
    hosts.stand_in(3, "rsync", 'echo "bash: line 1: rsync: command not found" >&2; exit 127')
    done = hosts.launch()
    assert done.returncode == 1
    address = hosts.worker(1).address
    assert lines_of(done) == [
        f"  ✗ rank 1 (pi-1): connecting failed: ssh: connect to host {address} port 22: "
        "Connection refused",
        "  ✗ rank 2 (pi-2): connecting failed: "
        f"root@{hosts.worker(2).address}: Permission denied (publickey).",
        "  ✗ rank 3 (pi-3): sending scripts failed: bash: line 1: rsync: command not found",
        f"  ✓ rank 4 (pi-4): started, answers at {hosts.worker(4).address}:5004",
        "  ✓ API: started, answers at 127.0.0.1:8000"]
    assert done.stdout.splitlines()[-1].startswith("3 failed; ")


def test_api_only(make_hosts: Callable[..., SshHosts]) -> None:
    hosts = make_hosts(workers=1)
    done = hosts.launch(*API_ONLY)
    assert (done.returncode, lines_of(done)) == (0, ["  ✓ API: started, answers at 127.0.0.1:8000"]), done.stderr
    assert hosts.sessions(hosts.worker(1)) == set()
    # A process without a watcher shows nothing of one.
    metrics = hosts.on_coord("curl", "--silent", "http://127.0.0.1:8000/metrics/").stdout
    assert "smoltorrent_store_operations_total" in metrics and "smoltorrent_watcher_" not in metrics


def test_a_session_whose_grove_ends_again_and_again_is_no_running_one(
        make_hosts: Callable[..., SshHosts]) -> None:
    hosts = make_hosts(workers=1)
    other = hosts.take_api_port()
    for _ in range(2):
        done = hosts.launch("--api-only")
        assert (done.returncode, lines_of(done)) == (1, [
            "  ✗ API: start_in_tmux: cannot listen on 127.0.0.1:8000: the port is in use; stop the other "
            "program or choose another port"])
    other.kill()
    # By now it may have got the port by itself.
    assert re.fullmatch(r"  ✓ API: (started again|already running), answers at 127.0.0.1:8000",
                        *lines_of(hosts.launch("--api-only")))


def test_a_worker_that_runs_but_does_not_answer_is_not_called_running(
        make_hosts: Callable[..., SshHosts]) -> None:
    hosts = make_hosts(workers=1)
    assert hosts.launch("--workers", "1").returncode == 0
    script = hosts.home(1) / ".local/lib/grove/start_in_tmux"
    script.write_text(script.read_text().replace("ready_seconds=20", "ready_seconds=1"))
    pid = hosts.worker_pid(1)
    os.kill(pid, signal.SIGSTOP)
    done = hosts.worker(1).run(
        ["env", "--chdir=/root", "HOME=/root", ".local/lib/grove/start_in_tmux", "--worker", "1", "--program",
         ".local/lib/grove/sent/grove", "--config", ".config/grove/config.yaml"], check=False)
    os.kill(pid, signal.SIGCONT)
    assert (done.returncode, done.stdout, done.stderr) == (
        1, "", "start_in_tmux: worker 1 does not answer at 127.0.0.1:5001: timed out; see: tmux attach -t "
        "syncps_worker_1; to have it started again: tmux kill-session -t syncps_worker_1\n")


def test_a_worker_that_only_its_own_machine_reaches_is_named(make_hosts: Callable[..., SshHosts]) -> None:
    """The address is ssh's here, since `host` is no name: an IPv6 one, where workers do not listen."""
    hosts = make_hosts(workers=1)
    hosts.coord.ip("addr add fd77::1/64 dev eth0 nodad")
    hosts.worker(1).ip("addr add fd77::2/64 dev eth0 nodad")
    with (hosts.folder / "known_hosts").open("a") as known:
        known.write("fd77::2 " + (hosts.home(1) / ".sshd/host_key.pub").read_text())
    hosts.write_config(devices_config={"workers": [
        {"host": "the one in the attic", "ip": "fd77::2", "rank": 1, "port": 5001}]})
    done = hosts.launch("--workers", "1")
    assert done.returncode == 1
    assert lines_of(done) == [
        "  ✗ rank 1 (the one in the attic): looking for worker 1 failed: worker 1 does not answer at "
        "[fd77::2]:5001: Connection refused, though it does on its own machine: check ip and port in the "
        "config, and its firewall"]


def test_missing_packages_are_installed_before_anything_needs_them(
        make_hosts: Callable[..., SshHosts]) -> None:
    """rsync is missing on both hosts; one of them cannot get it."""
    hosts = make_hosts(workers=2)
    for rank in hosts.ranks:
        hosts.stand_in(rank, "dpkg-query", '[[ "${@: -1}" == rsync && ! -e /opt/standins/installed ]] || '
                       "echo installed")
        hosts.stand_in(rank, "rsync", '[[ ! -e /opt/standins/installed ]] || exec /usr/bin/rsync "$@"; '
                       "echo 'rsync: command not found' >&2; exit 127")
    hosts.stand_in(1, "apt-get", 'echo "$*" >>/opt/standins/asked; '
                   '[[ "$*" != *install* ]] || touch /opt/standins/installed')
    hosts.stand_in(2, "apt-get", '[[ "$*" != *install* ]] || '
                   "{ echo 'E: Unable to locate package rsync' >&2; exit 100; }")
    done = hosts.launch("--workers", "1,2")
    assert done.returncode == 1
    assert lines_of(done) == [
        f"  ✓ rank 1 (pi-1): started, answers at {hosts.worker(1).address}:5001",
        "  ✗ rank 2 (pi-2): installing packages failed: E: Unable to locate package rsync"]
    assert (hosts.standins[1] / "asked").read_text().splitlines() == [
        "--quiet=2 update", "--quiet=2 install --yes --no-install-recommends rsync"]


def test_an_interrupted_launch_leaves_nothing_behind_here(make_hosts: Callable[..., SshHosts]) -> None:
    hosts = make_hosts(workers=1)
    hosts.stand_in(1, "uname", "touch /opt/standins/asked; exec sleep 100")
    launch = hosts.coord.popen(hosts.launch_command(), env=hosts.coord_environment(),
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                               start_new_session=True)
    wait_until((hosts.standins[1] / "asked").exists, "the launch is under way")
    [scratch] = {found[0] for pid in hosts.coord.processes()
                 if (found := re.search("/tmp/grove-launch[.][A-Za-z0-9]+",
                                        Path(f"/proc/{pid}/cmdline").read_text()))}
    assert Path(scratch).exists()
    os.killpg(launch.pid, signal.SIGINT)  # as Ctrl-C does
    assert (launch.communicate(timeout=10)[0], launch.returncode) == ("  … rank 1 (pi-1): connecting\n", 130)
    wait_until(lambda: not hosts.coord.processes(), "no process of it is left")
    assert not Path(scratch).exists()


def test_another_architecture_gets_the_source_and_builds_it(make_hosts: Callable[..., SshHosts]) -> None:
    """The real scripts/build configures the real source there; only the compiler's work is stood in
    for, since it takes minutes: `cmake --build` puts the program under test in its place."""
    hosts = make_hosts(workers=1)
    hosts.stand_in(1, "uname", '[[ "$*" != -m ]] && exec /usr/bin/uname "$@"; echo aarch64')
    hosts.stand_in(1, "cmake", '[[ "$1" == --build ]] || exec /usr/bin/cmake "$@"; '
                   'cp /opt/standins/built "$2/grove"')
    (hosts.standins[1] / "built").write_bytes(GROVE.read_bytes())
    (hosts.standins[1] / "built").chmod(0o755)
    done = hosts.launch("--workers", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "rank 1 (pi-1): building there" in done.stdout
    assert "sending the program" not in done.stdout
    source = hosts.home(1) / ".local/lib/grove/source"
    assert (source / "build/CMakeCache.txt").exists()
    assert (source / "src/main.cpp").read_bytes() == (ROOT / "src/main.cpp").read_bytes()
    assert sorted(path.name for path in source.iterdir()) == ["CMakeLists.txt", "build", "scripts", "src"]


def test_a_program_that_does_not_run_there_is_built_there(make_hosts: Callable[..., SshHosts]) -> None:
    hosts = make_hosts(workers=1)
    program = hosts.folder / "runs_on_coord_only"
    program.write_text(f'#!/bin/bash\n[[ "$(hostname)" == coord ]] && exec {GROVE} "$@"; exit 1\n')
    program.chmod(0o755)
    hosts.stand_in(1, "cmake", "echo 'no compiler here' >&2; exit 1")
    done = hosts.launch("--workers", "1", program=program)
    assert done.returncode == 1
    assert "rank 1 (pi-1): the program built here does not run there" in done.stdout
    assert lines_of(done) == ["  ✗ rank 1 (pi-1): building there failed: build: CMake could not "
                              "configure build (see above)"]
