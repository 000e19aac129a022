"""Has the C library give memory back to the system, so that processes that live for months stay small.

And tells of a Python in which they cannot.
"""

import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
"""The names of glibc's malloc.h for what `mallopt` sets."""
_LARGE = 128 * 1024
"""Bytes from which a block is mapped by itself and unmapped when it is freed: glibc's own first value."""
_ARENAS = 2


def give_back() -> None:
    """Keep large blocks out of the heap, now and later; does nothing where the C library is not glibc.

    By itself glibc puts blocks of up to 32 MiB on its heap once one of that size was freed. The pieces of files and the
    pages that a web process holds for an instant then leave holes there, which it keeps for good.
    """
    try:
        set_option = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return
    for option, value in ((_MMAP_THRESHOLD, _LARGE), (_TRIM_THRESHOLD, _LARGE), (_ARENA_MAX, _ARENAS)):
        set_option(option, value)


def warning(version: tuple[int, int, int]) -> str | None:
    """What an operator must know of this version of Python; None of a good one."""
    if (3, 12, 0) <= version <= (3, 12, 5):
        number = ".".join(map(str, version))
        grows = "so that all processes grow by some 500 bytes with each ticket"
        return f"Python {number} keeps the name of every file in memory for good, {grows}; use 3.11, or 3.12.6 or newer"
    return None
