"""config.yaml: a mistake is one line with file, line and the nearest known key; read afresh."""
import re
from pathlib import Path

import pytest

from harness.checkpoints import model, write
from harness.cluster import Cluster
from harness.http import http
from harness.lines import is_done

GOOD = """\
ckpt_root: {root}
n_chunks: 2
num_workers: 2
devices_config:
  workers:
    - host: pi-1
      ip: 127.0.0.1
      rank: 1
      port: 5001
    - host: pi-2
      ip: 127.0.0.1
      rank: 2
      port: 5002
"""


def complaint(tmp_path: Path, grove, text: str) -> str:
    """What `grove ls` says to a config it must refuse: one line, that names the file."""
    path = write(tmp_path / "config.yaml", text.replace("{root}", str(tmp_path)).encode())
    result = grove("ls", "--config", str(path))
    assert result.returncode in (1, 2), result
    said = (result.stdout + result.stderr).strip()
    assert "\n" not in said and str(path) in said, said
    return said.split(str(path), 1)[1]


@pytest.mark.parametrize(("old", "new", "line", "words"), [
    ("n_chunks: 2", "n_chunk: 2", 2, ["n_chunk", "n_chunks"]),
    ("num_workers: 2", "number_workers: 2", 3, ["number_workers", "num_workers"]),
    ("devices_config:", "keep_shard: true\ndevices_config:", 4, ["keep_shard", "keep_shards"]),
    ("      port: 5002", "      prot: 5002", 13, ["prot", "port"]),
    ("      rank: 2", "      rank: 1", 12, ["rank", "1"]),
    ("n_chunks: 2", "n_chunks: two", 2, ["n_chunks"]),
    ("n_chunks: 2", "n_chunks: -1", 2, ["n_chunks"]),
    ("n_chunks: 2", "n_chunks: 0", 2, ["n_chunks"]),
    ("n_chunks: 2", "n_chunks: 2\nn_chunks: 2", 3, ["n_chunks"]),
    ("n_chunks: 2", "n_chunks: [2]", 2, ["n_chunks"]),
    ("num_workers: 2", "num_workers: 3", 3, ["num_workers"]),
    ("      port: 5002", "      port: 70000", 13, ["port"]),
    ("ckpt_root: {root}", "ckpt_root: relative/path", 1, ["ckpt_root"]),
    ("n_chunks: 2", "redundancy: 3", 2, ["redundancy"]),
    ("n_chunks: 2", "redundancy: 0", 2, ["redundancy"]),
    ("n_chunks: 2", "keep_shards: maybe", 2, ["keep_shards"]),
    ("n_chunks: 2", "shards_root: {root}/shards", 2, ["shards_root", "ckpt_root"]),
    ("n_chunks: 2", "repair_after: soon", 2, ["repair_after"]),
    ("n_chunks: 2", "api: {prot: 1}", 2, ["prot", "port"]),
])
def test_mistakes(tmp_path: Path, grove, old: str, new: str, line: int, words: list[str]) -> None:
    said = complaint(tmp_path, grove, GOOD.replace(old, new, 1))
    assert re.match(rf":{line}\b", said), said
    for word in words:
        assert word in said, said


@pytest.mark.parametrize("text", ["", "7", "[]", "a: [", "\t: x", "ckpt_root: \"\xff",
                                  "ckpt_root: {root}\nnum_workers: 1\ndevices_config: 7\n"])
def test_what_is_no_config_at_all(tmp_path: Path, grove, text: str) -> None:
    complaint(tmp_path, grove, text)


def test_a_config_that_is_not_there(tmp_path: Path, grove) -> None:
    result = grove("ls", "--config", str(tmp_path / "none.yaml"))
    assert result.returncode in (1, 2) and "none.yaml" in result.stderr


@pytest.mark.smoke
def test_the_config_is_read_afresh_on_every_request(make_cluster) -> None:
    cluster: Cluster = make_cluster()
    path = write(cluster.ckpt_root / "run1/step_1/model.safetensors", model(1))
    assert cluster.store(path)[-1].startswith("Done: 8/8 sends (2x")
    cluster.write_config(redundancy=3)
    assert cluster.store(path)[-1].startswith("Done: 12/12 sends (3x")
    good = cluster.config_path.read_text()
    cluster.config_path.write_text(good + "n_chunk: 3\n")
    before = cluster.snapshot()
    said = "\n".join(store_anyway(cluster, path))
    assert "n_chunk" in said and "n_chunks" in said and str(cluster.config_path) in said
    assert cluster.snapshot() == before
    cluster.config_path.write_text(good)
    assert is_done(cluster.store(path))


def store_anyway(cluster: Cluster, path: Path) -> list[str]:
    """The answer's lines, whatever its status."""
    return http.post(f"{cluster.url}/store-shard", params={"ckpt_path": str(path)}, timeout=60).text.splitlines()


def test_keys_of_older_files_are_ignored_with_a_notice(tmp_path: Path, make_cluster) -> None:
    cluster: Cluster = make_cluster(start=False, data_path="/x", save_path="/y")
    cluster.start()
    path = write(cluster.ckpt_root / "run1/step_1/model.safetensors", model(1))
    assert is_done(cluster.store(path))
    assert "data_path" in cluster.coordinator.text()
