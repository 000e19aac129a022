"""Makes pages of templates. Everything that is put into one is text, unless a template or a chart made it."""

import marshal
from pathlib import Path
from typing import Any

import jinja2
from jinja2.bccache import Bucket

from config.run import premade
from functions import text as words
from functions.pages.assets import address
from functions.web.errors import Refused


class _Premade(jinja2.BytecodeCache):
    """Templates that were compiled before the first page. One that was not, or is another by now, is compiled then."""

    def load_bytecode(self, bucket: Bucket) -> None:
        try:
            code = marshal.loads(premade.TEMPLATES.read())[bucket.key]
        except (EOFError, KeyError, ValueError, TypeError):
            return
        bucket.bytecode_from_string(code)

    def dump_bytecode(self, bucket: Bucket) -> None:
        """What this process compiles is of use to no other one."""


_LOADER = jinja2.FileSystemLoader(Path(__file__).parent / "templates")
_CACHE = _Premade()
_TEMPLATES = jinja2.Environment(
    loader=_LOADER,
    bytecode_cache=_CACHE,
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


def error_page(refusal: Refused, asked: str) -> str:
    """The page for an error; `asked` is the request, like `GET /tickets/42`."""
    return render("error.html", answer=refusal, asked=asked)


def compiled() -> bytes:
    """All templates as code, which takes 30 times as long to make as to load."""
    made = {}
    for name in _TEMPLATES.list_templates():
        source, file, _ = _LOADER.get_source(_TEMPLATES, name)
        bucket = _CACHE.get_bucket(_TEMPLATES, name, file, source)
        bucket.code = _TEMPLATES.compile(source, name, file)
        made[bucket.key] = bucket.bytecode_to_string()
    return marshal.dumps(made)
