"""Has processes share what memory they can, and give back to the system what they need no more.

And tells of a Python in which those that live for months cannot stay small.
"""

import ctypes
import gc
import importlib

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
"""The names of glibc's malloc.h for what `mallopt` sets."""
_LARGE = 128 * 1024
"""Bytes from which a block is mapped by itself and unmapped when it is freed: glibc's own first value."""
_ARENAS = 2
LIBRARIES = (
    "concurrent.futures._base",
    "defusedxml.xmlrpc",
    "flask",
    "gevent.events",
    "gevent.selectors",
    "gevent.signal",
    "gevent.ssl",
    "gevent.subprocess",
    "gevent.threading",
    "msgspec",
    "prometheus_client",
    "sortedcontainers",
    "statistics",
    "yaml",
)
"""What web workers need and is not this program, which a reload must be able to change. None of it keeps anything that
gevent would have to patch first, as filelock does (`threading.local`).
"""


def share() -> None:
    """Load libraries before the workers are forked, and keep their pages common to all.

    Left to itself, the collector of garbage would write into each page in each worker.
    """
    for name in LIBRARIES:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()


def give_back() -> None:
    """Give back what the heap has free, and keep large blocks out of it; nothing where the C library is not glibc.

    By itself glibc puts blocks of up to 32 MiB on its heap once one of that size was freed. The pieces of files and the
    pages that a web process holds for an instant then leave holes there, which it keeps for good.
    """
    try:
        library = ctypes.CDLL(None)
        set_option, trim = library.mallopt, library.malloc_trim
    except (OSError, AttributeError):
        return
    for option, value in ((_MMAP_THRESHOLD, _LARGE), (_TRIM_THRESHOLD, _LARGE), (_ARENA_MAX, _ARENAS)):
        set_option(option, value)
    trim(0)


def warning(version: tuple[int, int, int]) -> str | None:
    """What an operator must know of this version of Python; None of a good one."""
    if (3, 12, 0) <= version <= (3, 12, 5):
        number = ".".join(map(str, version))
        grows = "so that all processes grow by some 500 bytes with each ticket"
        return f"Python {number} keeps the name of every file in memory for good, {grows}; use 3.11, or 3.12.6 or newer"
    return None
