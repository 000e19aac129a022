"""The page that previews another pools.yaml before it is installed: `GET /plan`, and `POST /plan` with the file."""

from typing import Any

from flask import Response

from functions.operators import preview
from functions.operators.preview import pool_sentences, stranded_sentences
from functions.pages.layout import page_reply
from functions.web.errors import FaultyPools
from functions.web.requests import NoFields, parse_query


def show_form() -> Response:
    """200 with a form for the file."""
    parse_query(NoFields)
    return page_reply("preview.html", lambda model: {"text": "", "annotated": None, "faults": ()})


def show() -> Response:
    """200 with what the file would do, 422 with its faults; the form keeps the text, to be edited."""
    content = preview.read_file()
    facts: dict[str, Any] = {"text": content.decode(errors="replace"), "annotated": None, "faults": ()}
    status = 200
    try:
        annotated = preview.preview_file(content)
        facts["annotated"] = annotated
        facts["pools"] = pool_sentences(annotated.found)
        facts["stranded"] = stranded_sentences(annotated.found)
    except FaultyPools as error:
        status, facts["faults"] = error.status, error.sentence.splitlines()
    return page_reply("preview.html", lambda model: facts, status=status)
