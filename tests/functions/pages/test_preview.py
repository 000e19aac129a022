"""The page that previews a pools.yaml."""

import io

import msgspec
import pytest

from tests.policy.world import a_pool

FORM = "multipart/form-data"
FILE = "p: {cmd_new: new, cmd_delete: delete, max: 3, tags: [A, <b>]}\n"


@pytest.fixture(autouse=True)
def farm(scheduler):
    """The pool p in force, with resource 1."""
    options = msgspec.json.decode(msgspec.json.encode(a_pool("p", max=1, max_prealloc=1, tags={"A": 0})))
    scheduler.record("p", options={**options, "cmd_new": "new", "cmd_delete": "delete"})
    scheduler.resource(1, tags={"A": 0})


def test_the_form_for_the_file_is_not_refreshed(browser):
    page = browser.page("/plan")
    assert '<form class="ask large" method="post" action="/plan" enctype="multipart/form-data"' in page
    assert "refresh" not in page
    assert 'href="/plan"' in browser.page("/pools")


def test_a_pasted_text_is_previewed(browser):
    reply = browser.post("/plan", data={"text": FILE.replace("\n", "\r\n")}, content_type=FORM)
    assert (reply.status_code, reply.mimetype) == (200, "text/html")
    assert '<a href="/pools/p">p</a> changes: max 1 → 3, max_prealloc 1 → 2, tags A → A &lt;b&gt;; ' in reply.text
    assert "cmd_delete: delete, max: 3, tags: [A, &lt;b&gt;]}" in reply.text
    assert "/pools/q" not in browser.post("/plan", data={"text": FILE.replace("p:", "q:")}, content_type=FORM).text


def test_an_uploaded_file_is_used_instead_of_the_text(browser):
    data = {"text": "nonsense", "file": (io.BytesIO(b""), "")}
    assert browser.post("/plan", data=data, content_type=FORM).status_code == 422
    data = {"text": "nonsense", "file": (io.BytesIO(FILE.encode()), "pools.yaml")}
    assert browser.post("/plan", data=data, content_type=FORM).status_code == 200


def test_stranded_resources_come_first(browser):
    page = browser.post("/plan", data={"text": ""}, content_type=FORM).text
    assert page.index('<span class="badge bad">stranded</span> resource 1 ') < page.index("p</a> is not in the file")


def test_faults_are_shown_with_the_text(browser):
    reply = browser.post("/plan", data={"text": "p: <b>\n"}, content_type=FORM)
    assert reply.status_code == 422
    assert reply.text.count('<span class="badge bad">fault</span> pools.yaml.new:1: pool &#34;p&#34;') == 3
    assert "\np: &lt;b&gt;" in reply.text


def test_a_file_that_changes_nothing_is_reported_as_such(browser, scheduler):
    text = "p: {cmd_new: new, cmd_delete: delete, max: 1, max_prealloc: 1, tags: [A]}"
    assert "Nothing would change." in browser.post("/plan", data={"text": text}, content_type=FORM).text


def test_a_form_with_other_fields_is_refused(browser):
    reply = browser.post("/plan", data={"text": FILE, "x": "y"}, content_type=FORM)
    assert reply.status_code == 422
    assert "is not known here" in reply.text


def test_broken_forms_are_refused(browser, client):
    for kind in ("multipart/form-data", "multipart/form-data; boundary=x"):
        assert client.post("/plan", data=b"--x\r\nnonsense", content_type=kind).status_code in (400, 422)
    large = {"text": "x" * 2_000_000}
    assert browser.post("/plan", data=large, content_type=FORM).status_code == 413


def test_another_site_cannot_post_a_file(browser):
    data, headers = {"text": FILE}, {"Origin": "http://evil.example"}
    assert browser.post("/plan", data=data, content_type=FORM, headers=headers).status_code == 403
