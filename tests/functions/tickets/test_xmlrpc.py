import xmlrpc.client
from concurrent.futures import ThreadPoolExecutor

import pytest

from functions.web import lifetime
from tests.waiting import until

BINARY = b"\x00\xff 10.0.0.1\n"


@pytest.fixture
def call(client):
    """Call a method the way that xmlrpc.client does."""

    def call(name, *parameters, path="/RPC2"):
        body = xmlrpc.client.dumps(parameters, name, allow_none=True)
        reply = client.post(path, data=body, content_type="text/xml")
        assert (reply.status_code, reply.content_type) == (200, "text/xml; charset=utf-8")
        return xmlrpc.client.loads(reply.data)[0][0]

    return call


def fault_of(call, *args) -> xmlrpc.client.Fault:
    with pytest.raises(xmlrpc.client.Fault) as raised:
        call(*args)
    assert raised.value.faultString.endswith(".")
    return raised.value


@pytest.mark.parametrize("path", ["/RPC2", "/"])
def test_the_life_of_a_ticket(call, scheduler, path):
    assert call("takeTicket", ["A", "B", "A"], "me", path=path) == 1
    assert call("collectTicket", 1, path=path) == {"ready": False, "output": None, "closed": False, "failed": False}
    scheduler.assign(1, BINARY)
    ready = {"ready": True, "output": xmlrpc.client.Binary(BINARY), "closed": False, "failed": False}
    assert call("collectTicket", "1", path=path) == ready
    assert call("waitTicket", 1, path=path) == xmlrpc.client.Binary(BINARY)
    assert call("closeTicket", "1", path=path) is None
    assert call("closeTicket", 1, path=path) is None
    assert call("collectTicket", 1, path=path) == {**ready, "closed": True}
    assert call("waitTicket", "1", path=path) == xmlrpc.client.Binary(BINARY)


def test_a_ticket_takes_tags_and_sandbox(call, store):
    call("takeTicket", ["A", "B", "A"], "me")
    assert (store.tickets.read(1).tags, store.tickets.read(1).sandbox) == (("A", "B"), "me")


@pytest.mark.parametrize("parameters", [(), (None,), ([],), ([], None), ([], "")])
def test_a_ticket_without_tags_is_accepted(call, store, parameters):
    number = call("takeTicket", *parameters)
    assert (store.tickets.read(number).tags, store.tickets.read(number).sandbox) == ((), None)


def test_a_failed_ticket_still_has_its_output(call, scheduler, ticket):
    scheduler.assign(1)
    scheduler.fail(1)
    assert call("collectTicket", 1)["failed"] is True
    assert call("waitTicket", 1).data == b"10.0.0.1\n"


@pytest.mark.parametrize("number", [2, "2", 0, -1, "", "x", "-1", None, True, 1.0, [1], {}, 2**31 - 1])
def test_collecting_an_unknown_ticket_returns_nil(call, ticket, number):
    assert call("collectTicket", number) == {"ready": None, "output": None, "closed": None, "failed": None}


@pytest.mark.parametrize("method", ["waitTicket", "closeTicket"])
@pytest.mark.parametrize("number", [2, "2", 0, "x", None, True, [1]])
def test_waiting_for_or_closing_an_unknown_ticket_is_a_fault(call, ticket, method, number):
    fault_of(call, method, number)


def test_waiting_for_a_ticket_that_ended_without_resource_is_a_fault(call, ticket):
    call("closeTicket", 1)
    assert fault_of(call, "waitTicket", 1).faultString == "Ticket 1 is closed and never had a resource."


@pytest.mark.parametrize(
    "parameters",
    [
        ("takeTicket", "A"),
        ("takeTicket", 1),
        ("takeTicket", [1]),
        ("takeTicket", [["A"]]),
        ("takeTicket", [""]),
        ("takeTicket", ["a\tb"]),
        ("takeTicket", ["x" * 256]),
        ("takeTicket", [str(number) for number in range(65)]),
        ("takeTicket", ["A"], 1),
        ("takeTicket", ["A"], "x" * 256),
        ("takeTicket", ["A"], "me", 1),
        ("closeTicket",),
        ("collectTicket",),
        ("collectTicket", 1, 2),
        ("waitTicket", 1, 2),
        ("nothing",),
        ("system.methodHelp", "nothing"),
        ("system.methodSignature", 1),
        ("__class__",),
    ],
)
def test_a_wrong_call_is_a_fault(call, store, parameters):
    fault_of(call, *parameters)
    assert list(store.tickets.living()) == []


BOMB = b"""<?xml version="1.0"?><!DOCTYPE b [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>
<methodCall><methodName>takeTicket</methodName><params><param><value><array><data><value>&b;</value></data></array>
</value></param></params></methodCall>"""


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"tag=A",
        b"<a>",
        b"\xff\xfe\x00",
        b"<methodCall/>",
        b"<methodCall><methodName>takeTicket",
        b"<methodCall><params><param><value><int>x</int></value></param></params></methodCall>",
        b'<?xml version="1.0" encoding="klingon"?><methodCall/>',
        b"<methodCall><methodName>closeTicket</methodName><params><param><value><i4>1" + b"9" * 5000 + b"</i4></value>"
        b"</param></params></methodCall>",
        b"<methodCall><methodName>takeTicket</methodName><params><param>" + b"<value><array><data>" * 3000,
        BOMB,
    ],
)
def test_a_body_that_is_no_call_is_a_fault(client, store, body):
    reply = client.post("/RPC2", data=body, content_type="text/xml")
    assert reply.status_code == 200
    with pytest.raises(xmlrpc.client.Fault):
        xmlrpc.client.loads(reply.data)
    assert list(store.tickets.living()) == []


def test_a_body_over_the_limit_is_refused(client):
    assert client.post("/RPC2", data=b"x" * 65537, content_type="text/xml").status_code == 413


def test_introspection_answers(call):
    methods = call("system.listMethods")
    assert {"takeTicket", "collectTicket", "waitTicket", "closeTicket"} <= set(methods)
    for method in methods:
        assert call("system.methodHelp", method).startswith(method + "(")
    assert call("system.methodSignature", "takeTicket") == [["int"], ["int", "array"], ["int", "array", "string"]]


def wait_in_thread(pool, app):
    body = xmlrpc.client.dumps((1,), "waitTicket")
    parking = app.extensions["resalloc"].parking
    wait = pool.submit(lambda: app.test_client().post("/RPC2", data=body, content_type="text/xml"))
    until(lambda: len(parking) == 1, what="parked requests")
    return wait


def test_a_wait_is_answered_by_the_change(app, scheduler, ticket):
    with ThreadPoolExecutor(1) as pool:
        wait = wait_in_thread(pool, app)
        scheduler.assign(1, BINARY)
        assert xmlrpc.client.loads(wait.result(5).data)[0][0].data == BINARY


def test_a_stopping_process_answers_its_waits_with_503(app, ticket, monkeypatch):
    monkeypatch.setattr(lifetime, "_stopping", False)
    with ThreadPoolExecutor(1) as pool:
        wait = wait_in_thread(pool, app)
        lifetime.begin_stop()
        reply = wait.result(5)
    assert (reply.status_code, reply.headers["Retry-After"]) == (503, "1")


def test_a_store_that_cannot_be_used_answers_503(client, store):
    store.tickets.folder.rmdir()
    body = xmlrpc.client.dumps((["A"],), "takeTicket")
    assert client.post("/RPC2", data=body, content_type="text/xml").status_code == 503
