"""How often something is done at most."""

import math
from collections.abc import Callable


class Pace:
    """Something that is done at most every `pause` seconds, and at once at first.

    `monotonic` gives seconds; `done_at` is when it was done last.
    """

    def __init__(self, pause: float, monotonic: Callable[[], float]) -> None:
        self._pause = pause
        self._monotonic = monotonic
        self.done_at = -math.inf

    def wait(self) -> float:
        """How long it has to wait still (seconds); 0 when it may be done now."""
        return max(0.0, self.done_at + self._pause - self._monotonic())

    def done(self) -> None:
        """Take note that it is done now."""
        self.done_at = self._monotonic()

    def hurry(self) -> None:
        """Let it be done at once, whenever it was done last."""
        self.done_at = -math.inf
