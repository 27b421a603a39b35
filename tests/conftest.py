"""Fixtures: clusters that start real processes, and their logs in the report of a failure."""
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.binary import GROVE, require_grove
from harness.cluster import Cluster
from harness.lab_cluster import LabCluster
from harness.netlab import Netlab

CLUSTERS = pytest.StashKey[list[Cluster]]()


def _close(clusters: list[Cluster]) -> None:
    try:
        for cluster in clusters:
            cluster.assert_never_crashed()
    finally:
        for cluster in clusters:
            cluster.close()
            shutil.rmtree(cluster.folder, ignore_errors=True)


@pytest.fixture
def make_cluster(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Callable[..., Cluster]]:
    """Makes clusters that belong to one test; `start=False` leaves starting to the test."""
    require_grove()
    clusters: list[Cluster] = []
    request.node.stash[CLUSTERS] = clusters

    def make(start: bool = True, **options: object) -> Cluster:
        cluster = Cluster(tmp_path / f"cluster_{len(clusters)}", **options)
        clusters.append(cluster)
        return cluster.start() if start else cluster

    yield make
    _close(clusters)


@pytest.fixture
def grove() -> Callable[..., subprocess.CompletedProcess]:
    """Runs the grove command as it is given."""
    require_grove()

    def run(*arguments: str, **options: object) -> subprocess.CompletedProcess:
        return subprocess.run([str(GROVE), *arguments], text=True, capture_output=True,
                              timeout=60, check=False, **options)

    return run


@pytest.fixture
def cluster(make_cluster: Callable[..., Cluster]) -> Cluster:
    """Four healthy workers and a coordinator, of this test alone."""
    return make_cluster()


@pytest.fixture
def make_netlab(request: pytest.FixtureRequest) -> Callable[..., Netlab]:
    """Makes networks of hosts with these names, of one test alone."""
    def make(*names: str) -> Netlab:
        lab = Netlab(*names)
        request.addfinalizer(lab.close)
        return lab

    return make


@pytest.fixture
def make_lab_cluster(make_netlab: Callable[..., Netlab], tmp_path: Path) -> Callable[..., LabCluster]:
    """A cluster whose machines have a network each; `others`: hosts beside them."""
    require_grove()

    def make(workers: int, *others: str) -> LabCluster:
        lab = make_netlab("coord", *(f"w{rank + 1}" for rank in range(workers)), *others)
        return LabCluster(lab, tmp_path, workers)

    return make


@pytest.fixture(scope="module")
def module_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    require_grove()
    cluster = Cluster(tmp_path_factory.mktemp("shared") / "cluster").start()
    yield cluster
    _close([cluster])


@pytest.fixture
def shared_cluster(module_cluster: Cluster, request: pytest.FixtureRequest) -> Cluster:
    """One cluster for all tests of a file that do it no harm; each uses paths of its own."""
    request.node.stash[CLUSTERS] = [module_cluster]
    return module_cluster


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report = (yield).get_result()
    if report.failed:
        for cluster in item.stash.get(CLUSTERS, []):
            report.sections += [(f"log of {name}", text) for name, text in cluster.logs()]
