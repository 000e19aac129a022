import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from functions.operators import logs


@pytest.fixture
def folder(settings, scheduler):
    scheduler.resource(1)
    folder = settings.log_dir / "hooks"
    folder.mkdir(parents=True)
    return folder


def test_logs_are_listed_with_their_sizes(client, folder):
    assert client.get("/resources/1/logs").text == ""
    (folder / "000001_watch").write_bytes(b"12345")
    (folder / "000001_alloc").write_bytes(b"1")
    (folder / "000002_alloc").write_bytes(b"1")
    assert (
        client.get("/resources/p_00000001/logs").text
        == f"alloc 1 {folder}/000001_alloc\nwatch 5 {folder}/000001_watch\n"
    )
    assert client.get("/resources/1/logs", headers={"Accept": "application/json"}).json["logs"][1] == {
        "kind": "watch",
        "size": 5,
        "file": f"{folder}/000001_watch",
    }


def test_a_log_is_read_from_an_offset(client, folder):
    (folder / "000001_alloc").write_bytes(b"ab\xffcd")
    for offset, rest in ((0, b"ab\xffcd"), (3, b"cd"), (5, b""), (9, b"")):
        reply = client.get(f"/resources/1/logs/alloc?offset={offset}")
        assert (reply.status_code, reply.data, reply.headers["Log-Size"]) == (200, rest, "5")


def test_a_log_that_does_not_exist_yet_is_empty(client, folder):
    reply = client.get("/resources/1/logs/release")
    assert (reply.status_code, reply.data, reply.headers["Log-Size"]) == (200, b"", "0")


def test_a_waiting_reader_gets_new_bytes(client, app, folder):
    with ThreadPoolExecutor(2) as pool:
        new_kind = pool.submit(lambda: app.test_client().get("/resources/1/logs?wait=30&seen=0").text)
        more = pool.submit(lambda: app.test_client().get("/resources/1/logs/alloc?wait=30&offset=0").data)
        (folder / "000001_alloc").write_bytes(b"news")
        assert new_kind.result(10).startswith("alloc 4 ")
        assert more.result(10) == b"news"


def test_a_truncated_log_ends_the_wait_at_once(client, folder):
    (folder / "000001_alloc").write_bytes(b"1")
    assert client.get("/resources/1/logs/alloc?offset=7&wait=30").headers["Log-Size"] == "1"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/resources/9/logs", 404),
        ("/resources/1/logs/nope", 400),
        ("/resources/1/logs/..%2f..", 404),
        ("/resources/1/logs/alloc?offset=-1", 400),
        ("/resources/1/logs/alloc?wait=61", 400),
        ("/resources/1/logs?seen=x", 400),
    ],
)
def test_unknown_logs_are_refused(client, folder, path, status):
    assert client.get(path).status_code == status


@pytest.mark.parametrize("path", ["/resources/1/logs", "/resources/1/logs/alloc?wait=0.1", "/logs?resource=1"])
def test_logs_are_read_in_a_native_thread(client, folder, monkeypatch, path):
    """Given a process with an event loop, when a log is read, then the loop does not wait for the disk."""
    (folder / "000001_alloc").write_bytes(b"")
    readers = []

    def in_native_thread(function, *arguments):
        with ThreadPoolExecutor(1, thread_name_prefix="native") as pool:
            return pool.submit(function, *arguments).result()

    def noting(method):
        def call(file, *arguments, **options):
            if file.parent == folder:
                readers.append(threading.current_thread().name.partition("_")[0])
            return method(file, *arguments, **options)

        return call

    monkeypatch.setattr(logs, "in_thread", in_native_thread)
    for name in ("open", "stat"):
        monkeypatch.setattr(Path, name, noting(getattr(Path, name)))
    assert client.get(path).status_code == 200
    assert set(readers) == {"native"}


def test_logs_of_several_resources_are_listed_together(client, scheduler, folder):
    scheduler.resource(2)
    for name in ("000001_alloc", "000002_watch", "000003_alloc"):
        (folder / name).write_bytes(b"12345")
    asked = "/logs?resource=p_00000002&resource=1&resource=2"
    assert client.get(asked).text == f"2 watch 5 {folder}/000002_watch\n1 alloc 5 {folder}/000001_alloc\n"
    assert client.get(asked, headers={"Accept": "application/json"}).json["logs"][1] == {
        "resource": 1,
        "kind": "alloc",
        "size": 5,
        "file": f"{folder}/000001_alloc",
    }


def test_a_new_empty_log_ends_the_wait_for_several(client, app, folder):
    (folder / "000001_alloc").write_bytes(b"12345")
    with ThreadPoolExecutor(1) as pool:
        reply = pool.submit(lambda: app.test_client().get("/logs?resource=1&wait=30&seen=6").text)
        (folder / "000001_watch").touch()
        assert reply.result(10).splitlines()[1] == f"1 watch 0 {folder}/000001_watch"


@pytest.mark.parametrize(
    ("query", "status"), [("", 400), ("resource=9", 404), ("resource=1&wait=61", 400), ("resource=1&kind=alloc", 400)]
)
def test_wrong_requests_for_several_logs_are_refused(client, folder, query, status):
    assert client.get(f"/logs?{query}").status_code == status


def test_a_reply_says_where_the_next_read_starts(client, folder):
    (folder / "000001_alloc").write_bytes(b"x" * (1024 * 1024 + 5))
    first = client.get("/resources/1/logs/alloc")
    assert (first.headers["Log-Next"], len(first.data)) == ("1048576", 1024 * 1024)
    assert client.get("/resources/1/logs/alloc?offset=1048576").headers["Log-Next"] == "1048581"
    assert client.get("/resources/1/logs/alloc?offset=2000000").headers["Log-Next"] == "1048581"
