"""The least that an application can do: what gunicorn, gevent and the client cost by themselves."""

import xmlrpc.client
from collections.abc import Callable, Iterable
from typing import Any

TEXT = b"1\n"
XML = xmlrpc.client.dumps((1,), methodresponse=True).encode()


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answers every request with the number 1, as XML-RPC at /RPC2."""
    environ["wsgi.input"].read()
    xml = environ["PATH_INFO"] == "/RPC2"
    body, kind = (XML, "text/xml") if xml else (TEXT, "text/plain")
    start_response("200 OK", [("Content-Type", kind), ("Content-Length", str(len(body)))])
    return [body]
