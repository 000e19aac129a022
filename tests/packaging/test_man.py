"""config/man.sh generates manual pages from --help: they contain all of it, and mandoc accepts them."""

import re
import shutil
import subprocess

import pytest

from tests.packaging.conftest import ROOT

PROGRAMS = sorted(path.name for path in (ROOT / "shim").glob("resalloc*"))


def help_of(program: str) -> str:
    return subprocess.check_output([ROOT / "shim" / program, "--help"], text=True, timeout=20)


def page_of(program: str) -> str:
    return subprocess.check_output([ROOT / "config" / "man.sh", ROOT / "shim" / program], text=True, timeout=20)


def plain(page: str) -> str:
    """The text of a page without its macros."""
    lines = (re.sub(r"^\.(B|SS) ", "", line) for line in page.splitlines())
    text = " ".join(line for line in lines if not line.startswith("."))
    return text.replace("\\&", "").replace("\\-", "-").replace("\\e", "\\")


def words(text: str) -> list[str]:
    return sorted(re.sub(r"usage:|Exit status:|-- (.*) --\n", r"\1", text).split())


def test_there_is_a_page_for_each_program() -> None:
    assert PROGRAMS == ["resalloc", "resalloc-check-vm-ip", "resalloc-maint", "resalloc-wait-for-ssh"]


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_page_has_the_options_of_help_and_no_others(program: str) -> None:
    option = r"(?<![\w-])--[a-z][a-z-]*"
    assert set(re.findall(option, plain(page_of(program)))) == set(re.findall(option, help_of(program)))


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_page_loses_no_word_of_help(program: str) -> None:
    body = plain(page_of(program)).partition(" - ")[2]
    missing = words(help_of(program))
    for word in words(body):
        if word in missing:
            missing.remove(word)
    assert missing == []


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_summary_is_the_first_sentence_of_the_comment(program: str) -> None:
    """The sentence must end on the first line of the comment."""
    comment = (ROOT / "shim" / program).read_text().splitlines()[1]
    sentence = re.match(r"# (.*?)[.?]( |$)", comment)
    assert sentence is not None
    summary = re.search(rf"^{re.escape(program)} - (.*)$", page_of(program).replace("\\-", "-"), re.MULTILINE)
    assert summary is not None
    assert summary[1].casefold() == sentence[1].casefold()


@pytest.mark.parametrize("program", ["resalloc", "resalloc-maint"])
def test_each_command_has_an_entry(program: str) -> None:
    commands = {"resalloc": {"ticket", "ticket-wait", "run"}, "resalloc-maint": {"resource-list", "foreach-resource"}}
    entries = re.findall(r"^\.TP\n\.B ([a-z][a-z\\-]*)", page_of(program), re.MULTILINE)
    assert commands[program] <= {entry.replace("\\-", "-") for entry in entries}


@pytest.mark.parametrize("program", PROGRAMS)
def test_mandoc_accepts_the_page(program: str) -> None:
    if shutil.which("mandoc") is None:
        pytest.skip("mandoc IS NOT INSTALLED: the manual pages are NOT checked; install mandoc")
    done = subprocess.run(
        ["mandoc", "-T", "lint", "-W", "warning"], input=page_of(program), capture_output=True, text=True, check=False
    )
    complaints = [line for line in done.stdout.splitlines() if "missing date" not in line]
    assert complaints == [], "the date is left out so that the same help gives the same page"
