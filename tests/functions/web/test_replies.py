import io

import pytest


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nope", 404, "unknown_path"),
        ("GET", "/tickets/", 404, "unknown_path"),
        ("PUT", "/tickets/1", 405, "wrong_method"),
        ("OPTIONS", "/tickets", 405, "wrong_method"),
        ("BREW", "/tickets", 405, "wrong_method"),
    ],
)
def test_wrong_paths_and_methods(client, method, path, status, code):
    reply = client.open(path, method=method, headers={"Accept": "application/json"})
    assert (reply.status_code, reply.json["error"]["code"]) == (status, code)


def test_a_wrong_method_is_refused_with_the_allowed_ones(client):
    reply = client.put("/tickets/1")
    assert reply.headers["Allow"] == "DELETE, GET, HEAD"
    assert reply.text == "PUT is not possible at '/tickets/1', only DELETE, GET, HEAD.\n"


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"{", "application/json", 400),
        (b"", "application/json", 400),
        (b"[]", "application/json", 400),
        (b"1", "application/json", 400),
        (b'{"tags": ["A"]} x', "application/json", 400),
        (b'{"tags": ["\xff"]}', "application/json", 400),
        (b'{"tags": ["\\ud800"]}', "application/json", 400),
        (b"[" * 60000, "application/json", 400),
        (b'{"tags": ' + b"[" * 60000, "application/json", 400),
        (b"tag", "application/x-www-form-urlencoded", 400),
        (b"tag=%zz", "application/x-www-form-urlencoded", 400),
        (b"tag=%ff", "application/x-www-form-urlencoded", 400),
        (b"tag=A", "text/plain", 415),
        (b"tag=A", None, 415),
        (b"--x--", "multipart/form-data; boundary=x", 415),
        (b"tag=A", "application/x-www-form-urlencoded; charset=utf-8", 201),
        (b"&tag=%41&&", "application/x-www-form-urlencoded", 201),
        (b'{"tags": ["A"]}', "application/vnd.x+json", 201),
        (b'{"tags": ["A"]}', "Application/JSON; charset=utf-8", 201),
        (None, None, 422),
    ],
)
def test_bodies(client, store, body, content_type, status):
    reply = client.post("/tickets", data=body, content_type=content_type)
    assert reply.status_code == status, reply.text
    assert list(store.tickets.living()) == ([1] if status == 201 else [])


@pytest.mark.parametrize("content_type", ["application/json", "application/x-www-form-urlencoded", "text/plain"])
def test_a_body_over_64_kib_is_refused(client, content_type):
    reply = client.post("/tickets", data=b"x" * 65537, content_type=content_type)
    assert reply.status_code == 413
    assert "over 64 KiB" in reply.text


@pytest.mark.parametrize("path", ["/tickets", "/RPC2"])
def test_a_body_without_a_length_is_limited_too(client, store, path):
    body = io.BytesIO(b"tag=A" + b"&" * 65536)
    terminated = {"wsgi.input_terminated": True, "CONTENT_TYPE": "application/x-www-form-urlencoded"}
    reply = client.post(path, input_stream=body, headers={"Transfer-Encoding": "chunked"}, environ_overrides=terminated)
    assert reply.status_code == 413
    assert list(store.tickets.living()) == []


@pytest.mark.parametrize(
    ("accept", "json"),
    [
        (None, False),
        ("*/*", False),
        ("text/html,application/xhtml+xml,*/*;q=0.8", False),
        ("text/plain", False),
        ("application/json", True),
        ("application/json;q=0.9, text/plain;q=0.1", True),
        ("application/json, */*;q=0.1", True),
        ("image/png", False),
        (",;q==", False),
    ],
)
def test_the_reply_is_json_when_the_client_prefers_it(client, accept, json):
    reply = client.get("/tickets/1", headers={"Accept": accept} if accept else {})
    assert reply.status_code == 404
    assert reply.is_json is json


def test_every_reply_forbids_caching_and_sniffing(client):
    for path in ("/", "/nope", "/healthz", "/tickets/1"):
        headers = client.get(path).headers
        assert (headers["Cache-Control"], headers["X-Content-Type-Options"]) == ("no-store", "nosniff")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 201),
        ({"Origin": "http://localhost"}, 201),
        ({"Origin": "https://localhost"}, 201),
        ({"Origin": "http://resalloc.example", "X-Forwarded-Host": "resalloc.example"}, 201),
        ({"Sec-Fetch-Site": "same-origin"}, 201),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "http://localhost:81"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": ""}, 403),
        ({"Origin": "http://[broken"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
    ],
)
def test_requests_from_pages_of_other_sites_are_refused(client, headers, status):
    assert client.post("/tickets", data={"tag": "A"}, headers=headers).status_code == status
    assert client.post("/RPC2", data="<", content_type="text/plain", headers=headers).status_code == (
        403 if status == 403 else 200
    )


def test_an_unexpected_error_is_logged_and_answered_in_the_shape_of_all_errors(app, client, caplog, monkeypatch):
    monkeypatch.setattr(app.extensions["resalloc"], "clock", lambda: 1 / 0)
    reply = client.post("/tickets", json={"tags": ["A"]})
    assert (reply.status_code, reply.json["error"]["code"]) == (500, "internal_error")
    assert "ZeroDivisionError" in caplog.text
    assert "ZeroDivisionError" not in reply.text
