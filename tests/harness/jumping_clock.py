"""A wall clock of a process that jumps while it runs (tests/faults/shims/clock.c)."""
import time
from pathlib import Path

from harness.shims import Shim

YEAR = 365 * 24 * 3600


class JumpingClock:
    def __init__(self, shim: Shim, file: Path):
        self.shim, self.file = shim, file
        self.offset = 0.0  # seconds ahead of the machine's clock
        self.file.write_text("")

    def prefix(self) -> list[str]:
        """Put before a command, this gives it the clock."""
        return self.shim.prefix(Path("/"), clock=self.file)

    def jump(self, seconds: float) -> None:
        self.offset += seconds
        with self.file.open("a") as file:  # at once: one short write
            file.write(f"{time.time_ns()} {int(self.offset * 1e9)}\n")
