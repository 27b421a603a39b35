"""Every valid file comes back byte for byte, header included, also when the original is gone; and
every shard, by itself, is a valid .safetensors file."""
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from harness.binary import ROOT
from harness.checkpoints import Entry, header_of, model, odd_files, random_bytes, write
from harness.cluster import Cluster, encoded
from harness.http import http
from harness.lines import is_done, matches
from harness.strict_safetensors import assert_shards_are_the_checkpoint, parse


@pytest.fixture(scope="module")
def module_cluster(tmp_path_factory):
    """As the shared one, but gather also leaves the shards."""
    cluster = Cluster(tmp_path_factory.mktemp("shared") / "cluster", keep_shards=True).start()
    yield cluster
    cluster.assert_never_crashed()
    cluster.close()


def store(cluster: Cluster, path: Path) -> None:
    lines = cluster.store(path)
    assert is_done(lines), "\n".join(lines)


def gather(cluster: Cluster, path: Path, **parameters: object) -> Path:
    lines = cluster.gather(path, **parameters)
    assert is_done(lines), "\n".join(lines)
    return Path(lines[-1].removeprefix("Done: saved → "))


def exported_shards(cluster: Cluster, path: Path, count: int = 4) -> list[bytes]:
    shards = []
    for index in range(count):
        answer = http.get(f"{cluster.worker_url(index % 4 + 1)}/shards/"
                          f"{encoded(cluster.identity(path))}/{index}")
        assert answer.status_code == 200, answer.text
        assert answer.headers["accept-ranges"] == "bytes"
        shards.append(answer.content)
    return shards


@pytest.mark.parametrize(("name", "content"), [pytest.param(n, c, id=n) for n, c in odd_files()])
def test_odd_files(shared_cluster: Cluster, name: str, content: bytes) -> None:
    path = write(shared_cluster.ckpt_root / f"odd/{name}/model.safetensors", content)
    store(shared_cluster, path)
    path.unlink()
    lines = shared_cluster.gather(path)
    assert is_done(lines), "\n".join(lines)
    assert path.with_name("merged.safetensors").read_bytes() == content
    kept = [Path(match["path"]) for match in matches(lines, "saved")]
    assert len(kept) == 4
    assert_shards_are_the_checkpoint(kept, content)
    assert_shards_are_the_checkpoint(exported_shards(shared_cluster, path), content)


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 4_194_304 * 3 + 1])
def test_opaque_files_of_awkward_sizes(shared_cluster: Cluster, size: int) -> None:
    content = random_bytes(size)
    path = write(shared_cluster.ckpt_root / f"opaque/{size}/optimizer.pt", content)
    lines = shared_cluster.store(path)
    if size == 0:
        # An empty checkpoint is a writer's accident, not a checkpoint.
        assert lines[-1].startswith("ERROR: "), lines
        return
    assert is_done(lines), lines
    path.unlink()
    assert gather(shared_cluster, path).read_bytes() == content
    assert b"".join(exported_shards(shared_cluster, path)) == content


def test_any_other_extension_is_opaque_even_with_a_safetensors_inside(
        shared_cluster: Cluster) -> None:
    content = model(1) + b"and more"
    path = write(shared_cluster.ckpt_root / "opaque/disguised/model.bin", content)
    store(shared_cluster, path)
    assert gather(shared_cluster, path).read_bytes() == content


def test_weights_of_the_project_s_own_maker(shared_cluster: Cluster) -> None:
    """The weights that the demo stores, in F32."""
    path = shared_cluster.ckpt_root / "trained/step_290/model.safetensors"
    subprocess.run([ROOT / "scripts/make_checkpoint", "--path", path, "--megabytes", "12",
                    "--dtype", "F32"], check=True, capture_output=True)
    store(shared_cluster, path)
    merged = gather(shared_cluster, path)
    assert merged.read_bytes() == path.read_bytes()
    assert len(parse(merged).tensors) == 290


@pytest.mark.smoke
def test_mode_and_mtime_come_back(shared_cluster: Cluster) -> None:
    path = write(shared_cluster.ckpt_root / "mode/step_1/model.safetensors", model(1))
    path.chmod(0o640)
    stamp = time.time_ns() - 123_456_789_123
    os.utime(path, ns=(stamp, stamp))
    store(shared_cluster, path)
    merged = gather(shared_cluster, path)
    status = merged.stat()
    assert status.st_mode & 0o7777 == 0o640
    assert status.st_mtime_ns == stamp


def test_more_files_in_one_folder_do_not_collide(shared_cluster: Cluster) -> None:
    folder = shared_cluster.ckpt_root / "folder/step_1"
    contents = {name: random_bytes(300_000, seed) for seed, name in enumerate(
        ["style-000004.bin", "style-000008.bin", "optimizer.pt", "rng"])}
    contents["model.safetensors"] = model(1)
    for name, content in contents.items():
        write(folder / name, content)
        store(shared_cluster, folder / name)
    merged = {name: gather(shared_cluster, folder / name) for name in contents}
    assert len(set(merged.values())) == len(merged)
    for name, content in contents.items():
        assert merged[name].read_bytes() == content
        assert (folder / name).read_bytes() == content
    assert merged["model.safetensors"].name == "merged.safetensors"
    assert merged["optimizer.pt"].name == "merged.pt"
    assert merged["style-000004.bin"].name == "merged-style-000004.bin"


def test_a_file_in_the_root_and_names_beyond_ascii(shared_cluster: Cluster) -> None:
    for relative in ["at_the_root.safetensors", "rün 1/step+5 %20/möd&l=?#.safetensors"]:
        content = model(0.5)
        path = write(shared_cluster.ckpt_root / relative, content)
        store(shared_cluster, path)
        assert gather(shared_cluster, path).read_bytes() == content


def test_output_says_where_to(shared_cluster: Cluster, tmp_path: Path) -> None:
    path = write(shared_cluster.ckpt_root / "output/step_1/model.safetensors", model(1))
    store(shared_cluster, path)
    wanted = tmp_path / "elsewhere.safetensors"
    assert gather(shared_cluster, path, output=wanted) == wanted
    assert wanted.read_bytes() == path.read_bytes()
    assert not path.with_name("merged.safetensors").exists()


def test_n_chunks_may_differ_from_the_number_of_workers(make_cluster) -> None:
    for count in (1, 3, 7):
        cluster = make_cluster(n_chunks=count)
        path = write(cluster.ckpt_root / "run1/step_1/model.safetensors", model(3))
        lines = cluster.store(path)
        assert lines[0].endswith(f"chunking into {count} shards" if count > 1 else "into 1 shards")
        assert lines[-1] == f"Done: {2 * count}/{2 * count} sends (2x replicated) → run1/step_1"
        path.unlink()
        assert is_done(cluster.gather(path))
        assert_shards_are_the_checkpoint(exported_shards(cluster, path, count),
                                         path.with_name("merged.safetensors"))
        cluster.coordinator.terminate()


def test_the_ring_may_change_between_two_stores(make_cluster) -> None:
    cluster = make_cluster(workers=5)
    path = write(cluster.ckpt_root / "run1/step_1/model.safetensors", model(3))
    store(cluster, path)
    devices = [cluster.device(rank) for rank in (5, 3, 2)]  # fewer, and in another order
    for changes in ({"n_chunks": 3}, {"num_workers": 3, "devices_config": {"workers": devices}},
                    {"n_chunks": 6}, {"redundancy": 3}):
        cluster.write_config(**changes)
        assert gather(cluster, path).read_bytes() == path.read_bytes(), changes
        store(cluster, path)
        assert gather(cluster, path).read_bytes() == path.read_bytes(), changes
    cluster.workers[5].kill()
    cluster.workers[3].kill()  # three copies
    assert gather(cluster, path).read_bytes() == path.read_bytes()


def test_a_folder_that_is_gone_is_made_again(shared_cluster: Cluster) -> None:
    path = write(shared_cluster.ckpt_root / "gone/deep/step_1/model.safetensors", model(1))
    content = path.read_bytes()
    store(shared_cluster, path)
    shutil.rmtree(shared_cluster.ckpt_root / "gone")
    assert gather(shared_cluster, path).read_bytes() == content


@pytest.mark.parametrize("copies", [1, 3, 4])
def test_redundancy_is_how_many_copies_there_are(make_cluster, copies: int) -> None:
    cluster = make_cluster(redundancy=copies)
    path = write(cluster.ckpt_root / "run1/step_1/model.safetensors", model(3))
    lines = cluster.store(path)
    assert lines[-1] == f"Done: {4 * copies}/{4 * copies} sends ({copies}x replicated) → run1/step_1"
    for rank in range(1, copies):  # any copies - 1 workers may be lost
        cluster.workers[rank].kill()
    path.unlink()
    assert is_done(cluster.gather(path))


@pytest.mark.slow
def test_a_header_of_99_mb_within_the_memory_bounds(make_cluster) -> None:
    cluster = make_cluster()
    entry = header_of([Entry("x" * 60, [1], "U8")])
    per_tensor = len(str(entry)) + 16
    count = 99_000_000 // per_tensor
    parts = [b'{"%060d":{"dtype":"U8","shape":[1],"data_offsets":[%d,%d]}' % (0, 0, 1)]
    parts += [b'"%060d":{"dtype":"U8","shape":[1],"data_offsets":[%d,%d]}' % (i, i, i + 1)
              for i in range(1, count)]
    raw = b",".join(parts) + b"}"
    raw += b" " * (99_000_000 - len(raw))
    content = len(raw).to_bytes(8, "little") + raw + random_bytes(count)
    path = write(cluster.ckpt_root / "run1/step_1/model.safetensors", content)
    store(cluster, path)
    path.unlink()
    assert gather(cluster, path).read_bytes() == content
    answer = http.get(f"{cluster.worker_url(1)}/shards/{encoded(cluster.identity(path))}/0",
                      timeout=60)
    assert parse(answer.content).tensors
    assert cluster.coordinator.peak_rss_bytes() <= 256 * 2 ** 20
    for worker in cluster.workers.values():
        assert worker.peak_rss_bytes() <= 128 * 2 ** 20
