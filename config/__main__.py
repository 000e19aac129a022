"""Checks the configuration and shows the settings."""

import argparse
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import fields

from config.agents import load_agents
from config.errors import ConfigError
from config.pools import Pool, load_pools
from config.settings import DEFAULT_CONFIG_DIR, Settings, config_dir, load_settings, pools_file

_EPILOG = f"server.yaml, pools.yaml and agents.yaml are read from $CONFIG_DIR, by default {DEFAULT_CONFIG_DIR}."


def main(arguments: list[str], environ: Mapping[str, str]) -> int:
    """Run one command. Returns the exit status: 0, or 1 if the configuration has faults."""
    parser = argparse.ArgumentParser(prog="python -m config", description=__doc__, epilog=_EPILOG)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("check", help="report all faults in the files, and list the pools and groups of agents")
    show = commands.add_parser("show", help="print the settings as JSON, or one of them as text")
    names = [field.name for field in fields(Settings)]
    show.add_argument("name", nargs="?", choices=names, metavar="NAME", help=", ".join(names))
    options = parser.parse_args(arguments)
    if options.command == "check":
        return _check(environ)
    return _show(environ, options.name)


def _check(environ: Mapping[str, str]) -> int:
    """Check all files, even if one has faults, to report all faults at once."""
    faulty = False
    try:
        for notice in load_settings(environ).notices:
            print(f"warning: {notice}", file=sys.stderr)
    except ConfigError as error:
        faulty = True
        print(error, file=sys.stderr)
    try:
        found = load_pools(pools_file(environ))
        for warning in found.warnings:
            print(f"warning: {warning}", file=sys.stderr)
        for pool in found.pools:
            print(_summary(pool))
    except ConfigError as error:
        faulty = True
        print(error, file=sys.stderr)
    try:
        agents = load_agents(config_dir(environ))
        for warning in agents.warnings if agents else ():
            print(f"warning: {warning}", file=sys.stderr)
        for group in agents.groups.values() if agents else ():
            print(f"agents of {group.name}: tags: {', '.join(group.tags)}; as many as prints: {group.cmd_converge_to}")
    except ConfigError as error:
        faulty = True
        print(error, file=sys.stderr)
    return 1 if faulty else 0


def _summary(pool: Pool) -> str:
    kept = "on demand" if pool.on_demand else f"{pool.max_prealloc} spare"
    tags = ", ".join(sorted(pool.offers)) or "none"
    return f"{pool.name}: at most {pool.max}, {pool.max_starting} starting at a time, {kept}; tags: {tags}"


def _show(environ: Mapping[str, str], name: str | None) -> int:
    try:
        settings = load_settings(environ).as_plain()
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 1
    if name is None:
        print(json.dumps(settings, indent=2))
    elif name == "notices":
        print("\n".join(settings[name]))
    else:
        print(settings[name])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
