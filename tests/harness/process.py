"""A grove process: started, watched through its log, ended by force at the end of a test."""
import re
import signal
import subprocess
from pathlib import Path

from harness.waiting import wait_until


class Process:
    def __init__(self, name: str, command: list[str], log: Path, environment: dict | None = None):
        self.name, self.command, self.log = name, command, log
        with log.open("ab") as output:
            self.popen = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output,
                                          stderr=output, env=environment,
                                          start_new_session=True)
        self.may_end = False

    @property
    def pid(self) -> int:
        return self.popen.pid

    def text(self) -> str:
        return self.log.read_text(errors="replace")

    def is_running(self) -> bool:
        return self.popen.poll() is None

    def wait_for_log(self, pattern: str, seconds: float = 20) -> re.Match:
        def found() -> re.Match | None:
            match = re.search(pattern, self.text())
            if not match and not self.is_running():
                raise AssertionError(f"{self.name} ended with {self.popen.returncode} before its "
                                     f"log said {pattern!r}:\n{self.text()}")
            return match
        return wait_until(found, f"{self.name}'s log says {pattern!r}", seconds)

    def send(self, number: signal.Signals) -> None:
        self.popen.send_signal(number)

    def pause(self) -> None:
        self.send(signal.SIGSTOP)
        wait_until(lambda: self.state() == "T", f"{self.name} is stopped")

    def resume(self) -> None:
        self.send(signal.SIGCONT)

    def state(self) -> str:
        """The kernel's letter: R, S, T (stopped), Z…"""
        return Path(f"/proc/{self.pid}/stat").read_text().rsplit(") ", 1)[1][0]

    def peak_rss_bytes(self) -> int:
        """Peak of anonymous and file pages that this process had mapped (VmHWM)."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024

    def kill(self) -> None:
        """SIGKILL, and waits until it is gone."""
        self.may_end = True
        if self.is_running():
            self.popen.kill()
        self.popen.wait(10)

    def terminate(self, number: signal.Signals = signal.SIGTERM, seconds: float = 15) -> int:
        """A polite stop; returns the exit status."""
        self.may_end = True
        self.send(number)
        return self.popen.wait(seconds)

    def assert_never_crashed(self) -> None:
        if not self.is_running() and not self.may_end:
            raise AssertionError(f"{self.name} ended by itself with {self.popen.returncode}")
