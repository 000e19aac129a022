"""Whatever a client sends, the status of the reply is below 500."""

import json
import xmlrpc.client
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from config.settings import Settings
from functions.app import ROUTES, create_app

latin = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=40)
words = st.sampled_from(["1", "2", "0", "-1", "x", "p_00000001", "alloc", "9" * 30, "\u0000", "é", "/", "%", ".."])
paths = st.one_of(
    st.sampled_from([path for _, path, _ in ROUTES]).flatmap(
        lambda path: st.lists(st.one_of(words, st.text(min_size=1, max_size=8)), min_size=2, max_size=2).map(
            lambda found: "/".join(
                quote(found[index % 2], safe="") if piece.startswith("<") else piece
                for index, piece in enumerate(path.split("/"))
            )
        )
    ),
    st.text(max_size=30).map(lambda path: "/" + quote(path, safe="/").lstrip("/")),
)
names = st.sampled_from(
    ["tag", "tags", "sandbox", "closed", "timeout", "state", "format", "wait", "seen", "offset", "all"]
)
values = st.one_of(st.sampled_from(["", "0", "1", "nan", "1e400", "UP", "shell"]), st.text(max_size=10))
queries = st.lists(st.tuples(names, values), max_size=3).map(
    lambda pairs: "&".join(f"{name}={quote(value.encode('utf-8', 'surrogatepass'), safe='')}" for name, value in pairs)
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names | st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
bodies = st.one_of(
    st.binary(max_size=200), queries.map(str.encode), json_values.map(lambda value: json.dumps(value).encode())
)
content_types = st.one_of(
    st.sampled_from(["application/json", "application/x-www-form-urlencoded", "multipart/form-data", "text/xml", ""]),
    latin,
)
headers = st.dictionaries(
    st.sampled_from(
        [
            "Accept",
            "Origin",
            "Idempotency-Key",
            "Sec-Fetch-Site",
            "X-Forwarded-Host",
            "Host",
            "Range",
            "Content-Encoding",
        ]
    ),
    latin,
    max_size=2,
)


@pytest.fixture(scope="module")
def client():
    with TemporaryDirectory() as name:
        folder = Path(name)
        app = create_app(
            Settings(
                config_dir=folder,
                pools_file=folder / "pools.yaml",
                state_dir=folder / "state",
                log_dir=folder / "log",
                wait_timeout=0,
            )
        )
        yield app.test_client()


@given(
    method=st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"]),
    path=paths,
    query=queries.filter(lambda query: "wait=" not in query and "timeout=" not in query),
    body=bodies,
    content_type=content_types,
    headers=headers,
)
@settings(suppress_health_check=list(HealthCheck))
def test_nothing_makes_the_server_fail(client, method, path, query, body, content_type, headers):
    sent = body if method in ("POST", "PUT", "PATCH", "DELETE") else None
    reply = client.open(path, method=method, query_string=query, data=sent, content_type=content_type, headers=headers)
    if (reply.status_code, path) == (503, "/readyz"):
        return  # there is no leader, which is no fault of the request
    assert reply.status_code < 500, reply.text
    if reply.status_code >= 400 and not reply.is_json and method != "HEAD":
        assert reply.text.endswith(".\n")
        assert reply.text.count("\n") == 1


@given(
    name=st.sampled_from(["takeTicket", "collectTicket", "closeTicket", "system.methodHelp", "x"]),
    parameters=st.lists(json_values.filter(lambda value: not isinstance(value, float)), max_size=3),
)
@settings(suppress_health_check=list(HealthCheck))
def test_no_xml_rpc_call_makes_the_server_fail(client, name, parameters):
    try:
        body = xmlrpc.client.dumps(tuple(parameters), name, allow_none=True).encode()
    except (OverflowError, UnicodeEncodeError, TypeError):
        return
    assert client.post("/RPC2", data=body, content_type="text/xml").status_code == 200


@given(
    body=st.binary(max_size=300)
    | st.text(max_size=100).map(lambda text: f"<methodCall>{text}".encode(errors="replace"))
)
@settings(suppress_health_check=list(HealthCheck))
def test_no_xml_makes_the_server_fail(client, body):
    assert client.post("/", data=body, content_type="text/xml").status_code == 200
