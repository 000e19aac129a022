"""Import the database of resalloc 6.3 into an empty state folder."""

import argparse
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import state
from config.errors import ConfigError
from config.settings import load_settings
from scheduler.importer.convert import convert, summary
from scheduler.importer.old_database import ImportRefused, read_database
from state.errors import StateError

_EPILOG = """Stop the old server before the import, and start the new one after it. The command prints what it imports,
and a line that begins with "odd:" for each row that is strange or could not be kept. Exit status: 0 when the import is
complete, 1 when nothing was written; then the reason is printed."""


def main(arguments: list[str], environ: Mapping[str, str]) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="resalloc-import", description=__doc__, epilog=_EPILOG)
    parser.add_argument(
        "database",
        metavar="DATABASE",
        help="an SQLite file, or the URL of an SQLite or PostgreSQL database as in the old db_url",
    )
    parser.add_argument(
        "--state-dir", type=Path, metavar="DIR", help="where to write (default: the server's own, as configured)"
    )
    parser.add_argument("--dry-run", action="store_true", help="only show what would be done; write nothing")
    options = parser.parse_args(arguments)
    try:
        root = options.state_dir or load_settings(environ).state_dir
        _import(options.database, root.absolute(), options.dry_run)
    except (ConfigError, ImportRefused, StateError) as error:
        print(error, file=sys.stderr)
    except OSError as error:
        print(f"{error.filename or 'the state folder'}: {error.strerror or error}", file=sys.stderr)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
    else:
        return 0
    print("nothing was imported", file=sys.stderr)
    return 1


def _import(database: str, root: Path, dry_run: bool) -> None:
    state.check_empty(root)
    converted = convert(read_database(database), time.time())
    for oddity in converted.oddities:
        print(f"odd: {oddity}")
    for line in summary(converted):
        print(line)
    if dry_run:
        print(f"dry run: nothing was written to {root}")
        return
    sys.stdout.flush()
    state.restore(root, converted)
    print(f"imported into {root}")


def command() -> int:
    """The entry point of the command `resalloc-import`."""
    return main(sys.argv[1:], os.environ)


if __name__ == "__main__":
    sys.exit(command())
