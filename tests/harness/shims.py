"""Shims between a grove process and its machine (tests/faults/shims): what to put before its command."""
import subprocess
from pathlib import Path

import pytest

from harness.binary import ROOT

SHIMS = ROOT / "tests/faults/shims"


def build(name: str, folder: Path) -> Path:
    """Compiles shims/NAME.c; skips the test where there is no compiler."""
    library = folder / f"{name}.so"
    try:
        subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", str(library), str(SHIMS / f"{name}.c"), "-ldl", "-pthread"],
                       check=True, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("needs a C compiler (cc) to build the shims")
    except subprocess.CalledProcessError as error:
        raise AssertionError(f"{name}.c: {error.stderr}") from error
    return library


class Shim:
    """One library, for any number of processes."""

    def __init__(self, library: Path):
        self.library = library

    def prefix(self, root: Path, **settings: object) -> list[str]:
        """Put before a command, this loads the library; the settings are its GROVE_SHIM_… variables."""
        given = {"GROVE_SHIM_ROOT": root} | {f"GROVE_SHIM_{name.upper()}": value for name, value in settings.items()}
        return ["env", f"LD_PRELOAD={self.library}", *(f"{name}={value}" for name, value in given.items())]
