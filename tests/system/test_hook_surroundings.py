"""The surroundings of every hook on a real server: environment, PATH, folder, standard input; and the server's log."""

import os
from pathlib import Path

import pytest

from tests.system.farm import SHIM, Farm
from tests.waiting import until

SPY = """#!/bin/sh
{
    pwd
    wc -c
    for helper in resalloc-check-vm-ip resalloc-wait-for-ssh resalloc resalloc-maint; do command -v $helper; done
} >"$2/$1.seen"
env -0 >"$2/$1.new" && mv "$2/$1.new" "$2/$1.env"
"""
"""Prints its environment."""


def environment_of(farm: Farm, kind: str) -> dict[str, str]:
    path = farm.folder / f"{kind}.env"
    until(path.exists, what=f"the {kind} hook")
    words = path.read_bytes().decode().split("\0")
    return dict(word.split("=", 1) for word in words if word)


def test_hooks_have_the_servers_environment_its_helpers_and_an_empty_input(
    farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OS_CLOUD", "somewhere in the clouds")
    monkeypatch.setenv("MALLOC_ARENA_MAX", "2")
    kinds = {"alloc": "cmd_new", "watch": "cmd_livecheck", "release": "cmd_release", "terminate": "cmd_delete"}
    hooks = "\n".join(f"  {option}: ./spy {kind} {farm.folder}" for kind, option in kinds.items())
    farm.set_pools(f"p:\n  max: 1\n  tags: [A]\n{hooks}\n")
    (farm.config / "spy").write_text(SPY)
    (farm.config / "spy").chmod(0o755)
    farm.start()
    ticket = farm.take("A")
    farm.wait(ticket)
    environment_of(farm, "watch")
    farm.close(ticket)
    for kind in kinds:
        environment = environment_of(farm, kind)
        own = {name for name in environment if name.startswith("RESALLOC_")}
        assert own == {"RESALLOC_ID", "RESALLOC_NAME", "RESALLOC_POOL_ID", "RESALLOC_ID_IN_POOL"}
        assert not [name for name in environment if name.startswith("MALLOC_")], "these are the server's own settings"
        assert environment["OS_CLOUD"] == "somewhere in the clouds"
        folder, size, *helpers = (farm.folder / f"{kind}.seen").read_text().splitlines()
        assert Path(folder) == farm.config
        assert size == "0"
        names = ("resalloc-check-vm-ip", "resalloc-wait-for-ssh", "resalloc", "resalloc-maint")
        assert [os.path.realpath(helper) for helper in helpers] == [str(SHIM / name) for name in names]


def test_the_servers_own_log_is_appended_to_and_survives_copytruncate(farm: Farm) -> None:
    farm.set_pools("p: {max: 1, cmd_new: 'true', cmd_delete: 'true', tags: [A]}")
    farm.logs.mkdir()
    log = farm.logs / "main.log"
    log.write_text("from before\n")
    farm.start()
    farm.wait(farm.take("A"))
    until(lambda: "ticket 1: got resource 1" in log.read_text(), what="the line about the ticket")
    assert log.read_text().startswith("from before\n")
    os.truncate(log, 0)
    assert farm.status("-X", "DELETE", "/resources/1") == 202
    until(lambda: "ticket 1: failed" in log.read_text(), what="the next lines")
    assert b"\0" not in log.read_bytes()
