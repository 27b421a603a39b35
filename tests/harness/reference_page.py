"""The API reference that users were given, and the samples in it, as they stand there."""
from pathlib import Path

from harness.binary import ROOT
from harness.cluster import Cluster

PAGE = (ROOT / "tests/data/api-reference.txt").read_text()

HOST = "localhost:8000"
PATH = "/home/user/checkpoints/run1/step_100/model.safetensors"
HOME_PATH = "~/checkpoints/run1/step_100/model.safetensors"


def sample(language: str, under: str, until: str) -> str:
    """The block that follows the line `language`, the first one after the text `under`, up to the
    text `until`, which is not part of it."""
    begin = PAGE.index(under) + len(under)
    begin = PAGE.index(f"\n{language}\n", begin) + len(language) + 2
    return PAGE[begin:PAGE.index(until, begin)]


STORE = "\n/store-shard\n"
GATHER = "\n/gather-shards\n"

STORE_CURL = sample("bash", STORE, "\nPython (httpx)")
STORE_HTTPX = sample("python", STORE, "ℹ️")
GATHER_CURL = sample("bash", GATHER, "\nPython (httpx)")
GATHER_HTTPX = sample("python", GATHER, "\nStreaming response")
DISCOVER_CURL = sample("bash", "\n/discover\n", "\nResponse")
DISCOVER_ANSWER = sample("json", "\n/discover\n", "GET\n")
METRICS_CURL = sample("bash", "\n/metrics\n", "ℹ️")
LAUNCH = sample("bash", "\nStart the cluster\n", "\ngrove CLI is")
STORE_COMMAND = sample("bash", "\nStore a checkpoint\n", "\nGather a checkpoint")
GATHER_COMMAND = sample("bash", "\nGather a checkpoint\n", "\nDiscover workers")
DISCOVER_COMMAND = sample("bash", "\nDiscover workers\n", "\nWatcher")
WATCH = sample("bash", "\nStart the watcher\n", "\nWhat the watcher does")
CONFIG = sample("yaml", "\nconfig.yaml reference\n", "⚠️")
CHECKED_STORE = sample("python", "\nCheck for errors programmatically\n", "\nErrors\n")


def placed(text: str, cluster: Cluster, path: Path) -> str:
    """The sample for this cluster and this checkpoint."""
    return (text.replace(HOST, f"localhost:{cluster.api_port}")
            .replace(PATH, str(path)).replace(HOME_PATH, str(path)))
