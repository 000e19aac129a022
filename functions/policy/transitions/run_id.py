"""Ids of hook runs, as values and as text. The text names the run in documents, in logs and in the files of `runs/`.

000017_watch_1700000000123    the livecheck of resource 17
000000_list_1700000000123     a run that belongs to no resource
agent_prepare_4_1700000000123 a run of agent 4
"""

import re
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from state.documents import HookKind


class AgentHook(StrEnum):
    """The hooks of a group of agents, by the word that names their runs and logs."""

    CONVERGE = "converge"
    PREPARE = "prepare"
    CHECK = "check"
    RELEASE = "release"
    TERMINATE = "terminate"


class Consumer(StrEnum):
    """Which timed function acts on the end of a run."""

    RECONCILE = "reconcile"
    CLEANUP = "cleanup"
    AGENTS = "agents"


class RunId(NamedTuple):
    """The id of one hook run; `str()` is its text.

    `subject` is the id of the resource or agent, 0 when the run belongs to none. `number` is 1 for alloc,
    `releases_counter` for release, `delete_failures + 1` for terminate, else the start in whole milliseconds.
    """

    hook: HookKind | AgentHook
    subject: int
    number: int

    def __str__(self) -> str:
        if isinstance(self.hook, AgentHook):
            return f"agent_{self.hook}_{self.subject}_{self.number}"
        return f"{self.subject:06d}_{self.hook}_{self.number}"

    @classmethod
    def parse(cls, text: str) -> "RunId":
        """The id that this text is; raises ValueError when it is none."""
        found = find_run_id(text)
        if found is None:
            raise ValueError(f"{text!r} is not the id of a hook run")
        return found

    @property
    def consumer(self) -> Consumer:
        """Which timed function acts on the end of this run."""
        if isinstance(self.hook, AgentHook):
            return Consumer.AGENTS
        return Consumer.RECONCILE if self.subject else Consumer.CLEANUP


@lru_cache(maxsize=8192)
def find_run_id(text: str) -> RunId | None:
    """The id that this text is, None when it is none."""
    match = _RUN.fullmatch(text)
    if match is not None:
        return RunId(HookKind(match[2]), int(match[1]), int(match[3]))
    match = _AGENT_RUN.fullmatch(text)
    return RunId(AgentHook(match[1]), int(match[2]), int(match[3])) if match is not None else None


_NUMBER = "([0-9]{1,17})"
_RUN = re.compile(f"{_NUMBER}_({'|'.join(HookKind)})_{_NUMBER}")
_AGENT_RUN = re.compile(f"agent_({'|'.join(AgentHook)})_{_NUMBER}_{_NUMBER}")
