"""Query parameters of the API, by one rule: what is missing or ill-typed is 422, and nothing changes."""
import httpx
import pytest

from harness.checkpoints import model, write
from harness.cluster import Cluster
from harness.http import http
from harness.lines import is_done

NO_FLAG = ["", "x", "1", "True", "yes", "true ", "\n", "ü"]
NO_NUMBER = ["", "x", "-1", "1.5", "1e3", "99999999999999999999", " 1"]
CALLS = [("GET", "/checkpoints", "brief", NO_FLAG), ("GET", "/workers", "copies", NO_FLAG),
         ("DELETE", "/checkpoints", "force", NO_FLAG), ("DELETE", "/checkpoints", "generation", NO_NUMBER),
         ("DELETE", "/checkpoints/a.bin", "force", NO_FLAG),
         ("DELETE", "/checkpoints/a.bin", "generation", NO_NUMBER),
         ("POST", "/pin", "pinned", NO_FLAG), ("POST", "/drain", "rank", ["", "x", "0", "9", "1,2", "1,"]),
         ("POST", "/drain", "undo", NO_FLAG), ("POST", "/repair", "dry_run", NO_FLAG),
         ("POST", "/store-shard", "generation", NO_NUMBER), ("POST", "/gather-shards", "generation", NO_NUMBER),
         ("POST", "/verify", "unproven_for", ["", "x", "-1s", "1"]), ("POST", "/verify", "ranks", ["", "x", "9"]),
         ("GET", "/discover", "timeout", ["", "x", "-1"])]
NEEDED = [("POST", "/store-shard", "ckpt_path"), ("POST", "/gather-shards", "ckpt_path"), ("POST", "/pin", "ckpt_path"),
          ("DELETE", "/checkpoints", "ckpt_path"), ("POST", "/drain", "rank")]


def refused(cluster: Cluster, method: str, target: str, parameters: dict[str, str] | str) -> str:
    query = parameters if isinstance(parameters, str) else httpx.QueryParams(parameters)
    answer = http.request(method, f"{cluster.url}{target}?{query}", timeout=30)
    assert answer.status_code == 422, (method, target, parameters, answer.status_code, answer.text)
    assert set(answer.json()) == {"detail"} and "\n" not in answer.json()["detail"]
    return answer.json()["detail"]


@pytest.fixture
def stored(shared_cluster: Cluster):
    path = shared_cluster.ckpt_root / "a.bin"
    if not path.exists():
        write(path, model(0.1))
        assert is_done(shared_cluster.store(path))
    before = shared_cluster.snapshot()
    yield path
    assert shared_cluster.snapshot() == before


@pytest.mark.parametrize(("method", "target", "name", "values"), CALLS, ids=[f"{c[0]} {c[1]} {c[2]}" for c in CALLS])
def test_an_ill_typed_parameter_is_422(shared_cluster, stored, method, target, name, values):
    others = {"ckpt_path": str(stored)} if target in ("/pin", "/store-shard", "/gather-shards") else {}
    if (method, target) == ("DELETE", "/checkpoints"):
        others = {"ckpt_path": str(stored)}
    if target == "/drain" and name != "rank":
        others = {"rank": "1"}
    for value in values:
        assert name in refused(shared_cluster, method, target, {**others, name: value})
    # What is no UTF-8 is quoted as it can be.
    query = str(httpx.QueryParams(others))
    assert name in refused(shared_cluster, method, target, f"{query}&{name}=%ff")


@pytest.mark.parametrize(("method", "target", "name"), NEEDED)
def test_a_missing_parameter_is_422(shared_cluster, stored, method, target, name):
    assert refused(shared_cluster, method, target, {}) == f"{name} is required"
