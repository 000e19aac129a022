"""The quick form of the model, and that the model sees what it is there to see."""

import logging

from tests.chaos.model import RUNS, STEPS, check


def test_whatever_happens_all_promises_are_kept():
    logging.disable(logging.CRITICAL)
    check(1, RUNS, STEPS)
