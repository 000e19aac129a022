"""A farm in this process: real store, real hooks, a clock that the test sets."""

import os
import time
from collections.abc import Callable
from pathlib import Path

from config.settings import load_settings
from functions.policy.snapshot.snapshot import Snapshot
from functions.policy.transitions.ticket import close_ticket
from functions.timed.archive import archive
from functions.timed.cleanup import CleanupMemory, handle_list_results
from functions.timed.leader import Leader
from functions.timed.livecheck import Checks, livecheck
from functions.timed.measures import Measures
from functions.timed.reconcile import reconcile
from scheduler.hooks import Hooks
from state.documents import Intent, IntentKind, Resource, Ticket
from state.files.store import FileStore
from tests.waiting import until


class World:
    """The timed functions as the scheduler calls them, one `turn` at a time. `ahead` seconds are added to the clock."""

    def __init__(self, folder: Path, pools: str, options: str = "") -> None:
        self.folder = folder
        self.config = folder / "config"
        self.config.mkdir()
        (self.config / "server.yaml").write_text(options)
        self.set_pools(pools)
        self.ahead = 0.0
        self.settings = load_settings(
            {
                "CONFIG_DIR": str(self.config),
                "RESALLOC_STATE_DIR": str(folder / "state"),
                "RESALLOC_LOG_DIR": str(folder / "log"),
            }
        )
        self.store = FileStore(folder / "state")
        self.restart()

    def set_pools(self, pools: str) -> None:
        (self.config / "pools.yaml").write_text(pools)

    def clock(self) -> float:
        return time.time() + self.ahead

    @property
    def snapshot(self) -> Snapshot:
        """The leader's copy of the documents."""
        return self.leader.mirror.snapshot

    def restart(self) -> None:
        """A new scheduler: everything that it knows comes from the folder."""
        environment = {"PATH": os.environ["PATH"]}
        measures = Measures()
        folders = (self.store.root / "runs", self.settings.log_dir, self.config)
        self.hooks = Hooks(*folders, environment, self.clock, 100, measures.hook_ended)
        self.hooks.adopt()
        names = iter(f"random-{number}" for number in range(1000))
        self.leader = Leader(self.store, self.settings, self.hooks, self.clock, lambda: next(names), measures)
        self.leader.load()
        self.checks = Checks()
        self.unknown = CleanupMemory()

    def turn(self) -> float | None:
        """One turn of the scheduler; returns when reconcile is due next."""
        self.leader.reload_pools()
        self.leader.refresh({"tickets": set(self.store.tickets.living())})
        self.leader.refresh({"intents": set(self.store.intents.living())})
        self.hooks.probe()
        due = reconcile(self.leader)
        archive(self.leader)
        self.checks.plan_all(self.leader)
        livecheck(self.leader, self.checks)
        handle_list_results(self.leader, self.unknown)
        while self.hooks.launch():
            pass
        return due

    def until(self, condition: Callable[[], object], what: str = "the condition") -> None:
        """Turn until the condition holds."""

        def turned() -> object:
            self.turn()
            return condition()

        until(turned, what=what)

    def take(self, *tags: str, sandbox: str | None = None) -> Ticket:
        return self.store.tickets.create(
            lambda number: Ticket(id=number, tags=tags, sandbox=sandbox, created_at=self.clock())
        )

    def close(self, ticket: int) -> None:
        self.store.tickets.update(ticket, lambda found: close_ticket(found, self.clock()))

    def ask_delete(self, resource: int) -> Intent:
        return self._ask(IntentKind.DELETE_RESOURCE, resource)

    def ask_hold(self, resource: int) -> Intent:
        return self._ask(IntentKind.HOLD_RESOURCE, resource, until=self.clock() + 3600)

    def _ask(self, kind: IntentKind, resource: int, until: float | None = None) -> Intent:
        return self.store.intents.create(lambda number: Intent(id=number, kind=kind, resource=resource, until=until))

    def resources(self) -> list[Resource]:
        return [resource for _, resource in sorted(self.snapshot.resources.items())]

    def log(self, name: str) -> str:
        """The content of a hook log, empty when it does not exist."""
        path = self.folder / "log" / "hooks" / name
        return path.read_text() if path.exists() else ""
