"""Where the programs under test are."""
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# GROVE_BINARY runs the same tests against another build, such as build-sanitize/grove.
GROVE = Path(os.environ.get("GROVE_BINARY", ROOT / "build/grove"))


def require_grove() -> None:
    if not GROVE.exists():
        sys.exit(f"{GROVE} is not there; run scripts/build")
