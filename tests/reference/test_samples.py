"""The reference's own samples, word for word; only host, port and paths are changed."""
import subprocess
from pathlib import Path

import pytest

from harness.binary import GROVE, ROOT
from harness.checkpoints import model, write
from harness.cluster import CALL_SECONDS, Cluster

SAMPLES = ROOT / "tests/data/reference_samples.txt"
HOST, PATH = "localhost:8000", "/home/user/checkpoints/run1/step_100/model.safetensors"
HOME_PATH = "~/checkpoints/run1/step_100/model.safetensors"


def sample(name: str, cluster: Cluster, path: Path) -> str:
    for part in SAMPLES.read_text().split("\n=== ")[1:]:
        title, text = part.split("\n", 1)
        if title == name:
            assert HOST in text or text.startswith("grove") or "checked" in name
            return (text.replace(HOST, f"localhost:{cluster.api_port}").replace(PATH, str(path))
                    .replace(HOME_PATH, str(path)))
    raise AssertionError(f"no sample {name}")


def run(command: list[str], **options: object) -> str:
    result = subprocess.run(command, text=True, capture_output=True, timeout=CALL_SECONDS,
                            check=False, **options)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def run_shell(text: str, cluster: Cluster) -> str:
    environment = {"PATH": f"{GROVE.parent}:/usr/bin:/bin",
                   "GROVE_CONFIG": str(cluster.config_path)}
    return run(["bash", "-c", text], env=environment)


def run_python(text: str) -> str:
    return run(["/usr/bin/python3", "-c", text], env={"PATH": "/usr/bin:/bin"})


@pytest.fixture
def path(shared_cluster: Cluster, request: pytest.FixtureRequest) -> Path:
    return write(shared_cluster.ckpt_root / request.node.name / "step_100/model.safetensors",
                 model(8))


def assert_stored(output: str, path: Path) -> None:
    lines = [line for line in output.splitlines() if line]
    assert lines[0].startswith("Loaded 24 tensors (7.")
    assert lines[-1] == f"Done: 8/8 sends (2x replicated) → {path.parent.parent.name}/step_100"


def assert_gathered(output: str, path: Path) -> None:
    merged = path.with_name("merged.safetensors")
    lines = [line for line in output.splitlines() if line]
    assert lines[-1] == f"Done: saved → {merged}"
    assert merged.read_bytes() == path.read_bytes()


@pytest.mark.smoke
def test_curl_samples(shared_cluster: Cluster, path: Path) -> None:
    assert_stored(run_shell(sample("curl store", shared_cluster, path), shared_cluster), path)
    assert_gathered(run_shell(sample("curl gather", shared_cluster, path), shared_cluster), path)


@pytest.mark.smoke
def test_httpx_samples(shared_cluster: Cluster, path: Path) -> None:
    assert_stored(run_python(sample("httpx store", shared_cluster, path)), path)
    assert_gathered(run_python(sample("httpx gather", shared_cluster, path)), path)


@pytest.mark.smoke
def test_command_samples(shared_cluster: Cluster, path: Path) -> None:
    assert_stored(run_shell(sample("grove store", shared_cluster, path), shared_cluster), path)
    assert_gathered(run_shell(sample("grove gather", shared_cluster, path), shared_cluster), path)


def test_checked_store_sample_tells_success_from_failure(shared_cluster: Cluster,
                                                         path: Path) -> None:
    text = sample("httpx checked store", shared_cluster, path)
    assert run_python(f"{text}\nprint(store({str(path)!r}))") == "True\n"
    caught = (f"{text}\ntry:\n    store({str(path.with_name('absent.safetensors'))!r})\n"
              "except RuntimeError as error:\n    print(error)")
    assert "ERROR: checkpoint not found" in run_python(caught)
