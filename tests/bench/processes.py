"""Resources that processes use, as the kernel counts them."""

import os
from collections.abc import Iterable
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def memory(pids: Iterable[int]) -> float:
    """Proportional set size in MB (10⁶ bytes): memory that several processes share is counted once in all."""
    kilobytes = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                kilobytes += int(line.split()[1])
    return kilobytes * 1024 / 1e6


def own_memory(pids: Iterable[int]) -> float:
    """Anonymous memory in MB (10⁶ bytes): all that processes have but the files that they map, which others may share.

    What a process shares with the one that forked it counts for both.
    """
    kilobytes = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Anonymous:"):
                kilobytes += int(line.split()[1])
    return kilobytes * 1024 / 1e6


def processor_seconds(pids: Iterable[int]) -> float:
    """Processor time that they have used so far, without that of their children."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / _TICKS


def wake_ups(pids: Iterable[int]) -> int:
    """How often their threads went to sleep so far, which is how often they were woken."""
    count = 0
    for pid in pids:
        for status in Path(f"/proc/{pid}/task").glob("*/status"):
            for line in status.read_text().splitlines():
                if line.startswith("voluntary_ctxt_switches:"):
                    count += int(line.split()[1])
    return count
