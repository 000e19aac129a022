"""The page on which operators try a pools.yaml before it is put in place: `GET /plan`, and `POST /plan` with it."""

from typing import Any

from flask import Response

from functions.operators import preview as plan
from functions.operators.preview_text import pool_sentences, stranded_sentences
from functions.pages import page
from functions.web.errors import FaultyPools
from functions.web.requests import Query


def ask() -> Response:
    """200 with a form for the file."""
    Query().finish()
    return page.reply("plan.html", lambda look: {"text": "", "outlook": None, "faults": ()})


def show() -> Response:
    """200 with what the file would do, 422 with what is wrong with it; the form has its text, to change it."""
    content = plan.read_file()
    facts: dict[str, Any] = {"text": content.decode(errors="replace"), "outlook": None, "faults": ()}
    status = 200
    try:
        outlook = plan.look_ahead(content)
        facts["outlook"] = outlook
        facts["pools"] = pool_sentences(outlook.found)
        facts["stranded"] = stranded_sentences(outlook.found)
    except FaultyPools as error:
        status, facts["faults"] = error.status, error.sentence.splitlines()
    return page.reply("plan.html", lambda look: facts, status=status)
