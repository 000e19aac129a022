"""docs/monitoring.md names every metric with its type and labels, and no other."""

import json
import logging
import re
import subprocess
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from config.logs import JsonFormatter
from functions import logfields
from functions.app import create_app
from functions.timed import reconcile
from functions.timed.hook_runs import HookRun
from functions.timed.metrics_view import show_metrics
from state.documents import Agent, HookKind, Ticket
from tests.timed.world import World

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "monitoring.md").read_text()
POOL = """
p: {max: 2, max_prealloc: 1, cmd_new: echo 1, cmd_delete: 'true', cmd_livecheck: 'true', tags: [x],
    cmd_release: 'true', cmd_list: 'true'}
"""


def scraped(folder: Path) -> dict[str, tuple[str, frozenset[str]]]:
    """Type and labels of each metric of a server that has done each kind of work once."""
    world = World(folder, POOL)
    world.take("x")
    world.until(lambda: not world.leader.mirror.snapshot.waiting and world.leader.mirror.snapshot.tickets, "the grant")
    show_metrics(world.leader, 1.0)
    client = create_app(world.settings, world.store).test_client()
    client.get("/tickets")
    found = {}
    for family in text_string_to_metric_families(client.get("/metrics").text):
        name = family.name + ("_total" if family.type == "counter" else "")
        labels = frozenset(label for sample in family.samples for label in sample.labels) - {"le"}
        found[name] = (family.type, labels)
    return found


def test_every_metric_is_described_with_its_type_and_labels(tmp_path):
    rows = re.findall(r"^\| `(resalloc_\w+)` \| (\w+) \| (.*?) ?\|", TEXT, re.MULTILINE)
    described = {name: (kind, frozenset(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}
    assert len(described) == len(rows)
    assert described == scraped(tmp_path)


def test_the_example_of_readiness_is_the_reply(tmp_path):
    example = TEXT.partition("$ curl -sS http://localhost:49100/readyz\n")[2].partition("\n\n")[0]
    world = World(tmp_path, POOL)
    reply = create_app(world.settings, world.store).test_client().get("/readyz")
    assert [line.strip() for line in example.splitlines()] == reply.text.splitlines()


def test_the_example_of_a_log_line_has_the_form_of_a_real_one(monkeypatch):
    (example,) = re.findall(r'^\{"time".*$', TEXT, re.MULTILINE)
    ticket = Ticket(id=42, resource=17, resource_name="vms_00000017_20260301_101500", pool="vms")
    lines = []
    monkeypatch.setattr(reconcile.log, "handle", lambda record: lines.append(JsonFormatter().format(record)))
    monkeypatch.setattr(reconcile.log, "isEnabledFor", lambda _level: True)
    reconcile._log_assignment(ticket)
    (line,) = map(json.loads, lines)
    described = json.loads(example)
    assert [*line] == [*described]
    assert line | {"time": described["time"]} == described


def test_the_command_on_the_log_finds_the_lines_of_the_ticket():
    (example,) = re.findall(r'^\{"time".*$', TEXT, re.MULTILINE)
    (command,) = re.findall(r"^    (jq .*) /var/log/resallocserver/main.log$", TEXT, re.MULTILINE)
    lines = f'{example}\n{{"message": "of another"}}\n'
    shown = subprocess.run(["sh", "-c", command], input=lines, check=True, capture_output=True, text=True).stdout
    assert [json.loads(line) for line in shown.splitlines()] == [
        {name: json.loads(example)[name] for name in ("time", "message")}
    ]


def test_every_field_of_a_log_line_is_described():
    table = TEXT.partition("| field | of |")[2].partition("\n\n")[0]
    described = set(re.findall(r"`(\w+)`", table))
    run = HookRun(id="000017_alloc_1", kind=HookKind.ALLOC, pool="p", command="", environment={}, limit=1, log="")
    asked = {"m": "GET", "U": "/resources/vms_1", "s": "200"}
    access = logging.makeLogRecord({"name": "gunicorn.access", "args": asked})
    usual = json.loads(JsonFormatter().format(logging.makeLogRecord({}))).keys()
    fields = {
        *logfields.of_ticket(Ticket(id=1, resource=2, pool="p")),
        *logfields.of_agent(Agent(id=1, group="g")),
        *logfields.of_run(run),
        *logfields.of_request("GET /"),
        *(json.loads(JsonFormatter().format(access)).keys() - usual),
        "exception",
    }
    assert described == fields
