"""The Grafana dashboard and the alert rules use only series that `/metrics` has.

docs/monitoring.md lists these series, which test_monitoring.py compares with a real server.
"""

import functools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

from functions.web.request_counts import CLASSES
from state.documents import PoolMode

ROOT = Path(__file__).parents[2]
DASHBOARD = json.loads((ROOT / "config" / "grafana" / "resalloc-dashboard.json").read_text())
RULES = yaml.safe_load((ROOT / "config" / "prometheus-alerts.yaml").read_text())["groups"][0]["rules"]
TEXT = (ROOT / "docs" / "monitoring.md").read_text()
TARGET = {"instance", "job"}
"""Labels that Prometheus adds."""
VALUES = {
    "state": {"ready", "taken", "starting", "releasing", "delete_requested", "deleting"},
    "kind": {"alloc", "watch", "release", "terminate", "list", "agent"},
    "status": set(CLASSES),
    "mode": {mode.lower() for mode in PoolMode},
}


@functools.cache
def known_series() -> dict[str, set[str]]:
    """The labels of each series; `up` is made by Prometheus itself."""
    series: dict[str, set[str]] = {"up": TARGET}
    for name, kind, labels in re.findall(r"^\| `(resalloc_\w+)` \| (\w+) \| (.*?) ?\|", TEXT, re.MULTILINE):
        known = set(re.findall(r"`(\w+)`", labels)) | TARGET
        if kind == "histogram":
            series |= {f"{name}_bucket": known | {"le"}, f"{name}_sum": known, f"{name}_count": known}
        else:
            series[name] = known
    return series


def parts(expression: Any) -> Iterator[Any]:
    """An expression and all its parts."""
    yield expression
    for name in ("lhs", "rhs", "expr", "param", "vector_selector"):
        part = getattr(expression, name, None)
        if part is not None:
            yield from parts(part)
    for part in getattr(expression, "args", ()):
        yield from parts(part)


def faults(query: str) -> list[str]:
    """The unknown series, labels and values in a query."""
    series = known_series()
    found = []
    labels: set[str] = set()
    for part in parts(promql_parser.parse(query.replace("$__rate_interval", "5m"))):
        if isinstance(part, promql_parser.VectorSelector):
            if part.name not in series:
                found.append(f"there is no {part.name}")
                continue
            labels |= series[part.name]
            for matcher in part.matchers.matchers:
                if matcher.name not in series[part.name]:
                    found.append(f"{part.name} has no label {matcher.name}")
                if matcher.name in VALUES and not set(matcher.value.split("|")) <= VALUES[matcher.name]:
                    found.append(f"{part.name} has no {matcher.name} {matcher.value}")
    for part in parts(promql_parser.parse(query.replace("$__rate_interval", "5m"))):
        modifier = getattr(part, "modifier", None)
        grouping = getattr(modifier, "labels", None) or getattr(getattr(modifier, "matching", None), "labels", [])
        found += [f"nothing in it has the label {label}" for label in grouping if label not in labels]
    return found


def labels_of(part: Any) -> set[str] | None:
    """The labels of the result of an expression; None for a number. Fails on two sides that never match."""
    match part:
        case promql_parser.NumberLiteral():
            return None
        case promql_parser.VectorSelector():
            return known_series()[part.name]
        case promql_parser.MatrixSelector():
            return known_series()[part.vector_selector.name]
        case promql_parser.AggregateExpr():
            inner = labels_of(part.expr)
            # topk and the like keep all labels, other aggregations only those that they group by.
            return inner if part.param else set(part.modifier.labels if part.modifier else ())
        case promql_parser.BinaryExpr():
            left, right = labels_of(part.lhs), labels_of(part.rhs)
            if left is not None and right is not None and str(part.op) != "or":
                matching = part.modifier.matching if part.modifier else None
                assert left == right if matching is None else set(matching.labels) <= left & right, part.prettify()
            return left if left is not None else right
        case promql_parser.ParenExpr():
            return labels_of(part.expr)
        case promql_parser.Call() if part.func.name == "absent":
            # The result has only the labels of its matchers.
            return {one.name for one in part.args[0].matchers.matchers if one.op == promql_parser.MatchOp.Equal}
        case promql_parser.Call():
            inner = [labels_of(argument) for argument in part.args]
            return next((found for found in inner if found is not None), None)
    raise AssertionError(f"not known here: {part.prettify()}")


def queries() -> list[str]:
    panels = [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", ())]
    return panels + [rule["expr"] for rule in RULES]


def test_queries_use_only_existing_series():
    wrong = {query: found for query in queries() if (found := faults(query))}
    assert wrong == {}
    for query in queries():
        labels_of(promql_parser.parse(query.replace("$__rate_interval", "5m")))


def test_two_sides_that_never_match_are_found():
    with pytest.raises(AssertionError):
        labels_of(promql_parser.parse("resalloc_pool_livecheck_failing > sum by (pool) (resalloc_pool_resources)"))


def test_unknown_series_labels_and_values_are_found():
    wrong = 'sum by (pol) (rate(resalloc_hook_failures_total{kid="x", kind="start"}[5m])) / resalloc_nothing'
    assert faults(wrong) == [
        "resalloc_hook_failures_total has no label kid",
        "resalloc_hook_failures_total has no kind start",
        "there is no resalloc_nothing",
        "nothing in it has the label pol",
    ]


def test_the_variables_of_the_dashboard_use_existing_labels():
    exists = {}
    for variable in DASHBOARD["templating"]["list"]:
        if variable["type"] == "query":
            query = variable["query"]["query"]
            metric, label = re.fullmatch(r"label_values\((\w+)(?:\{.*\})?, (\w+)\)", query).groups()
            exists[variable["name"]] = label in known_series()[metric]
    assert exists == {"instance": True, "pool": True}


def test_panels_do_not_overlap_and_use_the_chosen_data_source():
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
        assert panel["type"] == "row" or panel["datasource"]["uid"] == "${datasource}"


def test_alerts_are_complete_and_their_texts_use_existing_labels():
    for rule in RULES:
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}, rule["alert"]
        assert rule["labels"]["severity"] in ("critical", "warning", "info"), rule["alert"]
        texts = rule["annotations"]["summary"] + rule["annotations"]["description"]
        labels = set[str]()
        for part in parts(promql_parser.parse(rule["expr"])):
            if isinstance(part, promql_parser.VectorSelector):
                labels |= known_series()[part.name]
        assert set(re.findall(r"\$labels\.(\w+)", texts)) <= labels, rule["alert"]


def test_each_alert_is_about_one_server():
    """Given several servers, when one of them has a problem, then the alert names it."""
    for rule in RULES:
        assert "instance" in (labels_of(promql_parser.parse(rule["expr"])) or ()), rule["alert"]


def test_an_alert_about_a_pool_does_not_depend_on_other_pools():
    """Given several pools, when one of them has a problem, then the other pools do not hide it."""
    for rule in RULES:
        whole = promql_parser.parse(rule["expr"])
        if "pool" not in labels_of(whole):
            continue
        for part in parts(whole):
            if isinstance(part, promql_parser.BinaryExpr) and None not in (labels_of(part.lhs), labels_of(part.rhs)):
                matching = part.modifier.matching if part.modifier else None
                labels = labels_of(part.lhs) if matching is None else matching.labels
                assert "pool" in labels, f"{rule['alert']}: {part.prettify()}"


def test_every_alert_is_documented():
    assert re.findall(r"^\| `(Resalloc\w+)` \|", TEXT, re.MULTILINE) == [rule["alert"] for rule in RULES]
