"""Templates are compiled once for all workers."""

import jinja2
import pytest

from config.run import premade
from functions.pages import layout


@pytest.fixture
def made(monkeypatch):
    """What the process beside the workers makes, and no template in the memory of this one."""
    made = layout.compiled()
    layout._TEMPLATES.cache.clear()
    yield made
    layout._TEMPLATES.cache.clear()


@pytest.fixture
def compilations(monkeypatch):
    """The names of the templates that are compiled from now on."""
    names = []
    compile_one = jinja2.Environment.compile

    def note(self, source, name=None, *args, **options):
        names.append(name)
        return compile_one(self, source, name, *args, **options)

    monkeypatch.setattr(jinja2.Environment, "compile", note)
    return names


@pytest.mark.parametrize("path", ["/", "/pools", "/resources", "/tickets", "/events", "/api", "/plan", "/nothing"])
def test_pages_are_rendered_from_what_was_compiled_before(browser, monkeypatch, made, compilations, path):
    """Given templates that were compiled, when a page is asked for, then none is compiled and the page is the same."""
    monkeypatch.setattr(premade.TEMPLATES, "read", lambda: made)
    assert "</html>" in browser.get(path).text
    assert compilations == []


@pytest.mark.parametrize("kept", [0, 1, 1000, -1], ids=["nothing", "a byte", "a part", "all but a byte"])
def test_what_is_not_finished_is_compiled_here(browser, monkeypatch, made, compilations, kept):
    """Given that the other process still writes, when a page is asked for, then its templates are compiled."""
    monkeypatch.setattr(premade.TEMPLATES, "read", lambda: made[:kept])
    assert "</html>" in browser.page("/")
    assert sorted(compilations) == ["base.html", "overview.html", "parts.html"]


def test_a_template_that_is_another_one_by_now_is_compiled_here(browser, monkeypatch, made, compilations):
    """Given a template that was changed after it was compiled, when its page is asked for, then it shows the change."""
    monkeypatch.setattr(premade.TEMPLATES, "read", lambda: made)
    source = layout._LOADER.get_source

    def changed(environment, name):
        text, file, fresh = source(environment, name)
        return (text.replace("<h1>Pools</h1>", "<h1>Ponds</h1>"), file, fresh)

    monkeypatch.setattr(layout._LOADER, "get_source", changed)
    assert "<h1>Ponds</h1>" in browser.page("/pools")
    assert compilations == ["pools.html"]
