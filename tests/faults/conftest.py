"""Fixtures of the tests with faults: shims, power cuts and small disks."""
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.power_cut import PowerCuts
from harness.seeds import Story
from harness.shims import Shim, build


@pytest.fixture(scope="session")
def make_shim(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Shim]:
    built: dict[str, Shim] = {}

    def make(name: str) -> Shim:
        if name not in built:
            built[name] = Shim(build(name, tmp_path_factory.mktemp("shim")))
        return built[name]

    return make


@pytest.fixture
def make_power_cuts(make_shim: Callable[[str], Shim], tmp_path: Path) -> Callable[..., PowerCuts]:
    def make(story: Story, **options: object) -> PowerCuts:
        return PowerCuts(make_shim("power_cut"), tmp_path, story, **options)

    return make
