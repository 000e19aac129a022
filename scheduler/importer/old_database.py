"""Read resalloc's database: SQLite or PostgreSQL, all tables in one transaction, and never write to it."""

import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec

from state.documents import ResourceState, TicketState

SCHEMA = "9d9d3a7f7c8f"
"""The alembic version of resalloc 6.3: the one that added the statistics of pools."""

_LOCK_SECONDS = 30
_CONNECT_SECONDS = 10

_Id = Annotated[int, msgspec.Meta(ge=1)]
_Number = Annotated[int, msgspec.Meta(ge=0)]
_Time = Annotated[float, msgspec.Meta(ge=0, le=1e12)]


class ImportRefused(Exception):
    """Base of all refusals; nothing was written."""


class DatabaseUnreadable(ImportRefused):
    """`database` (its name, without a password) cannot be read."""

    def __init__(self, database: str, why: str) -> None:
        super().__init__(f"{database}: {why}")
        self.database = database
        self.why = why


class UnknownSchema(ImportRefused):
    """The database has the schema `found` ("none" or several names, too), and only `known` can be imported."""

    def __init__(self, database: str, found: str, known: str) -> None:
        super().__init__(
            f"{database}: its schema is {found}, and only {known} (resalloc 6.3) can be imported; "
            "start resalloc 6.3 on it once, which brings an older one up to date"
        )
        self.database = database
        self.found = found
        self.known = known


class BrokenRow(ImportRefused):
    """A row holds a value that its column must not hold. `row` is the first column's value."""

    def __init__(self, database: str, table: str, row: object, column: str, why: str) -> None:
        super().__init__(f'{database}: table {table}, row {row}, column "{column}": {why}')
        self.database = database
        self.table = table
        self.row = row
        self.column = column


class OldTicket(msgspec.Struct, frozen=True, array_like=True):
    """A row of `tickets`. `resource_id` stays after the ticket is closed."""

    id: _Id
    resource_id: int | None
    state: TicketState
    sandbox: str | None


class OldResource(msgspec.Struct, frozen=True, array_like=True):
    """A row of `resources`. `ticket_id` is the ticket that has it now, or had it when it was to be deleted."""

    id: _Id
    name: str | None
    user: str | None
    data: bytes | None
    pool: str
    state: ResourceState
    check_last_time: _Time | None
    check_failed_count: _Number | None
    ticket_id: int | None
    sandbox: str | None
    sandboxed_since: _Time | None
    released_at: _Time | None
    releases_counter: _Number | None


class OldTicketTag(msgspec.Struct, frozen=True, array_like=True, rename={"name": "id"}):
    """A row of `ticket_tags`."""

    name: str
    ticket_id: int


class OldResourceTag(msgspec.Struct, frozen=True, array_like=True, rename={"name": "id"}):
    """A row of `resource_tags`."""

    name: str
    resource_id: int
    priority: int | None


class OldIdInPool(msgspec.Struct, frozen=True, array_like=True):
    """A row of `ids_within_pool`."""

    resource_id: int
    pool_name: str
    id: _Number


class OldCounter(msgspec.Struct, frozen=True, array_like=True):
    """A row of `named_counters`."""

    resource_id: int
    counter_name: str
    value: _Number


class OldPool(msgspec.Struct, frozen=True, array_like=True):
    """A row of `pools`. `last_start` is 0 before the first one, `cleaning_unknown_resources` local time."""

    name: str
    last_start: _Time | None
    last_successful_start: _Time | None
    last_attempt_to_start: _Time | None
    startup_success_rate: float | None
    startup_time_avg: float | None
    cleaning_unknown_resources: datetime | None


class OldDatabase(msgspec.Struct, frozen=True, kw_only=True):
    """All rows that matter, each table in the order of its first column."""

    tickets: list[OldTicket] = []
    ticket_tags: list[OldTicketTag] = []
    resources: list[OldResource] = []
    resource_tags: list[OldResourceTag] = []
    ids_within_pool: list[OldIdInPool] = []
    named_counters: list[OldCounter] = []
    pools: list[OldPool] = []


_Fetch = Callable[[str], list[tuple[Any, ...]]]
R = TypeVar("R", bound=msgspec.Struct)


def read_database(database: str) -> OldDatabase:
    """Read the database: the path of an SQLite file, or an `sqlite:` or `postgresql:` URL as in the old `db_url`.

    Raises DatabaseUnreadable, UnknownSchema and BrokenRow.
    """
    scheme, colon, rest = database.partition("://")
    kind = scheme.partition("+")[0]
    opened: AbstractContextManager[_Fetch]
    if not colon:
        name, opened = database, _sqlite(Path(database))
    elif kind == "sqlite":
        path = rest.partition("?")[0].removeprefix("/")
        name, opened = path, _sqlite(Path(path))
    elif kind in ("postgresql", "postgres"):
        name = f"{kind}://{rest.partition('?')[0].rpartition('@')[2]}"
        opened = _postgresql(f"postgresql://{rest}", name)
    else:
        raise DatabaseUnreadable(f"{scheme}:", "must be the path of an SQLite file, or a postgresql:// URL")
    with opened as fetch:
        _check_schema(name, fetch)
        tables = {
            "tickets": _rows(name, fetch, "tickets", OldTicket),
            "ticket_tags": _rows(name, fetch, "ticket_tags", OldTicketTag),
            "resources": _rows(name, fetch, "resources", OldResource),
            "resource_tags": _rows(name, fetch, "resource_tags", OldResourceTag),
            "ids_within_pool": _rows(name, fetch, "ids_within_pool", OldIdInPool),
            "named_counters": _rows(name, fetch, "named_counters", OldCounter),
            "pools": _rows(name, fetch, "pools", OldPool),
        }
    return OldDatabase(**tables)  # type: ignore[arg-type]  # each list has the form of its own field


@contextmanager
def _sqlite(path: Path) -> Iterator[_Fetch]:
    if not path.is_file():
        raise DatabaseUnreadable(str(path), "there is no such file")
    try:
        uri = f"{path.absolute().as_uri()}?mode=ro"
        connection = sqlite3.connect(uri, uri=True, timeout=_LOCK_SECONDS, isolation_level=None)
        try:
            connection.execute("BEGIN")
            yield lambda query: connection.execute(query).fetchall()
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise DatabaseUnreadable(str(path), f"cannot be read as a database of resalloc: {error}") from error


@contextmanager
def _postgresql(url: str, name: str) -> Iterator[_Fetch]:
    try:
        import psycopg
    except ImportError:
        why = 'the PostgreSQL driver is missing: install the extra "postgres" (resalloc-functions[postgres])'
        raise DatabaseUnreadable(name, why) from None
    try:
        connection: psycopg.Connection[tuple[Any, ...]]
        with psycopg.connect(url, connect_timeout=_CONNECT_SECONDS, client_encoding="utf8") as connection:
            connection.read_only = True
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            yield lambda query: connection.execute(query.encode()).fetchall()
    except psycopg.Error as error:
        why = " ".join(str(error).split())
        raise DatabaseUnreadable(name, f"cannot be read as a database of resalloc: {why}") from error


def _check_schema(database: str, fetch: _Fetch) -> None:
    found = sorted(str(version) for (version,) in fetch("SELECT version_num FROM alembic_version"))
    if found != [SCHEMA]:
        raise UnknownSchema(database, ", ".join(found) or "none", SCHEMA)


def _rows(database: str, fetch: _Fetch, table: str, form: type[R]) -> list[R]:
    columns = [field.encode_name for field in msgspec.structs.fields(form)]
    # Qualified, for a bare "user" is a function in PostgreSQL, and in SQLite a quoted name may be a text.
    selected = ", ".join(f'{table}."{column}"' for column in columns)
    rows = fetch(f"SELECT {selected} FROM {table} ORDER BY 1, 2")
    return [_row(database, table, columns, form, row) for row in rows]


def _row(database: str, table: str, columns: list[str], form: type[R], row: tuple[Any, ...]) -> R:
    if form is OldResource and isinstance(row[3], str):
        # SQLite keeps what was put in by hand as text; conversion would take it for base64.
        row = (*row[:3], row[3].encode(), *row[4:])
    try:
        return msgspec.convert(row, form)
    except msgspec.ValidationError as error:
        why, _, place = str(error).partition(" - at ")
        position = re.search(r"\d+", place)
        column = columns[int(position.group())] if position else "?"
        raise BrokenRow(database, table, row[0], column, why) from error
