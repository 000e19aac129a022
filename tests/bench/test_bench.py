"""The suite itself works: rows run from end to end and every figure comes out."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench.farm import PROJECT

pytestmark = pytest.mark.thorough


def test_the_quick_form_measures_all_figures_of_the_rows_that_are_asked_for(tmp_path: Path) -> None:
    # given a place to measure on, and a file for the figures
    figures, place = tmp_path / "bench.json", tmp_path / "place"

    # when rows of three kinds are run: tickets over XML-RPC, thousands of connections, the policy alone
    command = [sys.executable, "-m", "tests.bench", "4", "7", "10", "--quick", "--json", str(figures)]
    command += ["--folder", str(place)]
    done = subprocess.run(command, check=False, cwd=PROJECT, capture_output=True, text=True, timeout=120)

    # then each yields all its figures, the work was done, the terminal says whether targets are reached
    assert done.returncode == 0, done.stderr
    rows = json.loads(figures.read_bytes())["rows"]
    assert sorted(rows) == ["10", "4", "7"]
    assert all(figure["median"] > 0 for row in rows.values() for figure in row["figures"])
    served = next(figure for figure in rows["7"]["figures"] if figure["name"] == "served")
    assert (served["median"], served["reached"]) == (100, True)
    assert "reached" in done.stdout
    # and nothing is left on the disk
    assert list(place.iterdir()) == []
