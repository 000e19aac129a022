"""Samples: how one pool did, minute by minute, for the charts of the pages."""

from collections.abc import Hashable

import msgspec

PERIOD = 60.0
"""Seconds between two samples of a pool."""

Stamp = Hashable
"""Equal stamps mean that nothing was added in between."""


class Sample(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A pool at the time `at`, and what happened since the previous sample. Fields that are 0 or unknown are left out.

    | field | meaning |
    |---|---|
    | `going` | resources that are being released or deleted |
    | `waiting` | tickets that the pool could serve |
    | `oldest` | how long the oldest of them has waited |
    | `grants` | how many tickets were assigned a resource of the pool |
    | `waited`, `waited_longest` | how long these had waited: median and maximum |
    | `started`, `failed` | how many starts succeeded or failed |
    | `start_took` | how long the successful ones took (median) |

    Times are in seconds.
    """

    at: float
    max: int = 0
    taken: int = 0
    ready: int = 0
    starting: int = 0
    going: int = 0
    waiting: int = 0
    oldest: float = 0.0
    grants: int = 0
    waited: float | None = None
    waited_longest: float | None = None
    started: int = 0
    failed: int = 0
    start_took: float | None = None


class Use(msgspec.Struct, frozen=True, gc=False):
    """The part of a sample that a small chart needs: those of all pools are decoded at once and not kept."""

    at: float
    max: int = 0
    taken: int = 0
