"""Broken files and wrong paths: one clear line each, nothing changed, nothing left behind."""
import os
from pathlib import Path

import pytest

from harness.checkpoints import Entry, assemble, broken_files, header_of, model, write
from harness.cluster import Cluster
from harness.http import http
from harness.lines import assert_one_error, is_done


def refused(cluster: Cluster, path: Path | str, endpoint: str = "store-shard") -> str:
    """The one ERROR: line of a refused request; checks that nothing changed on any disk."""
    before = cluster.snapshot()
    lines = cluster.call(endpoint, path)
    message = assert_one_error(lines)
    assert cluster.snapshot() == before
    assert not cluster.temporary_files()
    return message


@pytest.mark.parametrize(("name", "content"), [pytest.param(n, c, id=n) for n, c in broken_files()])
def test_broken_files(shared_cluster: Cluster, name: str, content: bytes) -> None:
    path = write(shared_cluster.ckpt_root / f"broken/{name}/model.safetensors", content)
    message = refused(shared_cluster, path)
    assert str(path) in message or "model.safetensors" in message, message


def test_a_header_of_100_000_001_bytes_is_refused(shared_cluster: Cluster) -> None:
    path = write(shared_cluster.ckpt_root / "header/over/model.safetensors",
                 (100_000_001).to_bytes(8, "little") + b"{}" + b" " * 99_999_999)
    assert "100000000" in refused(shared_cluster, path).replace(",", "")


def test_a_header_of_100_000_000_bytes_is_taken(shared_cluster: Cluster) -> None:
    path = write(shared_cluster.ckpt_root / "header/at_most/model.safetensors",
                 (100_000_000).to_bytes(8, "little") + b"{}" + b" " * 99_999_998)
    assert is_done(shared_cluster.store(path))


@pytest.mark.smoke
@pytest.mark.parametrize("endpoint", ["store-shard", "gather-shards"])
def test_a_missing_parameter_is_422(shared_cluster: Cluster, endpoint: str) -> None:
    answer = http.post(f"{shared_cluster.url}/{endpoint}")
    assert answer.status_code == 422 and "ckpt_path" in answer.json()["detail"]


@pytest.mark.parametrize("value", ["", "x", "-1", "1.5", "99999999999999999999"])
def test_an_ill_typed_parameter_is_422(shared_cluster: Cluster, value: str) -> None:
    answer = http.post(f"{shared_cluster.url}/gather-shards", params={
        "ckpt_path": str(shared_cluster.ckpt_root / "m.safetensors"), "generation": value})
    assert answer.status_code == 422 and "generation" in answer.json()["detail"]


@pytest.mark.parametrize("endpoint", ["store-shard", "gather-shards"])
@pytest.mark.parametrize("name", [
    "relative/model.safetensors", "~/model.safetensors", "/", "/etc/passwd", "{root}", "{root}/",
    "{root}/a_folder", "{root}/a_folder/", "{root}/../outside.safetensors",
    "{root}/a_folder/../../outside.safetensors", "{root}-beside/model.safetensors",
    "{root}/line\nbreak.safetensors", "{root}/nul\0.safetensors", "{root}/" + "x" * 300,
    "{root}/" + "y" * 5000])
def test_wrong_paths(shared_cluster: Cluster, endpoint: str, name: str) -> None:
    write(shared_cluster.ckpt_root / "a_folder/model.safetensors", model(0.1))
    write(shared_cluster.folder / "outside.safetensors", model(0.1))
    refused(shared_cluster, name.replace("{root}", str(shared_cluster.ckpt_root)), endpoint)


def test_an_absent_file(shared_cluster: Cluster) -> None:
    path = shared_cluster.ckpt_root / "absent.safetensors"
    assert refused(shared_cluster, path) == f"checkpoint not found: {path}"


@pytest.mark.parametrize("make", [
    pytest.param(lambda link, target: link.symlink_to(target / "model.safetensors"), id="file"),
    pytest.param(lambda link, target: link.symlink_to(os.path.relpath(target, link.parent)
                                                      + "/model.safetensors"), id="relative")])
def test_a_link_that_leads_out_is_refused(shared_cluster: Cluster, tmp_path: Path, make) -> None:
    write(tmp_path / "outside/model.safetensors", model(0.1))
    link = shared_cluster.ckpt_root / f"links/{tmp_path.name}/model.safetensors"
    link.parent.mkdir(parents=True, exist_ok=True)
    make(link, tmp_path / "outside")
    refused(shared_cluster, link)


def test_a_folder_that_leads_out_is_refused(shared_cluster: Cluster, tmp_path: Path) -> None:
    write(tmp_path / "outside/model.safetensors", model(0.1))
    (shared_cluster.ckpt_root / "leads_out").symlink_to(tmp_path / "outside")
    for endpoint in ("store-shard", "gather-shards"):
        refused(shared_cluster, shared_cluster.ckpt_root / "leads_out/model.safetensors", endpoint)
    assert [file.name for file in (tmp_path / "outside").iterdir()] == ["model.safetensors"]


def test_links_inside_are_followed(shared_cluster: Cluster) -> None:
    real = write(shared_cluster.ckpt_root / "links_inside/step_1/model.safetensors", model(1))
    link = shared_cluster.ckpt_root / "links_inside/latest"
    link.symlink_to("step_1")
    lines = shared_cluster.store(link / "model.safetensors")
    assert is_done(lines), lines
    assert is_done(shared_cluster.gather(link / "model.safetensors"))
    assert real.with_name("merged.safetensors").read_bytes() == real.read_bytes()


def test_the_root_may_itself_be_a_link(make_cluster) -> None:
    cluster = make_cluster(start=False)
    linked = cluster.folder / "linked"
    linked.symlink_to(cluster.ckpt_root)
    cluster.write_config(ckpt_root=str(linked))
    cluster.start()
    for relative, root in (("a/model.safetensors", linked), ("b/model.safetensors",
                                                             cluster.ckpt_root)):
        path = write(cluster.ckpt_root / relative, model(0.5))
        lines = cluster.store(root / relative)
        assert is_done(lines), lines
        assert is_done(cluster.gather(root / relative))
        assert path.with_name("merged.safetensors").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("kind", ["fifo", "socket_like"])
def test_what_is_no_regular_file_is_refused(shared_cluster: Cluster, kind: str) -> None:
    path = shared_cluster.ckpt_root / f"special/{kind}.safetensors"
    path.parent.mkdir(exist_ok=True)
    if kind == "fifo":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    refused(shared_cluster, path)


def test_an_unreadable_file(make_cluster) -> None:
    # Root reads everything, so the coordinator runs without that privilege.
    prefix = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    cluster = make_cluster(prefix=prefix)
    path = write(cluster.ckpt_root / "run1/step_1/model.safetensors", model(1))
    path.chmod(0)
    assert "ermission denied" in refused(cluster, path)
    path.chmod(0o600)
    assert is_done(cluster.store(path))


def test_a_file_that_changes_while_it_is_stored(make_cluster) -> None:
    cluster = make_cluster(proxied=True)
    path = write(cluster.ckpt_root / "run1/step_1/model.safetensors", model(8))
    old = path.read_bytes()
    assert is_done(cluster.store(path))
    path.write_bytes(model(8, seed=2))
    rule = cluster.proxies[2].hold(r"^PUT /refs/")
    with cluster.stream("store-shard", path) as lines:
        rule.wait_reached()
        with path.open("r+b") as file:  # one byte, in place
            file.seek(-1, os.SEEK_END)
            file.write(b"\0")
        rule.release()
        message = assert_one_error(list(lines))
    assert "changed" in message
    path.unlink()
    assert is_done(cluster.gather(path))
    assert path.with_name("merged.safetensors").read_bytes() == old


def test_a_file_that_somebody_else_wrote_is_never_overwritten(shared_cluster: Cluster) -> None:
    path = write(shared_cluster.ckpt_root / "foreign/step_1/model.safetensors", model(1))
    assert is_done(shared_cluster.store(path))
    foreign = write(path.with_name("merged.safetensors"), b"mine")
    message = refused(shared_cluster, path, "gather-shards")
    assert "output=" in message and foreign.read_bytes() == b"mine"


def test_a_gathered_file_is_overwritten_by_the_next_gather(shared_cluster: Cluster) -> None:
    path = write(shared_cluster.ckpt_root / "again/step_1/model.safetensors", model(1))
    for seed in (1, 2):
        path.write_bytes(model(1, seed=seed))
        assert is_done(shared_cluster.store(path))
        assert is_done(shared_cluster.gather(path))
        assert path.with_name("merged.safetensors").read_bytes() == path.read_bytes()


def test_a_generation_that_is_not_there(shared_cluster: Cluster) -> None:
    path = write(shared_cluster.ckpt_root / "generation/step_1/model.safetensors", model(1))
    assert is_done(shared_cluster.store(path))
    before = shared_cluster.snapshot()
    assert "generation" in assert_one_error(shared_cluster.gather(path, generation=7))
    assert shared_cluster.snapshot() == before


def test_the_refused_twin_of_a_file_is_taken_after_it_was_mended(shared_cluster: Cluster) -> None:
    good = assemble(header_of([Entry("a", [4], "U8")]), b"1234")
    path = write(shared_cluster.ckpt_root / "mended/step_1/model.safetensors", good + b"5")
    refused(shared_cluster, path)
    path.write_bytes(good)
    assert is_done(shared_cluster.store(path))
