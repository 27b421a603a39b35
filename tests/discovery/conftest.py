"""Clusters of hosts in network namespaces."""
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.binary import require_grove
from harness.lab_cluster import LabCluster
from harness.netlab import Netlab


@pytest.fixture
def make_lab_cluster(make_netlab: Callable[..., Netlab], tmp_path: Path) -> Callable[..., LabCluster]:
    """`others`: hosts beside the coordinator and the workers."""
    require_grove()

    def make(workers: int, *others: str) -> LabCluster:
        lab = make_netlab("coord", *(f"w{rank + 1}" for rank in range(workers)), *others)
        return LabCluster(lab, tmp_path, workers)

    return make
