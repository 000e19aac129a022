"""`POST /plan`: what another pools.yaml would do, and what is wrong with it."""

import msgspec
import pytest

from config.yamlfile import LARGEST
from functions.operators import preview
from functions.operators.preview import LIMIT, MOST_POOLS, MOST_STARTS
from state.documents import ResourceState
from tests.policy.world import a_pool

JSON = {"Accept": "application/json"}
POOL = "{cmd_new: new, cmd_delete: delete, max: %s, max_prealloc: 1, tags: [A]}"
SMALL, LARGER = f"p: {POOL % 1}\n", f"p: {POOL % 3}\n"


@pytest.fixture(autouse=True)
def farm(scheduler):
    """The pool p in force, with resource 1."""
    options = msgspec.json.decode(msgspec.json.encode(a_pool("p", max=1, max_prealloc=1, tags={"A": 0})))
    scheduler.record("p", options={**options, "cmd_new": "new", "cmd_delete": "delete"})
    scheduler.resource(1, tags={"A": 0})


@pytest.fixture
def leader(scheduler):
    """A scheduler leads, and has nothing to complain of."""
    scheduler.show_pools()
    with scheduler.leading():
        yield


def test_a_file_that_changes_nothing_is_reported_as_such(client, leader):
    reply = client.post("/plan", data=SMALL, content_type="text/yaml")
    assert (reply.status_code, reply.mimetype) == (200, "text/plain")
    assert reply.text == "nothing would be different\n"


def test_each_changed_pool_is_a_line(client, leader, ticket, scheduler):
    scheduler.assign(ticket)
    more = f"{LARGER}q: {{cmd_new: a, cmd_delete: b, max_starting: 2, description: new}}\n"
    assert client.post("/plan", data=more).text.splitlines() == [
        "pool p changes: max 1 → 3; starts 1 at once instead of 0; has 2 in the end instead of 1",
        "pool q is new; starts 2 at once instead of 0; has 2 in the end instead of 0",
    ]


def test_stranded_tickets_and_resources_are_listed(client, leader, ticket, scheduler):
    for _ in range(2):
        client.post("/tickets", data={"tag": "A"})
    scheduler.assign(ticket)
    scheduler.resource(2, tags={"B": 0}, state=ResourceState.STARTING)
    assert client.post("/plan", data="").text.splitlines() == [
        "pool p is not in the file; has 2 in the end",
        "stranded: tickets 2, 3 would wait in vain for A: no pools are configured",
        "stranded: ticket 1 would keep a resource that would no longer be replaced: the pool p is not in the file",
        "stranded: resource 2 of pool p would stay until it is taken or deleted: pool-drain p first",
    ]


def test_programs_get_json(client, leader, ticket, scheduler):
    scheduler.assign(ticket)
    found = client.post("/plan", data="p: {cmd_new: x, cmd_delete: delete, max: 1, tags: [B]}", headers=JSON).json
    assert next(iter(found)) == "stranded"
    assert found["stranded"] is True
    (pool,) = found["pools"]
    assert {name: pool[name] for name in ("name", "change", "living", "taken", "max", "old_tags", "mode")} == {
        "name": "p",
        "change": "changed",
        "living": 1,
        "taken": 1,
        "max": 1,
        "old_tags": 1,
        "mode": "ACTIVE",
    }
    assert pool["then"] == {"starts": 0, "stops": [], "in_the_end": 1}
    # Commands may contain secrets.
    assert pool["options"] == [
        {"name": "cmd_new"},
        {"name": "max_prealloc", "before": 1, "after": 2},
        {"name": "tags", "before": {"A": 0}, "after": {"B": 0}},
    ]
    (taken,) = found["taken"]
    assert (taken["ticket"], taken["resource"], taken["fails"]) == (1, 1, False)
    assert (found["waiting"], found["left"], found["warnings"], found["notes"]) == ([], [], [], [])
    assert found["text"][0].startswith("pool p changes: cmd_new, max_prealloc 1 → 2, tags A → B; ")


@pytest.mark.parametrize(
    "kind",
    [None, "text/yaml", "application/yaml; charset=utf-8", "text/plain", "application/x-www-form-urlencoded"],
)
def test_the_content_type_of_yaml_does_not_matter(client, leader, kind):
    assert client.post("/plan", data=LARGER.encode(), content_type=kind).text.startswith("pool p changes: max 1 → 3")


@pytest.mark.parametrize("kind", ["application/json", "image/png"])
def test_other_content_types_are_refused(client, kind):
    reply = client.post("/plan", data=LARGER, content_type=kind, headers={"Accept": "text/plain"})
    assert reply.status_code == 415
    assert "must be YAML (text/yaml), not" in reply.text


def test_all_faults_are_reported_with_their_lines(client):
    wrong = "p:\n  cmd_new: x\n  max: many\n'':\n  cmd_new: x\n  cmd_delete: y\n"
    reply = client.post("/plan", data=wrong)
    assert (reply.status_code, reply.mimetype) == (422, "text/plain")
    assert [line.partition(": ")[0] for line in reply.text.splitlines()] == [
        "pools.yaml.new:1",
        "pools.yaml.new:3",
        "pools.yaml.new:4",
    ]
    error = client.post("/plan", data=wrong, headers=JSON).json["error"]
    assert (error["code"], error["status"], error["message"]) == ("faulty_pools", 422, reply.text[:-1])
    assert [(fault["line"], fault["pool"], fault["option"]) for fault in error["faults"]] == [
        (1, "p", "cmd_delete"),
        (3, "p", "max"),
        (4, "", None),
    ]


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"p: [", "is not valid YAML"),
        (b"\xff", "is not UTF-8 text"),
        (b"p: \x00", "is not allowed"),
        (b"- p", "must be a mapping"),
        (b"&a [*a]", "must be a mapping"),
        (b"a: " + b"[" * 5000, "nesting"),
        (b"#" * (LARGEST + 1), f"is larger than {LARGEST} bytes"),
        (b"p: {cmd_new: x, cmd_delete: y, max: 999999, max_prealloc: 999999, max_starting: 999999}", str(MOST_STARTS)),
        (b"p: &p {cmd_new: x, cmd_delete: y}\n" + b"".join(b"p%d: *p\n" % n for n in range(2000)), str(MOST_POOLS)),
    ],
)
def test_other_content_than_a_pools_yaml_is_refused(client, content, word):
    reply = client.post("/plan", data=content)
    assert (reply.status_code, reply.text.count("\n")) == (422, 1)
    assert word in reply.text


def test_the_number_of_reported_faults_is_limited(client):
    reply = client.post("/plan", data="".join(f"p{number}: 1\n" for number in range(1000)))
    assert reply.text.splitlines()[99:] == [reply.text.splitlines()[99], "and 2900 more"]


def test_a_pools_yaml_may_be_larger_than_other_bodies_up_to_a_limit(client, leader):
    assert client.post("/plan", data=b"#" * LARGEST + b"\n").status_code == 422
    assert client.post("/plan", data=f"{LARGER}#{'x' * 900_000}").status_code == 200
    reply = client.post("/plan", data=b"#" * (LIMIT + 1))
    assert (reply.status_code, reply.text) == (413, f"The body is over {LIMIT // 1024} KiB.\n")


def test_probable_mistakes_are_warnings(client, leader):
    first = client.post("/plan", data=LARGER.replace("max:", "mx:")).text.splitlines()[0]
    assert first == 'warning: pools.yaml.new:1: pool "p", option "mx": is unknown and ignored; is "max" meant?'


def test_uncertainties_are_notes(client, scheduler):
    assert client.post("/plan", data=SMALL).text.splitlines()[-1].startswith("note: no scheduler is running")
    scheduler.show_pools(faults=["pools.yaml:1: x"], quarantine=["tickets/1: damaged"])
    notes = client.post("/plan", data=SMALL, headers=JSON).json["notes"]
    assert [note.partition(" ")[0] for note in notes] == ["no", "the", "some"]


def test_nothing_is_written(client, leader, store, ticket):
    def everything():
        return {path: path.read_bytes() for path in store.root.rglob("*.json")}

    before = everything()
    assert client.post("/plan", data="").status_code == 200
    assert everything() == before


def test_only_one_preview_is_made_at_a_time(client):
    with preview._one_at_a_time:
        reply = client.post("/plan", data=SMALL)
    assert (reply.status_code, reply.headers["Retry-After"]) == (429, "1")
    assert client.post("/plan", data=SMALL).status_code == 200


def test_unknown_parameters_are_refused(client):
    assert client.post("/plan?write=1", data=SMALL).status_code == 400


def test_a_get_shows_the_command(client):
    assert "curl -fsS http://localhost/plan --data-binary @pools.yaml\n" in client.get("/plan").text
