"""The quick form of the model, and that the model sees what it is there to see."""

import logging
from collections.abc import Iterator

import pytest

from tests.chaos.model import RUNS, STEPS, check


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Thousands of lines about what goes wrong on purpose help nobody."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def test_whatever_happens_all_promises_are_kept() -> None:
    check(1, RUNS, STEPS)
