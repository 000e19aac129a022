"""Row 12: the farm of the demo pools at rest, with its real hooks.

Memory is the proportional set size of web and scheduler. Wake-ups are counted by the kernel, each time that a thread
went to sleep. What may wake: gunicorn's master and each worker prove once a second that they live; the scheduler
has its due times, above all the livechecks of the demo pools. So it is measured a second time with those checks an
hour apart.
"""

import json
import re
import shutil
import time
from collections.abc import Iterator

from tests.bench import processes
from tests.bench.clients import Http
from tests.bench.farm import PROJECT, Farm
from tests.bench.place import Place
from tests.bench.table import Figure, Row, Values
from tests.waiting import until

DEMO = PROJECT / "config"
SPARES = 4
"""How many resources the demo pools keep ready, two each."""


def _measure(place: Place) -> Iterator[Values]:
    seconds = place.size(30, 2)
    with place.hello() as hello:
        bare = processes.memory(hello.pids())
        for _ in place.runs(3):
            with place.farm({}, start=False) as farm:
                shutil.copytree(DEMO / "hooks", farm.config / "hooks")
                shutil.copy(DEMO / "pools.yaml", farm.config)
                farm.start()
                try:
                    until(lambda: _up(farm) >= SPARES, 60, "the spares of the demo pools")
                    Http(farm.address).request("GET", "/healthz")
                    time.sleep(seconds / 5)
                    values = _at_rest(farm, seconds)
                    _check_hourly(farm)
                    time.sleep(seconds / 5)
                    quiet = _wake_ups(farm, "scheduler", seconds)
                finally:
                    _remove_resources(farm)
            yield {
                **values,
                "wake-ups of the scheduler, livechecks an hour apart": quiet,
                "bare: memory of a gunicorn hello": bare,
            }


def _check_hourly(farm: Farm) -> None:
    pools = farm.config / "pools.yaml"
    text, found = re.subn(r"livecheck_period: \d+", "livecheck_period: 3600", pools.read_text())
    if not found:
        raise AssertionError("the demo pools have no livecheck_period any more")
    pools.write_text(text)


def _wake_ups(farm: Farm, name: str, seconds: float) -> float:
    before = processes.wake_ups(farm.pids(name))
    time.sleep(seconds)
    return (processes.wake_ups(farm.pids(name)) - before) / seconds


def _at_rest(farm: Farm, seconds: float) -> Values:
    before = {name: processes.wake_ups(farm.pids(name)) for name in ("web", "scheduler")}
    used = processes.processor_seconds(farm.pids())
    time.sleep(seconds)
    after = {name: processes.wake_ups(farm.pids(name)) for name in ("web", "scheduler")}
    return {
        "memory": farm.memory(),
        "memory of the web": processes.memory(farm.pids("web")),
        "memory of the scheduler": processes.memory(farm.pids("scheduler")),
        "wake-ups of the web": (after["web"] - before["web"]) / seconds,
        "wake-ups of the scheduler": (after["scheduler"] - before["scheduler"]) / seconds,
        "processor": (processes.processor_seconds(farm.pids()) - used) / seconds * 100,
    }


def _up(farm: Farm) -> int:
    return sum(
        json.loads(path.read_bytes())["state"] == "UP" for path in (farm.state / "resources" / "live").glob("*.json")
    )


def _remove_resources(farm: Farm) -> None:
    """Let the farm delete its resources, which are real processes."""
    pools = json.loads((farm.state / "view" / "pools.json").read_bytes())["pools"]
    commands = {"cmd_delete": "hooks/local-delete", "max": 0, "max_prealloc": 0}
    farm.set_pools({pool["name"]: commands if pool["name"] == "local" else {"max": 0} for pool in pools})
    live = farm.state / "resources" / "live"
    client = Http(farm.address)

    def gone() -> bool:
        for path in live.glob("*.json"):
            try:
                client.request("DELETE", f"/resources/{path.stem}")
            except AssertionError:
                pass  # it ended meanwhile
        return not any(live.glob("*.json"))

    until(gone, 60, "the end of the demo pools' resources")


ROWS = (
    Row(
        "12",
        "at rest, demo pools",
        "70 MB",
        (
            Figure("memory", "MB", most=100),
            Figure("memory of the web", "MB"),
            Figure("memory of the scheduler", "MB"),
            Figure("wake-ups of the web", "/s", most=4),
            Figure("wake-ups of the scheduler", "/s"),
            Figure("wake-ups of the scheduler, livechecks an hour apart", "/s", most=1),
            Figure("processor", "% of a core"),
            Figure("bare: memory of a gunicorn hello", "MB"),
        ),
        _measure,
        runs=3,
    ),
)
