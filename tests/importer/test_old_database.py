"""Reading the old database, in SQLite."""

import shutil
import sqlite3
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from scheduler.importer import old_database
from scheduler.importer.old_database import (
    BrokenRow,
    DatabaseUnreadable,
    OldCounter,
    OldDatabase,
    OldIdInPool,
    OldPool,
    OldResource,
    OldResourceTag,
    OldTicket,
    OldTicketTag,
    UnknownSchema,
    read_database,
)
from state.documents import ResourceState, TicketState
from tests.importer.old import Old, new_sqlite


def fill(old: Old) -> OldDatabase:
    """Put a row with every column into every table; returns what reading must give."""
    old.pool(
        "vm",
        last_start=1.5,
        last_successful_start=2.5,
        last_attempt_to_start=3.5,
        startup_success_rate=0.5,
        startup_time_avg=4.5,
        cleaning_unknown_resources="2026-03-04 10:52:27.756502",
    )
    old.ticket(2, "FAILED")
    old.ticket(1, "OPEN", ["a", "b"], resource_id=3, sandbox="box", tid="<Thread>")
    old.resource(
        3,
        "UP",
        {"a": 5, "b": None},
        number=1,
        user="joe",
        data=b"10.0.0.1\0\xff\n",
        check_last_time=10.5,
        check_failed_count=2,
        ticket_id=1,
        sandbox="box",
        sandboxed_since=11.5,
        released_at=12.5,
        releases_counter=4,
    )
    old.put("named_counters", resource_id=3, counter_name="port", value=7)
    return OldDatabase(
        tickets=[OldTicket(1, 3, TicketState.OPEN, "box"), OldTicket(2, None, TicketState.FAILED, None)],
        ticket_tags=[OldTicketTag("a", 1), OldTicketTag("b", 1)],
        resources=[
            OldResource(
                3, "vm_00000003", "joe", b"10.0.0.1\0\xff\n", "vm", ResourceState.UP, 10.5, 2, 1, "box", 11.5, 12.5, 4
            )
        ],
        resource_tags=[OldResourceTag("a", 3, 5), OldResourceTag("b", 3, None)],
        ids_within_pool=[OldIdInPool(3, "vm", 1)],
        named_counters=[OldCounter(3, "port", 7)],
        pools=[OldPool("vm", 1.5, 2.5, 3.5, 0.5, 4.5, datetime(2026, 3, 4, 10, 52, 27, 756502))],
    )


def test_reads_every_column_of_every_table(old: Old) -> None:
    expected = fill(old)
    assert read_database(old.url) == expected


@pytest.mark.parametrize("form", ["sqlite:///{}", "sqlite+pysqlite:///{}?timeout=5"])
def test_takes_the_url_of_an_sqlite_file_as_in_the_old_configuration(old: Old, form: str) -> None:
    fill(old)
    assert read_database(form.format(old.url)) == read_database(old.url)


def test_reads_what_is_committed_while_the_old_server_writes(old: Old) -> None:
    old.ticket(1)
    old.connection.execute("INSERT INTO tickets (id, state) VALUES (2, 'OPEN')")
    assert old.connection.in_transaction
    assert [ticket.id for ticket in read_database(old.url).tickets] == [1]
    old.connection.commit()
    assert [ticket.id for ticket in read_database(old.url).tickets] == [1, 2]


def test_reads_a_database_without_the_write_ahead_log(old: Old) -> None:
    old.ticket(1)
    assert old.connection.execute("PRAGMA journal_mode=DELETE").fetchone() == ("delete",)
    before = Path(old.url).read_bytes()
    assert [ticket.id for ticket in read_database(old.url).tickets] == [1]
    assert Path(old.url).read_bytes() == before


def commit_between_tables(old: Old, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the old server assign a new resource to ticket 1 between the reading of two tables."""
    rows = old_database._rows

    def assign_then_read(database: str, fetch: Any, table: str, form: Any) -> Any:
        if table == "resources":
            old.resource(5, ticket_id=1)
        return rows(database, fetch, table, form)

    monkeypatch.setattr(old_database, "_rows", assign_then_read)


def test_all_tables_are_of_the_same_moment(old: Old, monkeypatch: pytest.MonkeyPatch) -> None:
    old.ticket(1)
    commit_between_tables(old, monkeypatch)
    found = read_database(old.url)
    assert (len(found.tickets), found.resources) == (1, [])


def test_changes_no_byte_of_what_a_killed_server_left(old: Old, tmp_path: Path) -> None:
    old.ticket(1)
    left = tmp_path / "left"
    left.mkdir()
    for name in ("db.sqlite", "db.sqlite-wal"):
        shutil.copy(tmp_path / name, left)
    before = {path.name: path.read_bytes() for path in left.iterdir()}
    assert before["db.sqlite-wal"]
    assert [ticket.id for ticket in read_database(str(left / "db.sqlite")).tickets] == [1]
    assert {name: (left / name).read_bytes() for name in before} == before


def test_takes_text_in_the_data_column_as_its_bytes(old: Old) -> None:
    old.resource(1, data="10.0.0.1")
    assert read_database(old.url).resources[0].data == b"10.0.0.1"


def test_takes_a_file_with_odd_characters_in_its_name(tmp_path: Path) -> None:
    old = new_sqlite(tmp_path / "a b?c#d%20.sqlite")
    old.ticket(1)
    assert [ticket.id for ticket in read_database(old.url).tickets] == [1]
    old.connection.close()


def test_refuses_a_file_that_is_not_there_and_makes_none(tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnreadable, match=r"db\.sqlite: there is no such file"):
        read_database(str(tmp_path / "db.sqlite"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "why"), [(b"pools: {}\n" * 200, "file is not a database"), (b"", "no such table: alembic_version")]
)
def test_refuses_a_file_that_is_no_database_of_resalloc(tmp_path: Path, content: bytes, why: str) -> None:
    path = tmp_path / "db.sqlite"
    path.write_bytes(content)
    with pytest.raises(DatabaseUnreadable, match=f"cannot be read as a database of resalloc: {why}"):
        read_database(str(path))


def test_refuses_a_truncated_database(old: Old, tmp_path: Path) -> None:
    old.put_all("tickets", ["id", "state"], [(id, "CLOSED") for id in range(1, 5000)])
    old.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    content = Path(old.url).read_bytes()
    path = tmp_path / "cut.sqlite"
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(DatabaseUnreadable, match="malformed"):
        read_database(str(path))


def test_refuses_the_url_of_another_kind_of_database() -> None:
    with pytest.raises(DatabaseUnreadable, match="mysql:: must be the path of an SQLite file, or a postgresql:// URL"):
        read_database("mysql://root:secret@localhost/resalloc")


@pytest.mark.parametrize("found", ["b50e3f64fc2d", "ffffffffffff"])
def test_refuses_a_schema_that_it_does_not_know_and_names_it(tmp_path: Path, found: str) -> None:
    old = new_sqlite(tmp_path / "db.sqlite", schema=found)
    with pytest.raises(UnknownSchema, match=f"its schema is {found}, and only 9d9d3a7f7c8f"):
        read_database(old.url)
    old.connection.close()


def test_refuses_a_database_without_a_schema_version(old: Old) -> None:
    old.run("DELETE FROM alembic_version")
    with pytest.raises(UnknownSchema, match="its schema is none"):
        read_database(old.url)


@pytest.mark.parametrize(
    "table",
    [
        "alembic_version",
        "tickets",
        "ticket_tags",
        "resources",
        "resource_tags",
        "ids_within_pool",
        "named_counters",
        "pools",
    ],
)
def test_refuses_a_database_that_lacks_a_table(old: Old, table: str) -> None:
    old.run(f"DROP TABLE {table}")
    with pytest.raises(DatabaseUnreadable, match=f"no such table: {table}"):
        read_database(old.url)


@pytest.mark.parametrize(("table", "column"), [("resources", "user"), ("pools", "startup_time_avg")])
def test_refuses_a_database_that_lacks_a_column(old: Old, table: str, column: str) -> None:
    old.run(f'ALTER TABLE {table} DROP COLUMN "{column}"')
    with pytest.raises(DatabaseUnreadable, match=f"no such column: {table}.{column}"):
        read_database(old.url)


@pytest.mark.parametrize(
    ("table", "values", "message"),
    [
        ("tickets", {"id": 4, "state": "LOST"}, "table tickets, row 4, column \"state\": Invalid enum value 'LOST'"),
        ("tickets", {"id": 4, "state": None}, 'table tickets, row 4, column "state"'),
        ("tickets", {"id": -1, "state": "OPEN"}, 'table tickets, row -1, column "id"'),
        ("tickets", {"id": 4, "state": "OPEN", "resource_id": "x"}, 'table tickets, row 4, column "resource_id"'),
        ("resources", {"id": 4, "pool": "vm", "state": "GONE"}, "Invalid enum value 'GONE'"),
        ("resources", {"id": 4, "pool": "vm", "state": "UP", "released_at": "noon"}, 'column "released_at"'),
        ("resources", {"id": 4, "pool": "vm", "state": "UP", "released_at": float("inf")}, 'column "released_at"'),
        ("resources", {"id": 4, "pool": "vm", "state": "UP", "releases_counter": -1}, 'column "releases_counter"'),
        ("resources", {"id": 4, "pool": "vm", "state": "UP", "data": 5}, 'column "data"'),
        ("ids_within_pool", {"resource_id": 4, "pool_name": None, "id": 1}, 'column "pool_name"'),
        ("ids_within_pool", {"resource_id": 4, "pool_name": "vm", "id": -1}, 'column "id"'),
        ("named_counters", {"resource_id": 4, "counter_name": "a", "value": None}, 'column "value"'),
        ("pools", {"name": "vm", "cleaning_unknown_resources": "noon"}, 'column "cleaning_unknown_resources"'),
    ],
)
def test_refuses_a_row_with_a_wrong_value_and_says_where(
    old: Old, table: str, values: dict[str, object], message: str
) -> None:
    old.put(table, **values)
    with pytest.raises(BrokenRow) as refusal:
        read_database(old.url)
    assert message in str(refusal.value)


def test_refuses_text_that_is_not_utf_8(old: Old) -> None:
    old.run("INSERT INTO tickets (id, state, sandbox) VALUES (1, 'OPEN', CAST(x'ff' AS TEXT))")
    with pytest.raises(DatabaseUnreadable, match="Could not decode to UTF-8"):
        read_database(old.url)


def test_waits_no_longer_than_its_limit_for_a_locked_database(old: Old, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scheduler.importer.old_database._LOCK_SECONDS", 0.1)
    old.connection.execute("PRAGMA journal_mode=DELETE")
    blocker = sqlite3.connect(old.url, isolation_level=None)
    blocker.execute("BEGIN EXCLUSIVE")
    with pytest.raises(DatabaseUnreadable, match="database is locked"):
        read_database(old.url)
    blocker.close()
