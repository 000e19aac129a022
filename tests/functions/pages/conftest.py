from typing import Any

import pytest
from flask.testing import FlaskClient

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


class Browser:
    """Asks as a browser does."""

    def __init__(self, client: FlaskClient) -> None:
        self.client = client

    def get(self, path: str) -> Any:
        return self.client.get(path, headers={"Accept": BROWSER})

    def post(self, path: str, **options: Any) -> Any:
        headers = {"Accept": BROWSER, "Origin": "http://localhost", **options.pop("headers", {})}
        return self.client.post(path, headers=headers, **options)

    def page(self, path: str) -> str:
        """The page at this path, which must be there."""
        reply = self.get(path)
        assert (reply.status_code, reply.mimetype) == (200, "text/html"), reply.text
        text: str = reply.text
        return text


@pytest.fixture
def browser(client: FlaskClient) -> Browser:
    return Browser(client)
