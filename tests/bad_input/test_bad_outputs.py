"""output= that cannot be: one clear line, and nothing anywhere."""
import os
from pathlib import Path

import pytest

from harness.checkpoints import model, write
from harness.cluster import Cluster
from harness.lines import assert_one_error, is_done


@pytest.fixture
def stored(shared_cluster: Cluster) -> Path:
    path = shared_cluster.ckpt_root / "outputs/step_1/model.safetensors"
    if not path.exists():
        write(path, model(1))
        assert is_done(shared_cluster.store(path))
    return path


@pytest.mark.parametrize("output", ["relative.safetensors", "{tmp}", "{tmp}/", "{tmp}/no/such/folder/x",
                                    "{tmp}/foreign", "{tmp}/link", "{tmp}/dangling", "/dev/null",
                                    "{tmp}/" + "x" * 300, "{tmp}/a\0b", "/proc/x"])
def test_refused(shared_cluster: Cluster, stored: Path, tmp_path: Path, output: str) -> None:
    foreign = write(tmp_path / "foreign", b"mine")
    (tmp_path / "link").symlink_to(foreign)
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    before = shared_cluster.snapshot(tmp_path)
    lines = shared_cluster.gather(stored, output=output.replace("{tmp}", str(tmp_path)))
    assert_one_error(lines)
    assert shared_cluster.snapshot(tmp_path) == before and foreign.read_bytes() == b"mine"


def test_the_checkpoint_itself_is_never_overwritten(shared_cluster: Cluster, stored: Path) -> None:
    content = stored.read_bytes()
    before = shared_cluster.snapshot()
    assert_one_error(shared_cluster.gather(stored, output=stored))
    assert shared_cluster.snapshot() == before and stored.read_bytes() == content


def test_a_folder_that_may_not_be_written(make_cluster) -> None:
    prefix = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    cluster = make_cluster(prefix=prefix)
    path = write(cluster.ckpt_root / "run1/step_1/model.safetensors", model(1))
    assert is_done(cluster.store(path))
    path.parent.chmod(0o500)
    try:
        assert "ermission denied" in assert_one_error(cluster.gather(path))
    finally:
        path.parent.chmod(0o700)
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    assert is_done(cluster.gather(path))
