"""Links between pages lead to pages and headings that exist, and the paths that pages name exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "ARCHITECTURE.md", ROOT / "CHANGELOG.md", ROOT / "state" / "README.md"]
PAGES += sorted((ROOT / "docs").rglob("*.md"))
ROOMS = "functions|state|scheduler|config|shim|tests|docs"
IN_STATE_FOLDER = re.compile(r"state/\d|docs/NAME")


def names(pages: list[Path]) -> list[str]:
    return [str(page.relative_to(ROOT)) for page in pages]


def without_code(text: str) -> str:
    """The page without fenced blocks, in which `#` begins a comment."""
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """What can follow `#` in a link to this page, as GitHub makes it of headings."""
    text = without_code(page.read_text())
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    made = {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}
    return made | set(re.findall(r'<a id="([\w-]+)">', text))


@pytest.mark.parametrize("page", PAGES, ids=names(PAGES))
def test_every_link_leads_to_a_page_and_a_heading(page: Path) -> None:
    wrong = []
    for link in re.findall(r"\]\(([^)\s]+)\)", without_code(page.read_text())):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            wrong.append(link)
    assert wrong == []


@pytest.mark.parametrize("page", PAGES, ids=names(PAGES))
def test_every_path_in_code_marks_exists(page: Path) -> None:
    found = re.findall(rf"`((?:{ROOMS})/[\w./-]+?)(?:::\w+)?(?:: [\w_]+)?`", without_code(page.read_text()))
    assert [path for path in found if not (ROOT / path).exists() and not IN_STATE_FOLDER.match(path)] == []


def test_every_page_is_in_the_index() -> None:
    index = (ROOT / "docs" / "README.md").read_text()
    pages = {str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").rglob("*.md")} - {"README.md"}
    assert pages - set(re.findall(r"\]\(([\w./-]+?)(?:#[\w-]+)?\)", index)) == set()


@pytest.mark.parametrize("page", ["operations.md", "recovery.md", "semantics.md"])
def test_a_table_of_contents_has_every_heading_in_order(page: str) -> None:
    text = without_code((ROOT / "docs" / page).read_text())
    listed = re.findall(r"^- \[(.*?)\]\(#[\w-]+\)$", text, re.MULTILINE)
    headings = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert listed == [heading for heading in headings if heading != "Disaster recovery"]


def test_a_link_to_a_heading_that_is_not_there_is_noticed(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# One\n\n## What's new, in `a.yaml`\n\n```\n# no heading\n```\n")
    assert anchors(page) == {"one", "whats-new-in-ayaml"}
