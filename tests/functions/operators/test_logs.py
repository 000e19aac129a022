from concurrent.futures import ThreadPoolExecutor

import pytest


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


def test_a_log_that_is_not_there_yet_is_empty(client, folder):
    reply = client.get("/resources/1/logs/release")
    assert (reply.status_code, reply.data, reply.headers["Log-Size"]) == (200, b"", "0")


def test_a_reader_is_told_what_comes(client, app, folder):
    with ThreadPoolExecutor(2) as pool:
        new_kind = pool.submit(lambda: app.test_client().get("/resources/1/logs?wait=30&seen=0").text)
        more = pool.submit(lambda: app.test_client().get("/resources/1/logs/alloc?wait=30&offset=0").data)
        (folder / "000001_alloc").write_bytes(b"news")
        assert new_kind.result(10).startswith("alloc 4 ")
        assert more.result(10) == b"news"


def test_a_log_that_was_cut_is_told_at_once(client, folder):
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
def test_logs_that_cannot_be_read(client, folder, path, status):
    assert client.get(path).status_code == status
