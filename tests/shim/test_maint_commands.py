"""What each command of `resalloc-maint` asks for and prints; following logs has a file of its own."""

import os
import re
import resource
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.shim.client import Client, every_shell
from tests.shim.server import ScriptedServer, reply

LINES = b"1 - a pool=p tags=A,B status=UP releases=0 ticket=NULL\n2 - b pool=p tags= status=UP releases=1 ticket=3\n"
NASTY = {
    "quotes": b'it\'s "quoted" `id` \\ \\n \\0101 $HOME $(id) ${HOME}',
    "spaces": b"  two  words\t\ttabs \r",
    "lines": b"\n\nfirst\nsecond\n\n third",
    "operators": b"a; exit 3 & | < > ( ) { } [ ] * ? ~ # ! % ^ =",
    "braces": b"{name} {{ }} {",
    "only quotes": b"'''" * 3,
    "UTF-8": "příliš žluťoučký".encode(),
    "every byte": bytes(range(1, 256)),
    "looks like options": b"-n -e \\c",
    "large": b"'x y\n" * 5_000 + b".",
}


def shell_field(value: bytes) -> bytes:
    """As the server writes a field of ?format=shell."""
    return re.sub(rb"[\x01-\x1f\x7f-\xff\\]", lambda found: b"\\0%03o" % found[0][0], value.replace(b"\0", b""))


def shell_lines(*resources: tuple[int, bytes, bytes, bytes]) -> bytes:
    return b"".join(b"%d\t" % number + b"\t".join(map(shell_field, fields)) + b"\n" for number, *fields in resources)


@pytest.mark.parametrize(
    ("arguments", "path", "query"),
    [
        (["resource-list"], "/resources", {}),
        (["resource-list", "--up"], "/resources", {"state": ["UP"]}),
        (["ticket-list"], "/tickets", {}),
    ],
)
def test_lists_print_the_servers_lines(
    maint: Client, server: ScriptedServer, arguments: list[str], path: str, query: dict[str, list[str]]
) -> None:
    server.script(reply(200, LINES), reply(200), reply(200, b'{"x": []}\n', Content_Type="application/json"))
    done = maint.run(*arguments)
    assert (done.returncode, done.stdout, done.stderr) == (0, LINES, b"")
    assert maint.run(*arguments).stdout == b""
    assert maint.run(*arguments, "--json").stdout == b'{"x": []}\n'
    assert [(request.method, request.path, request.query) for request in server.requests] == [("GET", path, query)] * 3
    assert [request.headers["accept"] for request in server.requests] == ["*/*", "*/*", "application/json"]


@pytest.mark.parametrize("name", ["17", "p_00000017_20260101", "a b/c?d#e%20&f", "žluť", "..", "{a,b}[1-3]"])
def test_info_asks_for_this_very_id_or_name(maint: Client, server: ScriptedServer, name: str) -> None:
    server.script(*[reply(200, b'{\n    "id": 17\n}\n', Content_Type="application/json")] * 2)
    for arguments in ([name], [name, "--json"]):
        done = maint.run("resource-info", *arguments)
        assert (done.returncode, done.stdout) == (0, b'{\n    "id": 17\n}\n')
    assert unquote(server.requests[0].path) == f"/resources/{name}"


@pytest.mark.parametrize(
    ("arguments", "form"),
    [
        (["7"], {"resource": ["7"]}),
        (["7", "a b&c=d+é", "@/etc/passwd", "$(id)`id`", "'\"*"], None),
        (["--all"], {"all": ["1"]}),
        (["--unused"], {"unused": ["1"]}),
    ],
)
def test_delete_names_what_to_delete_and_prints_nothing(
    maint: Client, server: ScriptedServer, arguments: list[str], form: dict[str, list[str]] | None
) -> None:
    server.script(reply(202, b"deleted 7 a\n"))
    done = maint.run("resource-delete", *arguments)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    (request,) = server.requests
    assert (request.method, request.path) == ("POST", "/resources/delete")
    assert request.form == (form or {"resource": arguments})


def test_unknown_resources_are_reported_and_are_no_failure(maint: Client, server: ScriptedServer) -> None:
    server.script(reply(202, b"deleted 7 a\nunknown 'x y'\nunknown '9'\n"))
    done = maint.run("resource-delete", "x y", "7", "9")
    assert (done.returncode, done.stdout) == (0, b"")
    assert done.stderr.decode().splitlines() == [
        "resalloc-maint: unknown: there is no resource 'x y'",
        "resalloc-maint: unknown: there is no resource '9'",
    ]


def test_held_resources_are_reported_and_are_a_failure(maint: Client, server: ScriptedServer) -> None:
    server.script(reply(202, b"deleted 7 a\nheld 9 b: odd network\n"))
    done = maint.run("resource-delete", "7", "9")
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr == b"resalloc-maint: on hold, so not deleted; run resource-release first: 9 b: odd network\n"


def test_many_are_deleted_in_requests_that_are_not_too_large(maint: Client, server: ScriptedServer) -> None:
    server.script(*[reply(202)] * 3)
    names = [f"name {number}" for number in range(120)]
    assert maint.run("resource-delete", *names).returncode == 0
    assert [name for request in server.requests for name in request.form["resource"]] == names
    assert [len(request.form["resource"]) for request in server.requests] == [50, 50, 20]


@pytest.mark.parametrize(
    ("arguments", "path", "form"),
    [
        (["pool-pause", "a b/c"], "/pools/a b/c/pause", {"reason": [""]}),
        (["pool-resume", "a", "--reason=it's & done"], "/pools/a/resume", {"reason": ["it's & done"]}),
        (["pool-drain", "a", "--by", "+2h"], "/pools/a/drain", {"reason": [""], "by": ["+2h"]}),
        (["pool-retry", "a"], "/pools/a/retry", {"reason": [""]}),
        (["pool-delete-unused", "a", "--reason=old"], "/pools/a/delete-unused", {"reason": ["old"]}),
        (["resource-hold", "7", "--reason", "x y"], "/resources/7/hold", {"reason": ["x y"]}),
        (["resource-hold", "a/b", "--for=2h", "--reason=x"], "/resources/a/b/hold", {"reason": ["x"], "for": ["2h"]}),
        (
            ["resource-hold", "7", "--reason=x", "--until", "+2h"],
            "/resources/7/hold",
            {"reason": ["x"], "until": ["+2h"]},
        ),
        (["resource-release", "7"], "/resources/7/release", {"reason": [""]}),
    ],
)
def test_verbs_send_the_operators_name_and_print_the_effect(
    maint: Client, server: ScriptedServer, arguments: list[str], path: str, form: dict[str, list[str]]
) -> None:
    server.script(reply(202, b"pool a: so be it\n"))
    done = maint.run(*arguments, env={"SUDO_USER": "alice"})
    assert (done.returncode, done.stdout, done.stderr) == (0, b"pool a: so be it\n", b"")
    (request,) = server.requests
    assert (request.method, unquote(request.path), request.form) == ("POST", path, form)
    assert request.headers["resalloc-user"] == "alice"


def test_foreach_prints_names_by_default(maint: Client, server: ScriptedServer) -> None:
    server.script(reply(200, shell_lines((1, b"a", b"UP", b"ip\n"), (2, b"b c", b"STARTING", b""))))
    done = maint.run("foreach-resource")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"a\nb c\n", b"")
    assert (server.requests[0].path, server.requests[0].query) == ("/resources", {"format": ["shell"]})


@every_shell
@pytest.mark.parametrize("value", NASTY.values(), ids=NASTY)
def test_no_value_can_do_anything_to_the_command(maint: Client, server: ScriptedServer, value: bytes) -> None:
    server.script(reply(200, shell_lines((1, value, b"UP", value), (2, b"next", b"UP", b"x"))))
    command = "printf '<%s>' {name} {state} {data_utf8} {id}"
    done = maint.run("foreach-resource", "--command", command, env={"LANG": "C.UTF-8"})
    assert done.returncode == 0
    assert done.stdout == b"<%s><UP><%s><1><next><UP><x><2>" % (value, value)
    assert done.stderr == b""


@every_shell
@pytest.mark.parametrize(
    ("data", "becomes"),
    [
        (b"10.0.0.1\n", b"10.0.0.1"),
        (b"a\n\n", b"a"),
        (b"\n", b""),
        (b"", b""),
        (b"a\\0012", b"'a\\0012'"),
        (b"a=b,c:d/e@f%g+h_i-j.k", b"a=b,c:d/e@f%g+h_i-j.k"),
        (b"a b\n", b"'a b'"),
        (b"it's\n", b"'it'\\''s'"),
    ],
)
def test_values_are_stripped_and_quoted_when_need_be(
    maint: Client, server: ScriptedServer, data: bytes, becomes: bytes
) -> None:
    server.script(reply(200, shell_lines((1, b"a", b"UP", data))))
    command = "cat <<'EOF'\n[{data_utf8}]\nEOF"
    assert maint.run("foreach-resource", f"--command={command}").stdout == b"[%s]\n" % becomes


@pytest.mark.parametrize(
    ("command", "prints"),
    [
        ("echo {{name}} {name}{{}}", b"{name} a{}\n"),
        ("echo {{{name}}}", b"{a}\n"),
        ("echo '{{{{' }}}}", b"{{ }}\n"),
        ("echo {id} {id} | sed 's/1/one/'", b"one 1\n"),
        ("x={name}; echo $x ${{x}}", b"a a\n"),
        ("true", b""),
    ],
)
def test_doubled_braces_are_braces(maint: Client, server: ScriptedServer, command: str, prints: bytes) -> None:
    server.script(reply(200, shell_lines((1, b"a", b"UP", b""))))
    assert maint.run("foreach-resource", "--command", command).stdout == prints


def test_failing_commands_stop_nothing(maint: Client, server: ScriptedServer) -> None:
    server.script(reply(200, shell_lines(*((n, b"a", b"UP", b"") for n in range(1, 4)))))
    done = maint.run("foreach-resource", "--command", "echo {id}; exit 3")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"1\n2\n3\n", b"")


@every_shell
def test_commands_run_as_if_called_by_hand(maint: Client, server: ScriptedServer, tmp_path: Path) -> None:
    server.script(reply(200, shell_lines((1, b"a", b"UP", b""))))
    command = "umask; yes | head -n 1; ls /proc/self/fd | wc -w; cat; touch made-{id}; pwd"
    old, before = os.umask(0o027), Path.cwd()
    os.chdir(tmp_path)
    try:
        done = maint.run("foreach-resource", "--command", command)
    finally:
        os.umask(old)
        os.chdir(before)
    assert done.stdout.split() == [b"0027", b"y", b"4", str(tmp_path).encode()]
    assert done.stderr == b""
    assert (tmp_path / "made-1").exists()


def test_hundreds_of_resources_are_a_matter_of_seconds(maint: Client, server: ScriptedServer) -> None:
    count = 200
    server.script(reply(200, shell_lines(*((n, b"a %d" % n, b"UP", b"it's %d\n" % n) for n in range(1, count + 1)))))
    begin = seconds_of_children()
    done = maint.run("foreach-resource", "--command", "echo {id} {data_utf8}")
    assert done.stdout == b"".join(b"%d it's %d\n" % (n, n) for n in range(1, count + 1))
    assert seconds_of_children() - begin < 10


def seconds_of_children() -> float:
    """Processor time of all processes that this one has started and that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
