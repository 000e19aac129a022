"""The contract of every store besides documents: Events, Samples, Changes, Lease, and the Store itself."""

import math
import select
import time

import pytest

from state.documents import Event, Intent, IntentKind, PoolRecord, Resource, Ticket, TicketState
from state.errors import LockTimeout
from state.sample import Sample, Use
from state.store import Batch, Contents, Position, Put, Store, Update
from tests.state.contract.conftest import Reopen

DAY = 86400.0
NOON = 20_000 * DAY + DAY / 2


def make(number: int) -> Ticket:
    return Ticket(id=number)


def an_event(number: int, at: float = NOON) -> Event:
    return Event(at=at, kind="ticket", n=1, event="taken", ticket=number, actor="client")


def forwards(store: Store, after: Position, needle: bytes = b"") -> list[int | None]:
    lines = [line for piece in store.events.forwards(after, needle) for line in piece.lines]
    return [event.ticket for line in lines if (event := line.event()) is not None]


def backwards(store: Store, needle: bytes = b"", before: Position | None = None) -> list[int | None]:
    lines = [line for piece in store.events.backwards(needle, before) for line in piece.lines]
    return [event.ticket for line in lines if (event := line.event()) is not None]


class TestEvents:
    def test_events_are_read_in_both_directions(self, store: Store, reopen: Reopen) -> None:
        start = store.events.end()
        store.events.append([an_event(1), an_event(2)], NOON)
        store.events.append([an_event(3)], NOON + DAY)
        store.events.sync()
        assert forwards(reopen(), start) == [1, 2, 3]
        assert backwards(reopen()) == [3, 2, 1]
        assert store.events.recover() is None

    def test_reading_continues_at_the_position_of_an_event(self, store: Store) -> None:
        store.events.append([an_event(number) for number in (1, 2, 3)], NOON)
        (piece,) = store.events.forwards(Position.at(-math.inf))
        first, second, third = piece.lines
        assert forwards(store, first.end) == [2, 3]
        assert backwards(store, before=third.start) == [2, 1]
        assert forwards(store, store.events.end()) == []
        assert Position.parse(str(second.end)) == second.end

    def test_a_time_is_a_position_before_the_events_since_then(self, store: Store) -> None:
        for number, day in ((1, 0), (2, 1), (3, 2)):
            store.events.append([an_event(number, NOON + day * DAY)], NOON + day * DAY)
        assert forwards(store, Position.at(NOON + DAY)) == [2, 3]
        assert backwards(store, before=Position.at(NOON + DAY)) == [1]
        assert Position.at(-math.inf) < Position.at(NOON) < store.events.end() < Position.at(math.inf)

    def test_only_lines_with_the_needle_are_read(self, store: Store) -> None:
        store.events.append([an_event(1), an_event(22)], NOON)
        assert forwards(store, Position.at(0), b'"ticket":22') == backwards(store, b'"ticket":22') == [22]

    def test_old_days_are_removed(self, store: Store) -> None:
        for day in (0, 1, 2):
            store.events.append([an_event(day, NOON + day * DAY)], NOON + day * DAY)
        assert store.events.thin_out(NOON + 2 * DAY) == 2
        assert backwards(store) == [2]


class TestSamples:
    def test_samples_are_read_by_time_and_the_same_object_while_none_is_added(self, store: Store) -> None:
        for at in (1.0, 3.0, 2.0):
            store.samples.add("p", Sample(at=at, max=4))
        assert store.samples.read("p") == tuple(Sample(at=at, max=4) for at in (1.0, 2.0, 3.0))
        assert store.samples.read("p") is store.samples.read("p")
        assert store.samples.read_use("p")[0] == Use(1.0, 4)
        assert store.samples.read("other") == ()

    def test_a_new_sample_changes_the_stamp(self, store: Store) -> None:
        assert store.samples.stamp("p") is None
        store.samples.add("p", Sample(at=1.0))
        stamp = store.samples.stamp("p")
        assert store.samples.stamp("p") == stamp
        store.samples.add("p", Sample(at=2.0))
        assert store.samples.stamp("p") not in (None, stamp)


class TestChanges:
    def test_changes_are_keys_by_kind(self, store: Store, reopen: Reopen) -> None:
        changes = store.changes("tickets", "intents", "pools")
        other = reopen()
        other.tickets.create(make)
        other.intents.create(lambda number: Intent(id=number, kind=IntentKind.PAUSE_POOL, pool="p"))
        other.commit(Batch([Put(PoolRecord(name="p")), Put(Resource(id=4, name="r", pool="p"))]))
        assert changes.wait(5) == {"tickets": {1}, "intents": {1}, "pools": {"p"}}
        assert changes.wait(0) == {}
        other.tickets.update(1, lambda ticket: ticket.replace(sandbox="s"))
        assert changes.wait(5) == {"tickets": {1}}
        other.tickets.archive_all([1])
        assert changes.wait(5) == {"tickets": {1}}
        changes.close()

    def test_of_its_own_kinds_the_leader_learns_nothing_that_it_wrote(self, store: Store) -> None:
        changes = store.changes("tickets", own=("resources",))
        store.commit(Batch([Put(Resource(id=4, name="r", pool="p"))]))
        assert changes.wait(0) == {}
        changes.close()

    def test_a_change_makes_the_descriptor_readable_until_it_is_read(self, store: Store) -> None:
        changes = store.changes("tickets")
        assert select.select([changes.fileno()], [], [], 0)[0] == []
        store.tickets.create(make)
        assert select.select([changes.fileno()], [], [], 5)[0] == [changes.fileno()]
        changes.wait(0)
        assert select.select([changes.fileno()], [], [], 0)[0] == []
        changes.close()


class TestLease:
    def test_one_process_leads_until_it_releases_the_role(self, store: Store, reopen: Reopen) -> None:
        lease, other = store.lead(), reopen().lead()
        assert not store.has_leader()
        lease.acquire()
        assert reopen().has_leader()
        assert lease.held_until() > time.monotonic()
        with pytest.raises(LockTimeout):
            other.acquire()
        lease.release()
        assert lease.held_until() < time.monotonic()
        term = lease.term
        other.acquire()
        assert other.term >= term
        other.release()
        assert not store.has_leader()


class TestStore:
    def test_a_batch_is_read_back_whole(self, store: Store, reopen: Reopen) -> None:
        resource, record = Resource(id=1, name="r", pool="p"), PoolRecord(name="p")
        ticket = store.tickets.create(make)
        granted = ticket.replace(resource=1)
        assert store.commit(Batch([Put(resource), Put(record), Update(ticket, granted)])) == []
        assert reopen().read_all() == Contents(tickets=[granted], resources=[resource], records=[record])

    def test_an_update_of_a_ticket_that_changed_is_a_conflict_and_the_rest_is_written(self, store: Store) -> None:
        first, second = store.tickets.create(make), store.tickets.create(make)
        store.tickets.update(1, lambda ticket: ticket.replace(state=TicketState.CLOSED))
        updates = [Update(ticket, ticket.replace(resource=9)) for ticket in (first, second)]
        assert store.commit(Batch(updates)) == [first]
        assert [store.tickets.read(number).resource for number in (1, 2)] == [None, 9]

    def test_what_is_shown_is_read_once_per_stamp(self, store: Store, reopen: Reopen) -> None:
        assert store.shown("pools.json") is None
        store.show("pools.json", b"one")
        shown = reopen().shown("pools.json")
        assert shown is not None
        assert shown.content == b"one"
        again = store.shown("pools.json", shown.stamp)
        assert again is not None
        assert again.content is None
        store.show("pools.json", b"two!")
        changed = store.shown("pools.json", shown.stamp)
        assert changed is not None
        assert (changed.content, changed.stamp != shown.stamp) == (b"two!", True)

    def test_a_survey_finds_the_documents_and_nothing_wrong(self, store: Store) -> None:
        store.check_writable()
        ticket = store.tickets.create(make)
        survey = store.survey(time.time())
        assert list(survey.tickets.values()) == [ticket]
        assert (survey.corrupt, survey.wrong, survey.is_forgotten("tickets", 1)) == ({}, {}, False)
