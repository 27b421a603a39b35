"""Seeds of tests that do things at random, and the story that each tells so that its seed repeats it.

FAULT_SEEDS=100 tries a hundred seeds of each test instead of its few; FAULT_SEED_FIRST=1234 begins there.
"""
import os
import random
import time

import pytest


def every_seed(count: int) -> pytest.MarkDecorator:
    """Runs a test with `seed` = 1 … count, or with those that the environment asks for."""
    first = int(os.environ.get("FAULT_SEED_FIRST", 1))
    return pytest.mark.parametrize("seed", range(first, first + int(os.environ.get("FAULT_SEEDS", count))))


class Story(random.Random):
    """What chance decides in one test, and what was done with it; printed, so that a failure shows it."""

    def __init__(self, seed: int):
        super().__init__(seed)
        self._began = time.monotonic()
        self.tell(f"seed {seed}")

    def tell(self, what: str) -> None:
        print(f"{time.monotonic() - self._began:7.2f} s  {what}", flush=True)
