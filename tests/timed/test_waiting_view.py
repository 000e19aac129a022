"""The leader's view of waiting tickets is what the web functions read."""

from pathlib import Path

from functions.leader_view import Leader, View
from functions.policy.waits.explain import explain
from functions.policy.waits.sentences import why_briefly
from functions.timed.waiting_view import show
from tests.timed.world import World

POOLS = """
vms: {max: 1, max_prealloc: 1, cmd_new: 'true', cmd_delete: 'true', cmd_release: sleep 60, tags: [a, b],
      reuse_opportunity_time: 60}
big: {cmd_new: 'true', cmd_delete: 'true', tags_on_demand: [x], start_delay: 3600, max: 2}
"""


def test_a_reader_finds_every_waiting_ticket_with_its_case(tmp_path: Path) -> None:
    """Given tickets that wait for all kinds of reasons, when shown, then a reader finds each with its case."""
    world = World(tmp_path, POOLS)
    first = world.take("a", sandbox="mine")
    world.until(lambda: world.store.tickets.read(first.id).resource, "a resource")
    # The start of `big` for the first of these delays that for the second.
    waiting = [world.take(*tags, sandbox="mine") for tags in (("a",), ("a", "b"), ("x",), ("x",), ("a", "x"), ("c",))]
    world.close(first.id)
    world.until(lambda: [r.state for r in world.resources() if r.pool == "vms"] == ["RELEASING"], "the release")
    world.turn()

    show(world.leader, Leader(pid=1, since=1.0))

    shown = View(world.store).waiting()
    assert shown is not None
    explained = explain(world.leader.mirror.snapshot, shown.at)
    assert {frozenset(group.tags): list(group.ids) for group in shown.groups} == {
        tags: list(world.leader.mirror.snapshot.waiting[tags]) for tags in explained.cases
    }
    assert sum(len(group.ids) for group in shown.groups) >= len(waiting) - 1
    for group in shown.groups:
        expected, case = explained.cases[frozenset(group.tags)], shown.cases[group.case]
        assert [pool.pool for pool in case.pools] == [prospect.pool for prospect in expected.prospects]
        assert (case.missing, case.forecast, case.on_demand) == (
            expected.missing,
            expected.forecast,
            expected.on_demand,
        )
        assert not case.pools or case.brief == why_briefly(expected)
    assert ("a",) in {own.tags for own in shown.own}
    assert {own.sentence for own in shown.own} == {"1 resource of its own sandbox is being released"}
