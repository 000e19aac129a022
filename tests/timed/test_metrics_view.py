"""The leader's metrics for Prometheus, after real passes and hooks."""

from pathlib import Path
from typing import Any

from functions.policy.transitions.ticket import close_ticket
from functions.timed.metrics_view import metrics_view
from state.documents import PoolMode, Ticket
from tests.timed.world import World

POOL = "p: {max: 3, max_prealloc: 1, cmd_new: echo $RESALLOC_ID, cmd_delete: 'true', tags: [x]}"


def shown(world: World) -> dict[tuple[str, ...], float]:
    """The samples of the view, by name and label values."""
    found: dict[tuple[str, ...], float] = {}
    for _, _, _, samples in metrics_view(world.leader, 5.0).families:
        for name, labels, value in samples:
            assert (name, *labels.values()) not in found
            found[name, *labels.values()] = value
    return found


def start(folder: Path, pools: str = POOL, options: str = "") -> World:
    world = World(folder, pools, options)
    world.until(
        lambda: not world.snapshot.by_pool.starting and world.snapshot.resources,
        "the first start",
    )
    return world


def test_a_grant_is_counted_with_its_wait_and_its_start(tmp_path: Path) -> None:
    world = start(tmp_path)
    ticket = world.store.tickets.create(lambda number: _ticket(number, created_at=world.clock() - 30)).id
    world.until(lambda: world.store.tickets.read(ticket).resource, "the grant")
    found = shown(world)
    assert found["resalloc_ticket_wait_seconds_count", "p"] == 1
    assert found["resalloc_ticket_wait_seconds_bucket", "p", "15.0"] == 0
    assert found["resalloc_ticket_wait_seconds_bucket", "p", "60.0"] == 1
    assert found["resalloc_pool_resources", "p", "taken"] == 1
    assert found["resalloc_start_seconds_count", "p"] >= 1
    assert found["resalloc_hook_seconds_count", "alloc", "ok"] >= 1


def test_the_states_of_a_pool_add_up_to_its_resources(tmp_path: Path) -> None:
    world = start(tmp_path, "p: {max: 3, max_prealloc: 3, max_starting: 3, cmd_new: echo 1, cmd_delete: 'true'}")
    world.until(lambda: not world.snapshot.by_pool.starting and len(world.resources()) == 3, "three spares")
    found = shown(world)
    states = {key[2]: value for key, value in found.items() if key[:2] == ("resalloc_pool_resources", "p")}
    assert states.pop("ready") == 3
    assert set(states) == {"taken", "starting", "releasing", "delete_requested", "deleting"}
    assert set(states.values()) == {0}
    assert found["resalloc_pool_resources_max", "p"] == 3


def test_the_failed_starts_of_a_pool_are_shown(tmp_path: Path) -> None:
    world = World(tmp_path, "p: {max: 1, max_prealloc: 1, cmd_new: exit 3, cmd_delete: 'true'}")
    world.until(lambda: world.snapshot.records["p"].start_failures, "a failure")
    found = shown(world)
    assert found["resalloc_hook_failures_total", "p", "alloc"] == 1
    assert found["resalloc_hook_seconds_count", "alloc", "failed"] == 1
    assert found["resalloc_pool_start_failures", "p"] == 1
    assert found["resalloc_pool_paused_until_timestamp_seconds", "p"] > world.clock() - 60
    assert found["resalloc_start_seconds_count", "p"] == 0


def test_the_mode_of_a_pool_is_shown(tmp_path: Path) -> None:
    world = start(tmp_path)
    assert shown(world)["resalloc_pool_mode", "p", "active"] == 1
    world.leader.keep(world.snapshot.records["p"].replace(mode=PoolMode.DRAINING))
    found = shown(world)
    assert [found["resalloc_pool_mode", "p", mode] for mode in ("active", "paused", "draining")] == [0, 0, 1]


def test_resources_that_clients_called_bad_are_counted(tmp_path: Path) -> None:
    world = start(tmp_path)
    assert shown(world)["resalloc_resources_bad_total", "p"] == 0
    ticket = world.take("x").id
    world.until(lambda: world.store.tickets.read(ticket).resource, "the grant")
    world.store.tickets.update(ticket, lambda found: close_ticket(found, world.clock(), bad="no network"))
    world.until(lambda: shown(world)["resalloc_resources_bad_total", "p"] == 1, "the count")


def test_killed_hooks_and_failed_hooks_are_counted_separately(tmp_path: Path) -> None:
    pool = "p: {max: 1, max_prealloc: 1, cmd_new: sleep 60, cmd_new_timeout: 1, cmd_delete: 'true'}"
    world = World(tmp_path, pool)
    key = ("resalloc_hook_seconds_count", "alloc", "cut_off")
    world.until(lambda: shown(world).get(key), "a start that is cut off")


def test_an_abandoned_delete_is_counted(tmp_path: Path) -> None:
    pool = """
p: {max: 1, max_prealloc: 1, cmd_new: echo 1, cmd_delete: exit 1, delete_attempts: 1, tags: [x], cmd_livecheck: exit 1,
    livecheck_attempts: 1}
"""
    world = World(tmp_path, pool)
    world.take("x")
    world.until(lambda: shown(world)["resalloc_deletes_given_up_total", "p"], "the end of the delete")
    found = shown(world)
    assert found["resalloc_hook_failures_total", "p", "terminate"] >= 1
    assert found["resalloc_hook_failures_total", "p", "watch"] >= 1


def test_a_ticket_whose_resource_dies_is_counted(tmp_path: Path) -> None:
    world = start(tmp_path)
    ticket = world.take("x").id
    world.until(lambda: world.store.tickets.read(ticket).resource, "the grant")
    world.set_pools(POOL.replace("tags", "cmd_livecheck: exit 1, livecheck_attempts: 1, tags"))
    world.until(lambda: shown(world)["resalloc_tickets_failed_total", "p"] == 1, "the failure")


def test_waiting_tickets_are_counted_by_tags_and_unservable_ones_together(tmp_path: Path) -> None:
    world = start(tmp_path, "p: {max: 1, max_prealloc: 1, cmd_new: echo 1, cmd_delete: 'true', tags: [x, y]}")
    world.take("x")
    world.until(lambda: not world.leader.mirror.snapshot.waiting, "the grant")
    for tags in (("x",), ("y", "x"), ("x", "y"), ("z",), ("nonsense",)):
        world.store.tickets.create(lambda number, tags=tags: _ticket(number, tags, created_at=float(number)))
    world.turn()
    found = shown(world)
    waiting = {key[1]: value for key, value in found.items() if key[0] == "resalloc_tickets_waiting"}
    assert waiting == {"x": 1, "x,y": 2, "other": 2}
    assert metrics_view(world.leader, 5.0).oldest == {"x": 2.0, "x,y": 3.0, "other": 5.0}


def test_waiting_tickets_are_counted_for_each_pool_that_could_serve_them(tmp_path: Path) -> None:
    """Given a full pool, when tickets wait for another one, then none of them waits for the full one."""
    other = "q: {max: 1, max_prealloc: 0, cmd_new: echo 1, cmd_delete: 'true', tags: [z]}"
    world = start(tmp_path, f"p: {{max: 1, max_prealloc: 1, cmd_new: echo 1, cmd_delete: 'true', tags: [x]}}\n{other}")
    world.take("x")
    world.until(lambda: not world.leader.mirror.snapshot.waiting, "the grant")
    for tags in (("z",), ("z",), ("nonsense",)):
        world.take(*tags)
    world.turn()
    found = shown(world)
    assert found["resalloc_pool_resources", "p", "taken"] == found["resalloc_pool_resources_max", "p"] == 1
    waiting = {key[1]: value for key, value in found.items() if key[0] == "resalloc_pool_tickets_waiting"}
    assert waiting == {"p": 0, "q": 2}
    world.take("x")
    world.turn()
    assert shown(world)["resalloc_pool_tickets_waiting", "p"] == 1


def test_faults_and_corrupt_documents_are_counted(tmp_path: Path) -> None:
    world = start(tmp_path)
    assert (shown(world)["resalloc_config_faults",], shown(world)["resalloc_quarantined_documents",]) == (0, 0)
    world.set_pools("p: {max: none}")
    (world.store.root / "quarantine" / "tickets-open-9.1").write_text("?")
    world.turn()
    world.leader.check_quarantine()
    found = shown(world)
    assert found["resalloc_config_faults",] >= 1
    assert found["resalloc_quarantined_documents",] == 1
    assert found["resalloc_leader_since_timestamp_seconds",] == 5


def test_a_removed_pool_is_shown_while_it_has_resources(tmp_path: Path) -> None:
    world = start(tmp_path)
    world.take("x")
    world.until(lambda: not world.leader.mirror.snapshot.waiting, "the grant")
    world.set_pools("q: {max: 0, cmd_new: 'true', cmd_delete: 'true'}")
    world.until(lambda: "q" in world.leader.mirror.snapshot.pools, "the new file")
    found = shown(world)
    assert found["resalloc_pool_resources", "p", "taken"] == 1
    assert found["resalloc_pool_resources_max", "p"] == 0


def _ticket(number: int, tags: tuple[str, ...] = ("x",), **fields: Any) -> Ticket:
    return Ticket(id=number, tags=tags, **fields)
