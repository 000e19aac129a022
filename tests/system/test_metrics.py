"""`/metrics` of a real server: two workers, of which one is replaced, and a scheduler that is started anew."""

import os
import signal

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from tests.system.farm import Farm, children_of
from tests.waiting import until

POOL = "p: {max: 2, max_prealloc: 2, max_starting: 2, cmd_new: echo 1, cmd_delete: 'true', tags: [x]}"
OPENMETRICS = "Accept: application/openmetrics-text; version=1.0.0"


def scrape(farm: Farm) -> dict[tuple[str, ...], float]:
    """All samples by name and label values; fails when it is not valid OpenMetrics."""
    text = farm.curl("-H", OPENMETRICS, "/metrics").decode()
    found: dict[tuple[str, ...], float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            assert (sample.name, *sample.labels.values()) not in found
            found[sample.name, *sample.labels.values()] = sample.value
    return found


def reads(farm: Farm) -> float:
    """The number of reads of tickets that were counted."""
    return scrape(farm).get(("resalloc_http_requests_total", "GET /tickets", "2xx"), 0)


def test_requests_are_counted_over_all_workers_and_the_end_of_one_loses_none(farm: Farm) -> None:
    farm.set_server("workers: 2\n")
    farm.set_pools(POOL)
    farm.start_web()
    for _ in range(30):
        farm.curl("/tickets")
    assert [reads(farm) for _ in range(10)] == [30] * 10
    workers = until(lambda: len(found := children_of(farm.pid("web"))) == 2 and found, what="two workers")
    for victim in workers:
        os.kill(victim, signal.SIGKILL)
        until(lambda v=victim: v not in (now := children_of(farm.pid("web"))) and len(now) == 2, what="another worker")
    for _ in range(30):
        farm.curl("/tickets")
    assert [reads(farm) for _ in range(10)] == [60] * 10


@pytest.mark.thorough
def test_a_reload_keeps_the_counts(farm: Farm) -> None:
    farm.set_server("workers: 2\n")
    farm.start_web()
    workers = until(lambda: len(found := children_of(farm.pid("web"))) == 2 and found, what="two workers")
    for _ in range(5):
        farm.curl("/tickets")
    os.kill(farm.pid("web"), signal.SIGHUP)
    until(lambda: not {*workers} & {*children_of(farm.pid("web"))}, what="new workers")
    assert reads(farm) == 5


@pytest.mark.thorough
def test_what_the_scheduler_counts_arrives_and_begins_anew_with_it(farm: Farm) -> None:
    farm.set_server("workers: 2\n")
    farm.set_pools(POOL)
    farm.start()
    until(lambda: len(farm.up()) == 2, what="two resources")
    ticket = farm.take("x")
    farm.wait(ticket)
    waits = ("resalloc_ticket_wait_seconds_count", "p")
    until(lambda: scrape(farm)[waits] == 1, what="the grant")
    found = until(
        lambda: (
            (now := scrape(farm))["resalloc_pool_resources", "p", "taken"] == 1
            and now["resalloc_pool_resources", "p", "ready"] == 1
            and now
        ),
        what="the gauges",
    )
    assert found["resalloc_leader",] == 1
    assert found["resalloc_hook_seconds_count", "alloc", "ok"] == 2
    assert found["resalloc_start_seconds_count", "p"] == 2
    assert found["resalloc_tickets_waiting", "other"] == 0

    farm.kill("scheduler")
    until(lambda: scrape(farm)["resalloc_leader",] == 0, what="the end of the lead")
    assert scrape(farm)[waits] == 1

    farm.start_scheduler()
    until(lambda: scrape(farm)[waits] == 0, what="new counts")
    again = scrape(farm)
    assert again["resalloc_leader",] == 1
    assert again["resalloc_pool_resources", "p", "taken"] == 1
    assert again["resalloc_leader_since_timestamp_seconds",] > found["resalloc_leader_since_timestamp_seconds",]


@pytest.mark.thorough
def test_names_of_tags_are_bounded_whatever_clients_ask_for(farm: Farm) -> None:
    farm.set_pools(POOL)
    farm.start()
    for number in range(40):
        farm.take(f"made-up-{number}")
    until(lambda: scrape(farm)["resalloc_tickets_waiting", "other"] == 40, what="the tickets")
    found = scrape(farm)
    assert [key for key in found if key[0] == "resalloc_tickets_waiting"] == [("resalloc_tickets_waiting", "other")]
    assert found["resalloc_queue_age_seconds", "other"] > 0
