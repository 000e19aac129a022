"""A farm with agents in this process: real store, real hooks."""

from pathlib import Path

from functions.timed.agents import Groups, agents
from functions.timed.events import WrittenEvents, write_events
from state.documents import Agent, AgentState, Ticket, TicketState
from state.errors import NotFound
from state.files.store import FileStore
from tests.timed.world import World

POOL = """
vm:
  max: 6
  max_starting: 6
  max_prealloc: 1
  cmd_new: printf 'vm %s' "$RESALLOC_ID"
  cmd_delete: 'true'
  tags: [vm]
"""

GROUPS = """
period: 0.1
agent_groups:
  workers:
    tags: [vm]
    cmd_converge_to: cat ../wanted
    cmd_prepare: env | grep -E '^(AGENT_SPAWNER|RESALLOC)_' >> ../prepared; test ! -e ../unfit
    cmd_check_finished: test -e ../finished
    cmd_try_release: test -e ../may-go
    cmd_terminate: echo "$AGENT_SPAWNER_RESOURCE_DATA" >> ../terminated; exit 3
"""


class AgentWorld(World):
    """`want` sets what `cmd_converge_to` prints; hooks read and write files, all in `folder`."""

    def __init__(self, folder: Path, groups: str = GROUPS, pool: str = POOL) -> None:
        (folder / "wanted").write_text("0\n")
        self._groups_text = groups
        self.written_events = WrittenEvents()
        super().__init__(folder, pool)
        self.set_groups(groups)

    def set_groups(self, text: str) -> None:
        (self.config / "agents.yaml").write_text(text)

    def restart(self) -> None:
        self.groups = Groups()
        self.written_events = WrittenEvents()
        self.store = FileStore(self.store.root)
        super().restart()

    def turn(self) -> float | None:
        self.converge()
        due = super().turn()
        if not self.hooks.under_way():
            # Nothing can happen before the next period: it begins now.
            self.ahead += self.groups.period
        return due

    def converge(self) -> None:
        """Call the timed function under test."""
        agents(self.leader, self.groups, self.record_events)

    def record_events(self) -> None:
        """Write the events so far, and sync them."""
        write_events(self.leader, self.written_events, sync=True)

    def want(self, count: object) -> None:
        staged = self.folder / "wanted.new"
        staged.write_text(f"{count}\n")
        staged.rename(self.folder / "wanted")

    def touch(self, name: str) -> None:
        """Write a file that hooks read."""
        (self.folder / name).touch()

    def left(self, name: str) -> list[str]:
        """The lines that hooks wrote to a file."""
        path = self.folder / name
        return path.read_text().splitlines() if path.exists() else []

    def agents(self, state: AgentState | None = None, group: str | None = None) -> list[Agent]:
        """The agents on disk, by number."""
        found = [self.store.agents.read(number) for number in sorted(self.store.agents.living())]
        return [agent for agent in found if state in (None, agent.state) and group in (None, agent.group)]

    def work(self, count: int = 1) -> list[Agent]:
        """Keep so many agents, and wait until they work."""
        self.want(count)
        self.until(lambda: len(self.agents(AgentState.WORKING)) == count, f"{count} agents that work")
        return self.agents()

    def reach(self, state: AgentState) -> Agent:
        """Wait until the first agent is in this state."""
        self.until(lambda: self.agents(state), f"an agent in {state}")
        return self.agents(state)[0]

    def periods(self, count: int = 3) -> None:
        """Let so many answers of `cmd_converge_to` come and be acted on."""
        for _ in range(count):
            before = self.log("agent-workers_converge").count("\n")
            self.until(lambda before=before: self.log("agent-workers_converge").count("\n") > before, "an answer")
        self.until(lambda: not self.groups.asking, "the end of the last run")
        self.turn()

    def ticket(self, number: int) -> Ticket:
        """The ticket on disk, finished or not."""
        return self.store.tickets.read(number)

    def all_tickets(self) -> list[Ticket]:
        """Every ticket that was ever taken."""
        tickets = []
        for number in range(1, self.store.tickets.reserve(1)[0]):
            try:
                tickets.append(self.ticket(number))
            except NotFound:
                continue
        return tickets

    def fail(self, number: int) -> None:
        """Fail a ticket as when its resource died."""
        self.store.tickets.update(
            number,
            lambda found: found.replace(state=TicketState.FAILED, failed_at=self.clock(), reason="it died"),
        )
