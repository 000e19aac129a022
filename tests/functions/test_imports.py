"""What a room loads when it is imported by itself. pyproject.toml has the contracts; this runs the imports."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("module", "forbidden"),
    [
        ("functions.web.openapi", ("functions.tickets", "functions.operators", "functions.pages", "functions.timed")),
        (
            "functions.tickets.create",
            ("functions.operators", "functions.pages", "functions.timed", "prometheus_client"),
        ),
        ("functions.operators.resources", ("functions.pages", "functions.timed")),
        ("functions.timed.reconcile", ("functions.web", "flask", "gevent", "prometheus_client")),
    ],
)
def test_a_module_loads_nothing_of_the_rooms_above_it(module: str, forbidden: tuple[str, ...]) -> None:
    command = f"import sys, {module}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True).stdout.split()
    wrong = [name for name in loaded for room in forbidden if name == room or name.startswith(f"{room}.")]
    assert wrong == []
