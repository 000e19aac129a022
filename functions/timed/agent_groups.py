"""The groups of agents that agents.yaml tells, and what the leading scheduler remembers of them between two calls."""

import logging
from collections.abc import Mapping
from pathlib import Path

import msgspec

from config.agents import AgentGroup, AgentsFile, agents_file, load_agents
from config.errors import ConfigError
from functions.logfields import of_group, of_problem
from functions.policy.plan.agents import Wanted, number_printed
from functions.policy.transitions.outcome import Outcome
from functions.timed.hook_runs import HookRun
from functions.timed.leader import SHOWN_FAULTS, Leader
from functions.timed.pools_file import stamp
from state.documents import Agent

log = logging.getLogger(__name__)


class Groups:
    """The agent groups in force, and what is remembered of them between two calls. All of it can be made anew."""

    def __init__(self) -> None:
        self.in_force: Mapping[str, AgentGroup] = {}
        self.period = AgentsFile().period
        self.wanted: dict[str, Wanted] = {}
        self.answered: set[str] = set()
        self.asked: dict[int, int] = {}
        self.asking: dict[str, str] = {}
        """The group by the run of `cmd_converge_to`. Only runs of this process: an answer found later is outdated."""
        self._silent: set[str] = set()
        self._answers = 0
        self._last_run = 0
        self._loaded = False
        self._seen: tuple[Path, tuple[int, int, int] | None] | None = None
        self._due = float("-inf")

    def reload(self, leader: Leader) -> None:
        """Read agents.yaml if it changed; a broken one keeps the last good one in force."""
        path = agents_file(leader.settings.config_dir)
        seen = path, stamp(path)
        if seen == self._seen:
            return
        self._seen = seen
        leader.mirror.changed = True
        try:
            file = load_agents(leader.settings.config_dir)
        except ConfigError as error:
            faults = tuple(map(str, error.problems))
            if leader.config.agent_faults != faults:
                leader.journal.add("config", "agents.yaml is broken", "; ".join(faults[:SHOWN_FAULTS]))
            leader.config.agent_faults = faults
            for fault in error.problems:
                log.error("%s (the last good groups of agents stay in force)", fault, extra=of_problem(fault))
            if not self._loaded:
                agents = leader.mirror.agents.values()
                self.in_force = {agent.group: msgspec.convert(agent.options, AgentGroup) for agent in agents}
            return
        if leader.config.agent_faults:
            leader.journal.add("config", "agents.yaml is good again")
        leader.config.agent_faults = ()
        self._loaded = True
        self._due = float("-inf")
        before, self.in_force = self.in_force, file.groups if file else {}
        if file is not None:
            self.period = file.period
            for warning in file.warnings:
                log.warning("%s", warning, extra=of_problem(warning))
        if before or self.in_force:
            log.info("%s: %d groups of agents in force", path, len(self.in_force))

    def of(self, agent: Agent) -> AgentGroup:
        """The agent's group, with the options that it last had when it left the file."""
        return self.in_force.get(agent.group) or msgspec.convert(agent.options, AgentGroup)

    def begin_period(self, leader: Leader, now: float) -> bool:
        """Whether a new period begins now; answers that were acted on are void then."""
        if self._due - self.period <= now < self._due:
            return False
        self._due = now + self.period
        left = {agent.group for agent in leader.mirror.agents.values()} - self.in_force.keys()
        self._answers += 1
        self.wanted = {group: wanted for group, wanted in self.wanted.items() if group in self.answered}
        self.wanted |= {group: Wanted(0, self._answers) for group in left}
        self.asked = {agent: answer for agent, answer in self.asked.items() if agent in leader.mirror.agents}
        return True

    @property
    def due(self) -> float:
        """When the next period begins (Unix seconds)."""
        return self._due

    def number(self, now: float) -> int:
        """A number for a run, new even after a restart."""
        self._last_run = max(self._last_run + 1, int(now * 1000))
        return self._last_run

    def answer(self, run: HookRun, outcome: Outcome) -> None:
        """Take in how a run of `cmd_converge_to` ended."""
        group = self.asking.pop(run.id, None)
        if group is None or group not in self.in_force:
            return
        count = number_printed(outcome)
        if count is None:
            if group not in self._silent:
                why = f"printed {(outcome.output or b'')[:100]!r}" if outcome.good else outcome.how
                log.warning(
                    "agents of %s: cmd_converge_to %s, so their number stays", group, why, extra=of_group(group)
                )
            self._silent.add(group)
            return
        self._silent.discard(group)
        self._answers += 1
        self.wanted[group] = Wanted(count, self._answers)
        self.answered.add(group)
