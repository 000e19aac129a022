"""Cleanup: unknown resources, retention, leftovers."""

from pathlib import Path

import pytest

from config.pools import Pool
from functions.timed.cleanup import LIST_PERIOD, cleanup, fits_pattern, start_lists, unknown_names
from state.documents import HookKind, TicketState
from tests.timed.world import World

LISTING = """
listed:
  max: 1
  max_prealloc: 1
  cmd_new: 'true'
  cmd_delete: 'env | grep ^RESALLOC_ | sort >> ../deleted'
  cmd_list: 'env | grep ^RESALLOC_ | sort > ../list-environment; cat ../exists'
"""


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path, LISTING)
    world.until(lambda: [resource.state for resource in world.resources()] == ["UP"], "a resource")
    return world


def list_now(world: World) -> None:
    """Let the time of the next list come, and the list and all that follows end."""
    world.ahead += LIST_PERIOD + 1
    start_lists(world.leader, world.unknown)
    world.until(lambda: not world.hooks.under_way(), "the end of the list")


def test_an_unknown_name_is_deleted_by_cmd_delete(world: World) -> None:
    (world.folder / "exists").write_text(f"{world.resources()[0].name} listed_00000077_20200101_000000\n")
    list_now(world)
    assert (world.folder / "deleted").read_text() == (
        "RESALLOC_ID=0\n"
        "RESALLOC_ID_IN_POOL=None\n"
        "RESALLOC_NAME=listed_00000077_20200101_000000\n"
        "RESALLOC_POOL_ID=listed\n"
    )
    assert (world.folder / "list-environment").read_text() == (
        "RESALLOC_ID=0\nRESALLOC_ID_IN_POOL=None\nRESALLOC_NAME=None\nRESALLOC_POOL_ID=listed\n"
    )
    assert world.log("000000_list").split()[1] == "listed_00000077_20200101_000000"


def test_the_first_list_comes_half_an_hour_after_the_pool_was_first_seen(world: World) -> None:
    (world.folder / "exists").write_text("")
    due = start_lists(world.leader, world.unknown)
    assert due == world.leader.mirror.snapshot.records["listed"].first_seen_at + 1800
    assert not world.hooks.under_way(HookKind.LIST)
    list_now(world)
    assert (world.folder / "list-environment").exists()


def test_the_time_of_the_next_list_survives_a_restart(world: World) -> None:
    (world.folder / "exists").write_text("")
    list_now(world)
    listed_at = world.leader.mirror.snapshot.records["listed"].last_list_at
    world.restart()
    world.turn()
    assert start_lists(world.leader, world.unknown) == (listed_at or 0) + 1800


def test_a_failed_list_deletes_nothing(world: World) -> None:
    (world.config / "pools.yaml").write_text(LISTING.replace("cat ../exists", "cat ../exists; exit 1"))
    (world.folder / "exists").write_text("listed_00000077_20200101_000000\n")
    world.turn()
    list_now(world)
    assert not (world.folder / "deleted").exists()


def test_a_list_that_took_too_long_deletes_nothing(world: World) -> None:
    slow = LISTING.replace("cat ../exists'", "cat ../exists; sleep 60'\n  cmd_list_timeout: 1")
    (world.config / "pools.yaml").write_text(slow)
    (world.folder / "exists").write_text("listed_00000077_20200101_000000\n")
    world.turn()
    list_now(world)
    assert not (world.folder / "deleted").exists()


def test_an_unknown_name_that_does_not_fit_the_pattern_is_kept_and_logged_once(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    (world.folder / "exists").write_text("somebody-elses\n")
    list_now(world)
    list_now(world)
    assert not (world.folder / "deleted").exists()
    assert caplog.text.count("somebody-elses") == 1


def test_a_pool_may_ask_for_the_deletion_of_any_name(world: World) -> None:
    (world.config / "pools.yaml").write_text(LISTING + "  delete_any_unknown: true\n")
    (world.folder / "exists").write_text("somebody-elses\n")
    world.turn()
    list_now(world)
    assert "RESALLOC_NAME=somebody-elses\n" in (world.folder / "deleted").read_text()


def test_nothing_is_cleaned_while_a_resource_document_is_in_quarantine(world: World) -> None:
    (world.folder / "exists").write_text("listed_00000077_20200101_000000\n")
    world.store.resources.path(1).write_text("{")
    world.restart()
    list_now(world)
    assert not (world.folder / "deleted").exists()


@pytest.mark.parametrize(
    ("name", "fits"),
    [
        ("p.x_00000001_20260102_030405", True),
        ("p.x_123456789_20260102_030405", True),
        ("p.x_0000001_20260102_030405", False),
        ("pyx_00000001_20260102_030405", False),
        ("p.x_00000001_20260102_030405-copy", False),
        ("", False),
    ],
)
def test_names_fit_the_pattern_of_their_pool(name: str, fits: bool) -> None:
    assert fits_pattern(name, Pool(name="p.x", cmd_new="", cmd_delete="")) is fits


def test_braces_of_a_pattern_are_braces_of_the_name() -> None:
    pool = Pool(name="p", cmd_new="", cmd_delete="", name_pattern="{{{pool_name}}}-{id}")
    assert fits_pattern("{p}-00000001", pool)


def test_unknown_names_come_once_in_their_order() -> None:
    assert unknown_names(b"b a\n\tb known\n", {"known"}) == ["b", "a"]


def test_failed_tickets_that_are_never_closed_are_settled_after_the_retention(world: World) -> None:
    ticket = world.take().id
    world.until(lambda: not world.leader.mirror.snapshot.tickets[ticket].waiting, "the assignment")
    failed = world.store.tickets.update(
        ticket, lambda found: found.replace(state=TicketState.FAILED, failed_at=world.clock(), reason="died")
    )
    world.turn()
    cleanup(world.leader, world.unknown)
    assert world.store.tickets.get(ticket) == failed
    world.ahead += world.settings.ticket_retention + 1
    cleanup(world.leader, world.unknown)
    world.turn()
    assert world.store.tickets.get(ticket) is None
    assert world.store.tickets.read(ticket).reason == "died"


def test_a_pool_records_how_long_tickets_keep_its_resources(world: World) -> None:
    """Given a ticket that was closed after a minute, when cleanup comes, then its pool's average is in the file."""
    ticket = world.take()
    world.until(lambda: world.store.tickets.read(ticket.id).resource, "the resource")
    world.ahead += 60
    world.close(ticket.id)
    world.until(lambda: ticket.id not in world.leader.mirror.snapshot.tickets, "the end of the ticket")
    assert world.store.pools.read("listed").taken_samples == 0
    cleanup(world.leader, world.unknown)
    cleanup(world.leader, world.unknown)
    record = world.store.pools.read("listed")
    assert record.taken_samples == 1
    assert record.taken_time_avg == pytest.approx(60, abs=15)
    assert record == world.leader.mirror.snapshot.records["listed"]
