"""Reading the old database, in a real PostgreSQL server."""

from pathlib import Path

import pytest

from scheduler.importer.old_database import BrokenRow, DatabaseUnreadable, UnknownSchema, read_database
from tests.importer.old import Old
from tests.importer.test_old_database import commit_between_tables, fill


def test_reads_every_column_of_every_table(old_in_postgres: Old) -> None:
    expected = fill(old_in_postgres)
    assert read_database(old_in_postgres.url) == expected


@pytest.mark.parametrize("scheme", ["postgres", "postgresql+psycopg2"])
def test_takes_the_url_as_in_the_old_configuration(old_in_postgres: Old, scheme: str) -> None:
    expected = fill(old_in_postgres)
    assert read_database(old_in_postgres.url.replace("postgresql", scheme)) == expected


def test_reads_what_is_committed_while_the_old_server_writes(old_in_postgres: Old) -> None:
    old_in_postgres.ticket(1)
    old_in_postgres.connection.execute("INSERT INTO tickets (id, state) VALUES (2, 'OPEN')")
    assert [ticket.id for ticket in read_database(old_in_postgres.url).tickets] == [1]


def test_all_tables_are_of_the_same_moment(old_in_postgres: Old, monkeypatch: pytest.MonkeyPatch) -> None:
    old_in_postgres.ticket(1)
    commit_between_tables(old_in_postgres, monkeypatch)
    found = read_database(old_in_postgres.url)
    assert (len(found.tickets), found.resources) == (1, [])


def test_refuses_a_schema_that_it_does_not_know_and_names_it(old_in_postgres: Old) -> None:
    old_in_postgres.run("UPDATE alembic_version SET version_num = 'b50e3f64fc2d'")
    with pytest.raises(UnknownSchema, match="its schema is b50e3f64fc2d"):
        read_database(old_in_postgres.url)


def test_refuses_a_database_that_lacks_a_table(old_in_postgres: Old) -> None:
    old_in_postgres.run("DROP TABLE named_counters")
    with pytest.raises(DatabaseUnreadable, match='relation "named_counters" does not exist'):
        read_database(old_in_postgres.url)


def test_refuses_a_database_that_lacks_a_column(old_in_postgres: Old) -> None:
    old_in_postgres.run('ALTER TABLE resources DROP COLUMN "user"')
    with pytest.raises(DatabaseUnreadable, match=r"column resources\.user does not exist"):
        read_database(old_in_postgres.url)


@pytest.mark.parametrize("value", ["NaN", "Infinity"])
def test_refuses_a_time_that_is_no_number(old_in_postgres: Old, value: str) -> None:
    old_in_postgres.resource(4, released_at=float(value))
    with pytest.raises(BrokenRow, match='table resources, row 4, column "released_at"'):
        read_database(old_in_postgres.url)


def test_refuses_a_database_that_is_not_there_without_showing_the_password(postgres_folder: Path) -> None:
    with pytest.raises(DatabaseUnreadable, match='database "nowhere" does not exist') as refusal:
        read_database(f"postgresql://test:hush@/nowhere?host={postgres_folder}&application_name=hush")
    assert "hush" not in str(refusal.value)


def test_refuses_a_server_that_cannot_be_reached(tmp_path: Path) -> None:
    pytest.importorskip("psycopg", reason="POSTGRESQL IS NOT TESTED: install the extra postgres (psycopg)")
    with pytest.raises(DatabaseUnreadable, match="No such file or directory"):
        read_database(f"postgresql://test@/resalloc?host={tmp_path}")
