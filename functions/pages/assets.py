"""What pages load: `GET /assets/NAME`. Files of this folder, read once; their address changes with their content."""

import hashlib
from pathlib import Path

from flask import Response

from functions.web.errors import BadParameter
from functions.web.requests import Query
from state.errors import NotFound

_KINDS = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
_FILES = {
    path.name: path.read_bytes() for path in (Path(__file__).parent / "assets").iterdir() if path.suffix in _KINDS
}
_VERSIONS = {name: hashlib.sha256(content).hexdigest()[:12] for name, content in _FILES.items()}


def address(name: str) -> str:
    """Where a page finds this file."""
    return f"/assets/{name}?v={_VERSIONS[name]}"


def file(name: str) -> Response:
    """200 with the file, to be kept for good when the address names its version."""
    query = Query()
    version = query.string("v")
    query.finish()
    if name not in _FILES:
        raise NotFound("asset", name)
    if version not in (None, _VERSIONS[name]):
        raise BadParameter("v", "is not the version of this file that is served")
    reply = Response(_FILES[name], content_type=_KINDS[Path(name).suffix])
    if version is not None:
        reply.headers["Cache-Control"] = "public, max-age=31536000, immutable"
    return reply
