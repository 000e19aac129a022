"""The page that shows the description of all functions."""

from flask.testing import FlaskClient

from tests.functions.pages.conftest import Browser


def test_it_tells_of_every_function_that_is_described(browser: Browser, client: FlaskClient) -> None:
    """Given the description, when the page is read, then each function stands there with its sentence."""
    page = browser.page("/api")
    paths = client.get("/openapi.json").get_json()["paths"]
    for path, item in paths.items():
        for method in item.keys() - {"parameters"}:
            assert f"<code>{method.upper()} {path}</code>" in page
            assert item[method]["operationId"] in page


def test_it_tells_what_a_function_takes_and_answers(browser: Browser) -> None:
    """Given a function with parameters of all kinds, when the page is read, then they are there in words."""
    page = browser.page("/api")
    assert "some of: string of at most 255" in page
    assert "number from 0, to 3600" in page
    assert "OPEN or CLOSED or FAILED" in page
    assert "It still waits; ask again after Retry-After." in page


def test_curl_gets_a_line_for_each(client: FlaskClient) -> None:
    lines = client.get("/api").text.splitlines()
    assert "POST   /tickets  Take a ticket for one resource that has all the tags." in lines
    assert len(lines) > 20
