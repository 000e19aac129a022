"""What the scheduler notes between two samples of the pools."""

from collections import defaultdict


class Minute:
    """What happened in each pool since the last samples: how long those waited who got a resource, how long good
    starts took (seconds), and how many starts failed.
    """

    def __init__(self) -> None:
        self.waits: defaultdict[str, list[float]] = defaultdict(list)
        self.starts: defaultdict[str, list[float]] = defaultdict(list)
        self.failures: defaultdict[str, int] = defaultdict(int)

    def clear(self) -> None:
        """Begin anew."""
        for happened in (self.waits, self.starts, self.failures):
            happened.clear()
