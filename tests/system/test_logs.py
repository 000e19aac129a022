"""With `log_format: json` every line that the server writes is an object, and says what it is about."""

import json
from pathlib import Path
from typing import Any

from tests.system.farm import Farm
from tests.waiting import until

POOL = "p: {max: 1, max_prealloc: 1, cmd_new: echo 1, cmd_delete: 'true', cmd_release: 'true', tags: [x]}"


def lines(path: Path) -> list[dict[str, Any]]:
    """All whole lines of a log."""
    return [json.loads(line) for line in path.read_text().split("\n")[:-1]]


def test_every_line_is_an_object_with_the_numbers_that_it_is_about(farm: Farm) -> None:
    farm.set_server("log_format: json\n")
    farm.set_pools(POOL)
    farm.start()
    ticket = farm.take("x")
    farm.wait(ticket)
    farm.close(ticket)
    log = farm.logs / "main.log"
    until(lambda: any("deleting" in line["message"] for line in lines(log)), what="the end of the resource")
    (farm.state / "tickets" / "open" / "77.json").write_text("{")
    assert farm.status("/tickets/77") in (404, 503)
    until(lambda: any(line.get("ticket") == 77 for line in lines(log)), what="the corruption")
    farm.terminate("web")
    farm.terminate("scheduler")

    written = lines(log)
    assert {line["logger"].split(".")[0] for line in written} >= {"scheduler", "functions"}
    (granted,) = [line for line in written if line["message"].startswith(f"ticket {ticket}: got resource")]
    assert (granted["ticket"], granted["resource"], granted["pool"], granted["level"]) == (ticket, 1, "p", "INFO")
    assert all(line["resource"] == 1 for line in written if line["message"].startswith("resource 1 "))
    for name in ("web", "scheduler"):
        output = farm.output(name)
        assert output
        assert [line for line in output if not isinstance(json.loads(line), dict)] == []
