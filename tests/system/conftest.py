"""Whole servers for tests: one for each test, or one for all tests of a module."""

from collections.abc import Iterator

import pytest
from xprocess import XProcess

from tests.system.farm import Farm


@pytest.fixture
def farm(xprocess: XProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    """A server that is not started yet: write its pools first. For tests that stop or kill it, or count its ids."""
    yield from _farm(xprocess, tmp_path_factory)


@pytest.fixture(scope="module")
def shared_farm(xprocess: XProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    """A server for a whole module, not started yet. A start takes 3 s of processor time, so share it where you can."""
    yield from _farm(xprocess, tmp_path_factory)


@pytest.fixture
def running(shared_farm: Farm) -> Iterator[Farm]:
    """The module's server, running, without resources and open tickets. Ids go on from test to test."""
    shared_farm.start()
    yield shared_farm
    shared_farm.clear()


def _farm(xprocess: XProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    farm = Farm(xprocess, tmp_path_factory.mktemp("server") / "farm")
    try:
        yield farm
    finally:
        farm.stop()
