"""The contract of every store for documents: Documents, Numbered, Finished and Keys."""

import pytest

from state.documents import Agent, Intent, IntentKind, PoolRecord, Resource, Ticket, TicketState
from state.errors import Conflict, NotFound
from state.store import Batch, Change, Create, Put, Read, Store
from tests.state.contract.conftest import Reopen


def make(number: int) -> Ticket:
    return Ticket(id=number, tags=("a",))


def make_intent(number: int) -> Intent:
    return Intent(id=number, kind=IntentKind.PAUSE_POOL, pool="p")


def close(ticket: Ticket) -> Ticket:
    return ticket.replace(state=TicketState.CLOSED)


class TestDocuments:
    def test_a_document_is_read_by_its_key_in_every_process(self, store: Store, reopen: Reopen) -> None:
        record = PoolRecord(name="p", options={"max": 3})
        store.commit(Batch([Put(record)]))
        assert (store.pools.get("p"), reopen().pools.read("p")) == (record, record)
        assert list(store.pools.living()) == ["p"]

    def test_a_missing_document_is_none_or_not_found(self, store: Store) -> None:
        assert store.pools.get("p") is None
        with pytest.raises(NotFound) as caught:
            store.tickets.read(7)
        assert (caught.value.kind, caught.value.key) == ("ticket", 7)

    def test_fields_of_a_newer_version_are_kept(self, store: Store, reopen: Reopen) -> None:
        store.commit(Batch([Put(Ticket(id=1, unknown={"priority": 3}))]))
        reopen().tickets.update(1, close)
        assert store.tickets.read(1).unknown == {"priority": 3}

    def test_all_is_in_order_and_the_same_object_while_nothing_changes(self, store: Store) -> None:
        for _ in range(11):
            store.tickets.create(make)
        found = store.tickets.all()
        assert [ticket.id for ticket in found] == list(range(1, 12))
        assert store.tickets.all() is found
        store.tickets.update(2, close)
        store.tickets.archive_all([3])
        again = store.tickets.all()
        assert [ticket.id for ticket in again] == [1, 2, *range(4, 12)]
        assert again[1].state is TicketState.CLOSED

    def test_a_place_names_one_document(self, store: Store) -> None:
        places = {store.tickets.place(1), store.tickets.place(2), store.resources.place(1), store.pools.place("1")}
        assert len(places) == 4


class TestNumbered:
    def test_numbers_are_assigned_in_order_in_all_processes(self, store: Store, reopen: Reopen) -> None:
        assert [store.tickets.create(make).id, reopen().tickets.create(make).id, store.tickets.create(make).id] == [
            1,
            2,
            3,
        ]

    def test_reserved_numbers_are_assigned_to_no_other(self, store: Store, reopen: Reopen) -> None:
        assert list(store.resources.reserve(3)) == [1, 2, 3]
        assert list(reopen().resources.reserve(1)) == [4]
        assert store.tickets.create(make).id == 1

    def test_a_document_with_a_reserved_number_is_written_once(self, store: Store) -> None:
        (number,) = store.tickets.reserve(1)
        assert store.tickets.create_reserved(make(number))
        assert not store.tickets.create_reserved(make(number).replace(sandbox="other"))
        assert store.tickets.read(number).sandbox is None

    def test_several_are_created_at_once(self, store: Store, reopen: Reopen) -> None:
        assert [intent.id for intent in store.intents.create_all([make_intent] * 3)] == [1, 2, 3]
        assert sorted(reopen().intents.living()) == [1, 2, 3]
        assert store.intents.create_all([]) == []

    def test_removed_intents_and_agents_are_gone(self, store: Store) -> None:
        intent = store.intents.create(make_intent)
        store.commit(Batch([Put(Agent(id=5, group="g"))]))
        store.commit(Batch(removed_intents=[intent.id], removed_agents=[5]))
        assert (store.intents.get(intent.id), store.agents.get(5)) == (None, None)


class TestFinished:
    def test_an_update_is_seen_by_all_and_may_change_nothing(self, store: Store, reopen: Reopen) -> None:
        store.tickets.create(make)
        closed = store.tickets.update(1, close)
        assert reopen().tickets.read(1) == closed
        assert store.tickets.update(1, lambda same: same) == closed
        with pytest.raises(NotFound):
            store.tickets.update(2, close)

    def test_what_a_change_raises_is_raised_and_nothing_is_written(self, store: Store) -> None:
        store.tickets.create(make)

        def refuse(ticket: Ticket) -> Ticket:
            raise Conflict("ticket", ticket.id, "no")

        with pytest.raises(Conflict, match="no"):
            store.tickets.update(1, refuse)
        assert store.tickets.read(1) == make(1)

    def test_calls_of_a_batch_have_their_own_results_and_errors(self, store: Store) -> None:
        store.tickets.create(make)
        created, changed, missing, read = store.tickets.do_all([Create(make), Change(1, close), Read(9), Read(1)])
        assert (created, changed) == (make(2), close(make(1)))
        assert isinstance(missing, NotFound)
        assert read in (make(1), close(make(1)))

    def test_archived_documents_are_read_but_no_longer_living(self, store: Store, reopen: Reopen) -> None:
        store.commit(Batch([Put(close(make(number))) for number in (1, 2, 1500)]))
        assert store.tickets.archive_all([1, 1500]) == ({1, 1500}, {})
        assert store.tickets.archive_all([1]) == ({1}, {})
        assert list(store.tickets.living()) == [2]
        assert sorted(store.tickets.archived()) == [1, 1500]
        assert reopen().tickets.read(1500) == close(make(1500))
        assert store.tickets.read_durable(1) == close(make(1))
        assert store.tickets.read_with_durability(1)[0] == close(make(1))

    def test_finished_documents_since_a_time_come_with_high_numbers_first(self, store: Store) -> None:
        store.commit(Batch([Put(Resource(id=number, name=f"r{number}", pool="p")) for number in (3, 1, 2)]))
        store.resources.archive_all([1, 2, 3])
        assert [resource.id for resource in store.resources.finished_since(0.0)] == [3, 2, 1]
        assert list(store.resources.finished_since(2e10)) == []

    def test_finished_documents_are_removed_after_their_retention_but_for_the_newest(self, store: Store) -> None:
        store.commit(Batch([Put(close(make(number))) for number in (1, 1500)]))
        store.tickets.archive_all([1, 1500])
        assert store.sweep(2e10, ticket_retention=1.0, resource_retention=1.0).tickets == 1
        assert list(store.tickets.archived()) == [1500]


class TestKeys:
    def test_the_same_key_is_the_same_ticket(self, store: Store, reopen: Reopen) -> None:
        assert store.keys.create_once("k", "body", make) == (make(1), True)
        assert reopen().keys.create_once("k", "body", make) == (make(1), False)
        assert store.keys.create_once("other", "body", make) == (make(2), True)

    def test_another_body_is_a_conflict(self, store: Store) -> None:
        store.keys.create_once("k", "body", make)
        with pytest.raises(Conflict) as caught:
            store.keys.create_once("k", "another", make)
        assert caught.value.key == 1

    def test_old_keys_are_forgotten_step_by_step(self, store: Store) -> None:
        store.keys.create_once("k", "body", make)
        assert set(store.keys.forget_before(0.0)) <= {None}
        assert store.keys.create_once("k", "body", make) == (make(1), False)
        assert list(store.keys.forget_before(2e10)) == [None]
        assert store.keys.create_once("k", "body", make) == (make(2), True)
