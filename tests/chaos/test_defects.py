"""The defects that are planted to try the chaos tests can still be planted."""

import shutil
from pathlib import Path

import pytest

from tests.chaos.defects import DEFECTS, NOT_COPIED, PRODUCT, PROJECT, Defect, plant


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the product."""
    folder = tmp_path_factory.mktemp("copy")
    for name in PRODUCT:
        shutil.copytree(PROJECT / name, folder / name, ignore=NOT_COPIED)
    return folder


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.name)
def test_each_defect_has_its_place_in_the_product(defect: Defect, copy: Path) -> None:
    """When this fails after a change of the product, let the pattern in tests/chaos/defects.py follow the code."""
    plant(defect, copy)
