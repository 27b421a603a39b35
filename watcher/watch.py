#!/usr/bin/env python3
"""uv run python watcher/watch.py [--ext .safetensors,.pth]: the same as `grove watch`, with its flags."""
import os
import shutil
import sys
from pathlib import Path

built = Path(__file__).resolve().parents[1] / "build" / "grove"
grove = os.environ.get("GROVE_BINARY") or (str(built) if built.is_file() else shutil.which("grove"))
if not grove:
    sys.exit("watch.py: no grove: build it (make), put it on the PATH or set GROVE_BINARY")
os.execv(grove, [grove, "watch", *sys.argv[1:]])
