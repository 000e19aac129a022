"""`resalloc-maint plan` on a running service: the file has the effects that the preview shows."""

import json
from pathlib import Path

import pytest

from tests.system.farm import Farm
from tests.system.test_maint import ECHO, maint
from tests.waiting import until

OTHER = """
other:
  max: 3
  max_prealloc: 3
  max_starting: 2
  cmd_new: 'until [ -e {folder}/go ]; do sleep 0.1; done'
  cmd_delete: 'true'
  tags: [C]
"""


def test_the_preview_shows_what_the_change_does(farm: Farm, tmp_path: Path) -> None:
    """Given a farm at rest, when a file is previewed and then put in place, then the preview comes true."""
    farm.set_pools(ECHO)
    farm.start()
    farm.wait(farm.take("A"))
    until(lambda: len(farm.up()) == 3, what="two spares beside a taken one")
    waits = farm.take("C")
    text = ECHO.replace("tags:", "livecheck_period: 60\n  tags:").replace("max: 4", "max: 2")
    file = tmp_path / "new.yaml"
    file.write_text(text + OTHER.format(folder=tmp_path))
    done = maint(farm, "plan", str(file), "--json")
    assert (done.returncode, done.stderr) == (0, b"")
    preview = json.loads(done.stdout)
    echo, other = preview["pools"]
    assert (echo["then"], echo["living"], echo["taken"]) == ({"starts": 0, "stops": [], "in_the_end": 3}, 3, 1)
    assert (other["change"], other["then"]) == ("added", {"starts": 2, "stops": [], "in_the_end": 3})

    farm.set_pools(file.read_text())
    until(lambda: [one for one in farm.resources() if one["pool"] == "other"], what="the first starts")
    started = [one for one in farm.resources() if one["pool"] == "other"]
    assert [one["state"] for one in started] == ["STARTING"] * 2
    (tmp_path / "go").touch()
    farm.wait(waits)
    until(lambda: len(farm.up("other")) == 3, what="the final state of the preview")
    assert len(farm.up("echo")) == 3


@pytest.mark.thorough
def test_tickets_that_the_preview_calls_stranded_are_stranded(farm: Farm, tmp_path: Path) -> None:
    """Given a pool that leaves the file, when the preview has come true, then its free resources are stranded."""
    farm.set_pools(ECHO)
    farm.start()
    first = farm.take("A")
    farm.wait(first)
    until(lambda: len(farm.up()) == 3, what="two spares beside a taken one")
    file = tmp_path / "new.yaml"
    file.write_text(OTHER.format(folder=tmp_path))
    done = maint(farm, "plan", str(file))
    assert (done.returncode, done.stdout.decode().splitlines()) == (
        3,
        [
            "pool other is new; starts 2 at once instead of 0; has 3 in the end instead of 0",
            "pool echo is not in the file; has 3 in the end",
            "stranded: ticket 1 would keep a resource that would no longer be replaced: "
            "the pool echo is not in the file",
            "stranded: resources 2, 3 of pool echo would stay until they are taken or deleted: pool-drain echo first",
        ],
    )
    farm.set_pools(file.read_text())
    until(lambda: len(farm.resources()) == 5, what="the previewed starts")
    farm.close(first)
    until(lambda: [one["id"] for one in farm.up("echo")] == [2, 3], what="the end of what was taken")
    done = maint(farm, "plan", str(file))
    assert (done.returncode, done.stdout) == (0, b"nothing would be different\n"), "it was that file's doing"


@pytest.mark.thorough
def test_a_large_file_is_previewed_too(farm: Farm, tmp_path: Path) -> None:
    farm.set_pools(ECHO)
    farm.start()
    until(lambda: len(farm.up()) == 2, what="two spares")
    file = tmp_path / "new.yaml"
    file.write_text(ECHO + "".join(f"p{n}: {{cmd_new: {'x' * 400}, cmd_delete: y}}\n" for n in range(1500)))
    done = maint(farm, "plan", str(file))
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode().splitlines()[-2:] == [
        "pool p1499 is new; starts 1 at once instead of 0; has 2 in the end instead of 0",
        "1 other pool stays as it is",
    ]
    file.write_text("p: {mx: 1}\n" * 100_000)
    assert maint(farm, "plan", str(file)).stderr == b"pools.yaml.new: is larger than 1048576 bytes\n"
