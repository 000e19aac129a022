import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

OPENMETRICS = {"Accept": "application/openmetrics-text; version=1.0.0"}


def samples(text: str) -> dict[tuple, float]:
    """Values by name and label values."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in parse_text(text)
        for sample in family.samples
    }  # fmt: skip


@pytest.fixture
def shown(scheduler):
    """A leader has shown what it counts."""
    scheduler.show_metrics(
        ["resalloc_starts", "Starts", "counter", [["resalloc_starts_total", {"pool": "p"}, 3.0]]],
        last_pass=1.0,
        oldest={"x": 0.0},
    )


def test_without_a_scheduler_only_this_and_requests_are_reported(client):
    client.get("/tickets")
    client.get("/tickets/7")
    client.get("/nope")
    client.put("/tickets")
    assert samples(client.get("/metrics").text) == {
        ("resalloc_leader",): 0,
        ("resalloc_http_requests_total", "GET /tickets", "2xx"): 1,
        ("resalloc_http_requests_total", "GET /tickets/{ticket_id}", "4xx"): 1,
        ("resalloc_http_requests_total", "none", "4xx"): 2,
    }


@pytest.mark.usefixtures("shown")
def test_metrics_of_the_leader_are_included(client, scheduler):
    with scheduler.leading():
        found = samples(client.get("/metrics").text)
    assert found["resalloc_leader",] == 1
    assert found["resalloc_starts_total", "p"] == 3


@pytest.mark.usefixtures("shown")
def test_the_age_of_the_queue_is_current(client, app):
    app.extensions["resalloc"].clock = lambda: 90.0
    found = samples(client.get("/metrics").text)
    assert found["resalloc_queue_age_seconds", "x"] == 90
    assert found["resalloc_queue_age_seconds", "other"] == 0


@pytest.mark.usefixtures("shown")
def test_openmetrics_is_sent_on_request_and_is_valid(client):
    reply = client.get("/metrics", headers=OPENMETRICS)
    assert reply.content_type.startswith("application/openmetrics-text; version=1.0.0")
    assert {"resalloc_leader", "resalloc_starts", "resalloc_queue_age_seconds", "resalloc_http_requests"} >= {
        family.name for family in parse_openmetrics(reply.text)
    }
    assert client.get("/metrics").content_type.startswith("text/plain; version=0.0.4")


@pytest.mark.parametrize(
    "accept",
    [
        "application/openmetrics-text; version=abc",
        "application/openmetrics-text; version=1.0.0; escaping=upside-down",
        "text/plain; version=1.0.0.0.x",
        "application/openmetrics-text; version=; q=,,;;",
    ],
)
def test_a_strange_accept_header_gets_a_reply(client, accept):
    assert client.get("/metrics", headers={"Accept": accept}).status_code == 200


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126)), st.text("0123456789.x;=", max_size=12))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_accept_header_breaks_it(client, odd, version):
    for accept in (odd, f"application/openmetrics-text;version={version}", f"text/plain;version={version};{odd}"):
        assert client.get("/metrics", headers={"Accept": accept}).status_code == 200


def test_a_corrupt_view_counts_as_missing(client, store):
    store.show("metrics.json", b"[")
    assert "resalloc_leader 0.0" in client.get("/metrics").text


def test_unknown_parameters_are_refused(client):
    assert client.get("/metrics?name=x").status_code == 400


def test_parked_replies_and_errors_are_counted_by_the_status_that_was_sent(client):
    client.get("/tickets/9/wait?timeout=0")
    client.get("/tickets", headers={"Origin": "http://evil.example"})
    found = samples(client.get("/metrics").text)
    assert found["resalloc_http_requests_total", "GET /tickets/{ticket_id}/wait", "4xx"] == 1
    assert found["resalloc_http_requests_total", "GET /tickets", "4xx"] == 1
