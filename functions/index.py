"""The first page: `GET /`. What to try, and where to look."""

from flask import Response, request

from functions.web import replies as http

_TEXT = """\
This server gives resources to tickets. Try:

  id=$(curl -fsS {url}/tickets -d tag=TAG)
  curl -fsS --retry 1000 --retry-delay 1 --retry-connrefused {url}/tickets/$id/wait
  curl -fsS -X DELETE {url}/tickets/$id

More: /healthz  /readyz  /metrics  /tickets  /resources  /pools  /api/stats
"""


def page() -> Response:
    """200 with the three lines to try."""
    return http.text_reply(_TEXT.format(url=request.host_url.rstrip("/")))
