"""resalloc-wait-for-ssh: waits until a machine that was just started lets us in."""

import signal
import subprocess
import time

import pytest

CLOUD_IMAGE = """echo 'Please login as the user "cloud-user" rather than the user "root".';echo;exit """


def seconds_of(run) -> float:
    began = time.monotonic()
    run()
    return time.monotonic() - began


def await_line(process: subprocess.Popen[str], text: str) -> None:
    """Read the helper's standard error until a line has `text`; the test's time limit ends a wait in vain."""
    for line in process.stderr:
        if text in line:
            return
    pytest.fail(f"it ended without saying: {text}")


def test_host_that_lets_root_in(wait_for_ssh, sshd):
    sshd.authorize("root")

    done = wait_for_ssh.run("127.0.0.1")

    assert (done.returncode, done.stdout) == (0, "")
    assert "127.0.0.1 let root in after 0 s" in done.stderr


def test_print_user_prints_who_got_in(wait_for_ssh, sshd):
    sshd.authorize("root")

    done = wait_for_ssh.run("127.0.0.1", "--print-user", "--log=error")

    assert (done.returncode, done.stdout, done.stderr) == (0, "root\n", "")


def test_host_keys_are_neither_checked_nor_remembered(wait_for_ssh, sshd):
    sshd.authorize("root")

    assert wait_for_ssh.run("127.0.0.1").returncode == 0
    assert not sshd.known_hosts.exists()


def test_sshd_that_starts_later_is_awaited(wait_for_ssh, stopped_sshd):
    stopped_sshd.authorize("root")

    process = wait_for_ssh.start("--print-user", "127.0.0.1")
    await_line(process, "Connection refused")
    stopped_sshd.start()

    assert process.communicate(timeout=10)[0] == "root\n"
    assert process.returncode == 0


def test_key_that_is_accepted_later_is_awaited(wait_for_ssh, sshd):
    process = wait_for_ssh.start("127.0.0.1")
    await_line(process, "Permission denied")
    sshd.authorize("root")

    process.communicate(timeout=10)
    assert process.returncode == 0


@pytest.mark.parametrize("seconds", ["1", "0.5", "01"])
def test_time_out_exits_1(wait_for_ssh, seconds):
    began = time.monotonic()
    done = wait_for_ssh.run("--timeout", seconds, "127.0.0.1")

    assert done.returncode == 1
    assert 1 <= time.monotonic() - began < 4
    assert "time-out: 127.0.0.1 did not let root in within 1 s: ssh: connect to host" in done.stderr


def test_time_out_ends_a_connection_to_a_host_that_says_nothing(wait_for_ssh, silent_host):
    began = time.monotonic()
    done = wait_for_ssh.run("--timeout=1", "127.0.0.1")

    assert done.returncode == 1
    assert time.monotonic() - began < 4
    assert "no answer within 1 s" in done.stderr


def test_time_out_ends_a_login_that_hangs(wait_for_ssh, sshd):
    sshd.authorize("root", command="sleep 60")

    began = time.monotonic()
    done = wait_for_ssh.run("--timeout=2", "127.0.0.1")

    assert done.returncode == 1
    assert time.monotonic() - began < 5
    assert "Accepted publickey for root" in sshd.log


@pytest.mark.parametrize("shell", ["dash"], indirect=True)
def test_one_try_of_a_host_that_says_nothing_lasts_ten_seconds(wait_for_ssh, silent_host):
    process = wait_for_ssh.start("127.0.0.1")
    began = time.monotonic()
    await_line(process, "not in as root: Connection timed out")

    assert 9 < time.monotonic() - began < 15
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=10)


@pytest.mark.parametrize("exit_status", [142, 0], ids=["as images do", "as old images do"])
def test_cloud_user_is_found(wait_for_ssh, sshd, exit_status):
    sshd.authorize("root", command=f"{CLOUD_IMAGE}{exit_status}")
    sshd.authorize("cloud-user")

    done = wait_for_ssh.run("--check-cloud-user", "--print-user", "127.0.0.1")

    assert (done.returncode, done.stdout) == (0, "cloud-user\n")
    assert "127.0.0.1 tells to log in as cloud-user" in done.stderr


def test_root_needs_no_cloud_user(wait_for_ssh, sshd):
    sshd.authorize("root")

    assert wait_for_ssh.run("--check-cloud-user", "--print-user", "127.0.0.1").stdout == "root\n"


def test_cloud_user_is_not_tried_unasked(wait_for_ssh, sshd):
    sshd.authorize("root", command=f"{CLOUD_IMAGE}0")
    sshd.authorize("cloud-user")

    done = wait_for_ssh.run("--timeout=1", "127.0.0.1")

    assert done.returncode == 1
    assert 'Please login as the user "cloud-user"' in done.stderr
    assert "for cloud-user" not in sshd.log


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["ctrl-c", "terminate"]
)
def test_signal_ends_it_at_once_while_ssh_runs(wait_for_ssh, silent_host, number, status):
    process = wait_for_ssh.start("--log", "debug", "127.0.0.1")
    connection, _ = silent_host.accept()
    connection.recv(1)  # ssh is in the middle of its try

    process.send_signal(number)

    assert seconds_of(process.communicate) < 2
    assert process.returncode == status
    connection.close()


def test_ctrl_c_ends_it_at_once_between_two_tries(wait_for_ssh):
    process = wait_for_ssh.start("127.0.0.1")
    await_line(process, "Connection refused")

    process.send_signal(signal.SIGINT)

    assert "interrupted while waiting for 127.0.0.1" in process.communicate(timeout=10)[1]
    assert process.returncode == 130


def test_debug_tells_each_try(wait_for_ssh):
    done = wait_for_ssh.run("--log=DEBUG", "--timeout=2", "127.0.0.1")

    assert done.stderr.count("trying root at 127.0.0.1") >= 2


@pytest.mark.parametrize("shell", ["dash"], indirect=True)
def test_info_shows_every_ten_seconds_that_it_is_alive(wait_for_ssh):
    done = wait_for_ssh.run("--timeout=12", "127.0.0.1")

    told = [line for line in done.stderr.splitlines() if "waiting for 127.0.0.1 since" in line]
    assert len(told) == 2, done.stderr
    assert "Connection refused" in told[1]


@pytest.mark.parametrize(("level", "lines"), [("warning", 1), ("Error", 1), ("critical", 0)])
def test_quiet_levels_tell_at_most_the_time_out(wait_for_ssh, level, lines):
    done = wait_for_ssh.run("--log", level, "--timeout=1", "127.0.0.1")

    assert done.returncode == 1
    assert done.stderr.count("\n") == lines


def test_standard_input_is_not_read(wait_for_ssh, sshd):
    sshd.authorize("root", command="cat; echo resalloc-is-in")

    assert wait_for_ssh.leaves_input("127.0.0.1")
    assert "Accepted publickey" in sshd.log


def test_what_waiting_cannot_heal_is_told_at_once(wait_for_ssh):
    no_file = wait_for_ssh.run("127.0.0.1", SSH_CONFIG="/nonexistent/ssh_config")
    assert no_file.returncode == 1
    assert "ssh cannot be used: " in no_file.stderr
    assert "/nonexistent/ssh_config" in no_file.stderr

    no_host = wait_for_ssh.run("not a host")
    assert no_host.returncode == 1
    assert "ssh cannot be used: " in no_host.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "a HOST is needed"),
        ([""], "HOST is empty"),
        (["host", "other"], "unexpected argument: other"),
        (["--user", "host"], "unknown option: --user"),
        (["host", "--timeout"], "--timeout needs a value"),
        (["--timeout=", "host"], "--timeout is a number of seconds, below 1000000000, not none"),
        (["--timeout", "1m", "host"], "--timeout is a number of seconds, below 1000000000, not 1m"),
        (["--log", "loud", "host"], "--log is one of debug, info, warning, error and critical, not loud"),
    ],
)
def test_wrong_usage_exits_2(wait_for_ssh, arguments, sentence):
    done = wait_for_ssh.run(*arguments)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith(f"resalloc-wait-for-ssh: {sentence}\n")


def test_version_and_help(wait_for_ssh):
    assert wait_for_ssh.run("--version").stdout.startswith("resalloc-wait-for-ssh ")
    assert "SSH_CONFIG" in wait_for_ssh.run("--help").stdout
