"""Metrics for Prometheus: `GET /metrics`. What the leader shows, whether one leads, and the replies of all workers."""

from collections.abc import Iterator

from flask import Response, request
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from functions.policy.waits.demand import OTHER
from functions.web.context import Context, current
from functions.web.request_counts import ROUTE
from functions.web.requests import NoFields, parse_query

NO_ROUTE = "none"
"""The route name of requests that match no route."""


def report() -> Response:
    """200 with all metrics, in the format that the `Accept` header asks for."""
    parse_query(NoFields)
    registry = CollectorRegistry()
    registry.register(_Collected(current()))
    content, content_type = _encoded(registry, request.headers.get("Accept", ""))
    return Response(content, 200, content_type=content_type)


def route(method: str, path: str) -> str:
    """The name of a route in metrics: `GET /tickets/{ticket_id}`."""
    return f"{method} {path.replace('<', '{').replace('>', '}')}"


def note_route() -> None:
    """Note the route of this request, by which its reply is counted; runs before each request."""
    request.environ[ROUTE] = request.endpoint


def _encoded(registry: CollectorRegistry, accept: str) -> tuple[bytes, str]:
    try:
        encode, content_type = choose_encoder(accept)
        return encode(registry), content_type
    except (TypeError, ValueError):
        # The library fails on Accept headers with versions that are not numbers and the like.
        return _encoded(registry, "")


class _Collected(Collector):
    def __init__(self, context: Context) -> None:
        self._context = context

    def describe(self) -> Iterator[Metric]:
        """No metrics: the registry need not check for duplicate names."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        context = self._context
        yield GaugeMetricFamily(
            "resalloc_leader", "1 while a scheduler is the leader, else 0.", 1.0 if context.view.has_leader() else 0.0
        )
        shown = context.view.metrics()
        if shown is not None:
            for family in shown.families:
                metric = Metric(family.name, family.help, family.type)
                metric.samples = [Sample(*sample) for sample in family.samples]
                yield metric
            yield self._queue_age(shown.oldest)
        yield self._requests()

    def _queue_age(self, oldest: dict[str, float]) -> Metric:
        """The ages as of now: what the leader shows may be as old as its last pass."""
        family = GaugeMetricFamily(
            "resalloc_queue_age_seconds", "Age of the oldest ticket that waits for these tags.", labels=("tags",)
        )
        now = self._context.clock()
        for tags, taken_at in ({OTHER: now} | oldest).items():
            family.add_metric((tags,), max(0.0, now - taken_at))
        return family

    def _requests(self) -> Metric:
        family = CounterMetricFamily(
            "resalloc_http_requests", "HTTP replies by route and status class.", labels=("route", "status")
        )
        for route, status, count in self._context.request_counts.read():
            family.add_metric((route, status), count)
        return family
