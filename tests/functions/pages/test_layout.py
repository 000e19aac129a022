"""Templates are compiled once for all processes, and again when they change."""

import jinja2
import pytest

from functions.pages import layout


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "bytecode"
    folder.mkdir()
    return folder


@pytest.fixture
def templates(monkeypatch, folder):
    """Templates with an empty cache of their own."""
    templates = layout._TEMPLATES.overlay(bytecode_cache=layout._BytecodeCache(str(folder)))
    monkeypatch.setattr(layout, "_TEMPLATES", templates)
    return templates


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


def restart(templates):
    """Forget the templates in memory, as a new process does."""
    templates.cache.clear()


@pytest.mark.parametrize("path", ["/", "/pools", "/resources", "/tickets", "/events", "/api", "/plan", "/nothing"])
def test_a_template_is_compiled_once_for_all_processes(browser, templates, compilations, path):
    assert "</html>" in browser.get(path).text
    assert compilations
    restart(templates)
    compilations.clear()
    assert "</html>" in browser.get(path).text
    assert compilations == []


def test_a_changed_template_is_compiled_again(browser, templates, compilations, monkeypatch):
    browser.page("/pools")
    source = templates.loader.get_source

    def changed(environment, name):
        text, file, fresh = source(environment, name)
        return (text.replace("<h1>Pools</h1>", "<h1>Ponds</h1>"), file, fresh)

    monkeypatch.setattr(templates.loader, "get_source", changed)
    restart(templates)
    compilations.clear()
    assert "<h1>Ponds</h1>" in browser.page("/pools")
    assert compilations == ["pools.html"]


def test_a_damaged_cache_is_compiled_again(browser, templates, compilations, folder):
    browser.page("/pools")
    for file in folder.iterdir():
        file.write_bytes(file.read_bytes()[:1000])
    restart(templates)
    assert "</html>" in browser.page("/pools")
    assert compilations.count("pools.html") == 2


def test_pages_need_no_cache(browser, templates, folder, monkeypatch):
    """Given a temporary folder that was removed, or none at all, when a page is requested, then it is rendered."""
    folder.rmdir()
    assert "</html>" in browser.page("/pools")
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(folder / "none"))
    assert layout._bytecode_cache() is None
