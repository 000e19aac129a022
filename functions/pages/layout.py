"""Makes pages of templates. Everything that is put into one is text, unless a template or a chart made it."""

from pathlib import Path
from typing import Any

import jinja2

from functions.pages import words
from functions.pages.assets import address

_TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    auto_reload=False,
)
_TEMPLATES.filters.update(
    moment=words.moment,
    iso=words.iso,
    span=words.span,
    percent=words.percent,
    size=words.size,
    astext=words.text,
    aslog=words.log,
    brief=words.brief,
    printable=words.printable,
    plural=words.plural,
)
_TEMPLATES.globals.update(asset=address, zone=words.zone)


def render(template: str, **facts: Any) -> str:
    """The page that a template makes of these facts."""
    return _TEMPLATES.get_template(template).render(facts)
