"""The page with the description of all HTTP functions."""

from flask.testing import FlaskClient

from tests.functions.pages.conftest import Browser


def test_every_described_function_is_on_the_page(browser: Browser, client: FlaskClient) -> None:
    """Given the description, when the page is read, then each function is on it."""
    page = browser.page("/api")
    paths = client.get("/openapi.json").get_json()["paths"]
    for path, item in paths.items():
        for method in item.keys() - {"parameters"}:
            assert f"<code>{method.upper()} {path}</code>" in page
            assert item[method]["operationId"] in page


def test_parameters_and_replies_are_described_in_words(browser: Browser) -> None:
    """Given parameters of all kinds, when the page is read, then their types are on it in words."""
    page = browser.page("/api")
    assert "list of: string of at most 255" in page
    assert "number from 0, to 3600" in page
    assert "OPEN or CLOSED or FAILED" in page
    assert "It still waits; try again after Retry-After." in page


def test_curl_gets_a_line_for_each(client: FlaskClient) -> None:
    lines = client.get("/api").text.splitlines()
    assert "POST   /tickets  Take a ticket for one resource that has all the tags." in lines
    assert len(lines) > 20
