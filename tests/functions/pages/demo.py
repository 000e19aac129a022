"""A demo state folder: 30 pools, 500 resources, and tickets that have one, wait or failed. The same each time.

`python -m tests.functions.pages.demo FOLDER` writes one below FOLDER, to be shown by a web server.
"""

import math
import random
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import msgspec

from config.pools import Pool
from state.documents import HookKind, PoolRecord, Resource, ResourceState, Run, Ticket, TicketState
from state.files.store import FileStore
from state.sample import Sample
from state.store import Batch, Put

KINDS = ("x86_64", "aarch64", "ppc64le", "s390x", "i386", "riscv64")
SITES = ("rdu", "fra", "aws-east", "ibm-cloud", "lab")
SPECIAL = ("failing", "leaking", "full", "idle", "sick", "left")
"""What some of the pools are, the first ones."""


class Demo:
    """Writes the demo documents into a store."""

    def __init__(self, store: FileStore, pools: int = 30, resources: int = 500, now: float | None = None) -> None:
        self.store = store
        self.now = time.time() if now is None else now
        self.random = random.Random(1)
        self.documents: list[Any] = []
        self.lines: dict[str, list[bytes]] = defaultdict(list)
        self.tickets = 0
        self.resources = 0
        for position in range(pools):
            share = resources * (position + 1) // pools - resources * position // pools
            self.pool(position, share)
        for number in range(4):
            self.ticket(("gpu", KINDS[number % 2]), 60 * number + 30)
        store.commit(Batch([Put(document) for document in self.documents]))
        for name, lines in self.lines.items():
            (store.root / "samples" / f"{name}.jsonl").write_bytes(b"".join(lines))

    def pool(self, position: int, count: int) -> None:
        kind, site = KINDS[position % len(KINDS)], SITES[position % len(SITES)]
        special = SPECIAL[position // 3] if position % 3 == 0 and position // 3 < len(SPECIAL) else ""
        name = f"{site}-{kind.replace('_', '-')}-{position:02d}"
        most = count if special == "full" else count + 4
        options = Pool(
            name=name,
            description=f"{kind} builders in {site}, for everyday builds",
            max=most,
            max_starting=3,
            max_prealloc=4,
            cmd_new="true",
            cmd_delete="true",
            tags={kind: 10, f"{kind}_{site}": 0, "builder": 0, f"only-{position}": 0},
        )
        failing = special == "failing"
        self.documents.append(
            PoolRecord(
                name=name,
                position=position,
                configured=special != "left",
                options=msgspec.to_builtins(options),
                first_seen_at=self.now - 1e6,
                last_start=self.now - 40,
                last_successful_start=self.now - (7200 if failing else 55),
                last_attempt_to_start=self.now - 50,
                startup_success_rate=0.31 if failing else self.random.uniform(0.93, 1),
                startup_time_avg=self.random.uniform(20, 400),
                start_failures=4 if failing else 0,
                paused_until=self.now + 140 if failing else None,
                pause_reason="exit status 1: ERROR: quota exceeded for cores" if failing else None,
            )
        )
        for _ in range(count):
            self.resource(name, options, special)
        self.samples(name, most, special)
        for number in range({"full": 7, "failing": 3}.get(special, 0)):
            self.ticket((f"only-{position}",), 40 + 70 * number)

    def samples(self, pool: str, most: int, special: str) -> None:
        """A day of them, with a rush at noon, a night, and an hour in which no scheduler ran."""
        for minute in range(1440, 0, -1):
            if 900 < minute < 960:
                continue
            wave = 0.5 + 0.4 * math.sin(minute / 230) + self.random.uniform(-0.05, 0.05)
            taken = most if special == "full" else 0 if special == "idle" else round(most * max(0.0, min(1.0, wave)))
            ready = min(most - taken, 3)
            bad = special == "failing" and minute < 300
            started = 0 if bad else self.random.choice((0, 0, 1, 2))
            grants = self.random.choice((0, 1, 2))
            waited = self.random.expovariate(1 / (90 if taken > most * 0.8 else 4))
            sample = Sample(
                at=self.now - 60 * minute + 30,
                max=most if minute < 700 else most - 2,
                taken=min(taken, most - 2) if minute >= 700 else taken,
                ready=ready,
                starting=min(started, most - taken - ready),
                going=int(most - taken - ready > 2),
                waiting=round(max(0.0, wave - 0.8) * 40),
                grants=grants,
                waited=waited if grants else None,
                waited_longest=waited * 2 if grants else None,
                started=started,
                failed=self.random.choice((0, 1)) if bad else int(self.random.random() < 0.03),
                start_took=self.random.uniform(60, 110) if started else None,
            )
            self.lines[pool].append(msgspec.json.encode(sample) + b"\n")

    def resource(self, pool: str, options: Pool, special: str) -> None:
        self.resources += 1
        number = self.resources
        states = [ResourceState.UP] * 20 + list(ResourceState)[:5]
        state = ResourceState.UP if special in ("full", "idle") else self.random.choice(states)
        age = self.random.uniform(200, 90000)
        began = self.now - age
        up = state is not ResourceState.STARTING
        leaks = special == "leaking" and number % 3 == 0
        going = leaks or state in (ResourceState.DELETE_REQUEST, ResourceState.DELETING)
        kinds = {
            ResourceState.STARTING: HookKind.ALLOC,
            ResourceState.RELEASING: HookKind.RELEASE,
            ResourceState.DELETING: HookKind.TERMINATE,
        }
        run = kinds.get(state)
        self.documents.append(
            Resource(
                id=number,
                name=f"{pool}_{number:08d}_{time.strftime('%Y%m%d_%H%M%S', time.localtime(began))}",
                pool=pool,
                state=ResourceState.DELETE_REQUEST if leaks else state,
                tags=options.tags,
                data=f"10.{number // 250}.7.{number % 250}\n".encode() if up else None,
                created_at=began,
                up_at=began + 90 if up else None,
                check_last_time=self.now - self.random.uniform(5, 500) if up else None,
                check_failed_count=self.random.choice((0, 0, 1, 2)) if special == "sick" else 0,
                releases_counter=self.random.randrange(4) if up else 0,
                run=Run(id=f"{number}_{run}_1", kind=run, started_at=self.now - 30) if run and not leaks else None,
                delete_failures=4 if leaks else 0,
                delete_retry_at=self.now + 300 if leaks else None,
                delete_began_at=self.now - 100 if going else None,
                reason="deleted by an operator" if going else None,
            )
        )
        taken = special == "full" or (special != "idle" and self.random.random() < 0.75)
        if state is ResourceState.UP and not leaks and taken:
            held = self.random.uniform(10, age - 100)
            self.ticket(options_tags(options), held + self.random.uniform(1, 60), number, held)

    def ticket(self, tags: tuple[str, ...], ago: float, resource: int | None = None, held: float = 0) -> None:
        self.tickets += 1
        ticket = Ticket(id=self.tickets, tags=tags, sandbox=f"copr-user-{self.tickets % 40}", created_at=self.now - ago)
        if resource is not None:
            document = next(one for one in reversed(self.documents) if isinstance(one, Resource))
            ticket = ticket.replace(
                resource=resource,
                resource_name=document.name,
                pool=document.pool,
                assigned_at=self.now - held,
                output=document.data,
            )
            if self.tickets % 60 == 0:
                ticket = ticket.replace(
                    state=TicketState.FAILED, failed_at=self.now - 20, reason="its livecheck failed"
                )
        self.documents.append(ticket)


def options_tags(options: Pool) -> tuple[str, ...]:
    """What a usual ticket asks of a pool."""
    return tuple(options.tags)[:3]


def write_logs(log_dir: Path, number: int) -> None:
    """Logs of one resource's hooks."""
    hooks = log_dir / "hooks"
    hooks.mkdir(parents=True, exist_ok=True)
    lines = [f"[{second:3d} s] waiting for the <b>instance</b> to answer on port 22\n" for second in range(0, 90, 5)]
    (hooks / f"{number:06d}_alloc").write_text("".join(lines))
    (hooks / f"{number:06d}_watch").write_text("ok\n" * 20)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    Demo(FileStore(folder / "state"))
    write_logs(folder / "log", 3)
