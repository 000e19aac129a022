"""resalloc-wait-for-ssh: waits until a machine that was just started lets us in."""

import signal
import subprocess
import time

import pytest

from tests.shim_ssh.conftest import SECONDS, every_shell, one_shell

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
    assert "root logged in to 127.0.0.1 after 0 s" in done.stderr


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


def test_time_out_exits_1(wait_for_ssh):
    began = time.monotonic()
    tries = [wait_for_ssh.start("--timeout", seconds, "127.0.0.1") for seconds in ("1", "0.5", "01")]

    for process in tries:
        _, stderr = process.communicate(timeout=SECONDS)
        assert process.returncode == 1
        assert "timeout: root could not log in to 127.0.0.1 within 1 s: ssh: connect to host" in stderr
        assert 1 <= time.monotonic() - began < 20


def test_time_out_ends_a_connection_to_a_host_that_says_nothing(wait_for_ssh, silent_host):
    began = time.monotonic()
    done = wait_for_ssh.run("--timeout=1", "127.0.0.1")

    assert done.returncode == 1
    assert time.monotonic() - began < 20
    assert "no answer within 1 s" in done.stderr


def test_time_out_ends_a_login_that_hangs(wait_for_ssh, sshd):
    sshd.authorize("root", command="sleep 60")

    began = time.monotonic()
    done = wait_for_ssh.run("--timeout=2", "127.0.0.1")

    assert done.returncode == 1
    assert time.monotonic() - began < 20
    assert "Accepted publickey for root" in sshd.log


@one_shell
def test_what_lasts_ten_seconds(wait_for_ssh, check_vm_ip, silent_host):
    """Given a host that says nothing and one that refuses, when each helper tries, then ssh gives up after 10 s.

    And while the other host refuses, a line shows every 10 s that it is still tried. All at once: each takes 10 s.
    """
    began = time.monotonic()
    waits = wait_for_ssh.start("127.0.0.1")
    refused = wait_for_ssh.start("--timeout=12", "127.0.0.2")
    checks = check_vm_ip.start(RESALLOC_NAME="vm_1", RESALLOC_RESOURCE_DATA="MTI3LjAuMC4xCg==")

    await_line(waits, "cannot log in as root: Connection timed out")
    assert 9 < time.monotonic() - began < 40
    waits.send_signal(signal.SIGINT)
    waits.communicate(timeout=SECONDS)

    assert "vm_1 is not alive" in checks.communicate(timeout=SECONDS)[1]
    assert checks.returncode == 1
    assert 9 < time.monotonic() - began < 40

    lines = refused.communicate(timeout=SECONDS)[1].splitlines()
    reasons = [line for line in lines if "waiting for 127.0.0.2 for" in line]
    assert len(reasons) == 2, lines
    assert "Connection refused" in reasons[1]


@pytest.mark.parametrize("exit_status", [142, 0], ids=["as images do", "as old images do"])
def test_cloud_user_is_found(wait_for_ssh, sshd, exit_status):
    sshd.authorize("root", command=f"{CLOUD_IMAGE}{exit_status}")
    sshd.authorize("cloud-user")

    done = wait_for_ssh.run("--check-cloud-user", "--print-user", "127.0.0.1")

    assert (done.returncode, done.stdout) == (0, "cloud-user\n")
    assert "127.0.0.1 asks to log in as cloud-user" in done.stderr


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


@every_shell
@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["ctrl-c", "terminate"]
)
def test_signal_ends_it_at_once_while_ssh_runs(wait_for_ssh, silent_host, number, status):
    process = wait_for_ssh.start("--log", "debug", "127.0.0.1")
    connection, _ = silent_host.accept()
    connection.recv(1)  # ssh is in the middle of its try

    process.send_signal(number)

    assert seconds_of(process.communicate) < 8  # ssh would try for 10 s
    assert process.returncode == status
    connection.close()


@every_shell
def test_ctrl_c_ends_it_at_once_between_two_tries(wait_for_ssh):
    process = wait_for_ssh.start("127.0.0.1", RESALLOC_RETRY_DELAYS="60")
    await_line(process, "Connection refused")

    process.send_signal(signal.SIGINT)

    assert "interrupted while waiting for 127.0.0.1" in process.communicate(timeout=10)[1]
    assert process.returncode == 130


def test_debug_logs_each_try_with_a_second_between_two(wait_for_ssh):
    done = wait_for_ssh.run("--log=DEBUG", "--timeout=2", "127.0.0.1", RESALLOC_RETRY_DELAYS="")

    assert 2 <= done.stderr.count("trying root at 127.0.0.1") <= 3


def test_pauses_between_tries_come_from_the_environment(wait_for_ssh):
    done = wait_for_ssh.run("--log=DEBUG", "--timeout=1", "127.0.0.1", RESALLOC_RETRY_DELAYS="0 0.05")

    assert done.stderr.count("trying root at 127.0.0.1") >= 4
    wrong = wait_for_ssh.run("127.0.0.1", RESALLOC_RETRY_DELAYS="1s")
    assert wrong.returncode == 2
    assert wrong.stderr.endswith("RESALLOC_RETRY_DELAYS is not a list of seconds: 1s\n")


def test_quiet_levels_log_at_most_the_time_out(wait_for_ssh):
    lines = {"warning": 1, "Error": 1, "critical": 0}
    tries = {level: wait_for_ssh.start("--log", level, "--timeout=1", "127.0.0.1") for level in lines}

    for level, process in tries.items():
        _, stderr = process.communicate(timeout=SECONDS)
        assert process.returncode == 1
        assert (level, stderr.count("\n")) == (level, lines[level])


def test_standard_input_is_not_read(wait_for_ssh, sshd):
    sshd.authorize("root", command="cat; echo resalloc-is-in")

    assert wait_for_ssh.leaves_input("127.0.0.1")
    assert "Accepted publickey" in sshd.log


def test_errors_that_waiting_cannot_fix_are_reported_at_once(wait_for_ssh):
    no_file = wait_for_ssh.run("127.0.0.1", SSH_CONFIG="/nonexistent/ssh_config")
    assert no_file.returncode == 1
    assert "ssh cannot be used: " in no_file.stderr
    assert "/nonexistent/ssh_config" in no_file.stderr

    no_host = wait_for_ssh.run("not a host")
    assert no_host.returncode == 1
    assert "ssh cannot be used: " in no_host.stderr


MISUSE: list[tuple[list[str], str]] = [
    ([], "a HOST is needed"),
    ([""], "HOST is empty"),
    (["host", "other"], "unexpected argument: other"),
    (["--user", "host"], "unknown option: --user"),
    (["host", "--timeout"], "--timeout needs a value"),
    (["--timeout=", "host"], "--timeout must be a number of seconds below 1000000000, not none"),
    (["--timeout", "1m", "host"], "--timeout must be a number of seconds below 1000000000, not 1m"),
    (["--log", "loud", "host"], "--log must be debug, info, warning, error or critical, not loud"),
]
"""Arguments, and what is said of them."""


@every_shell
def test_wrong_usage_exits_2(wait_for_ssh):
    for arguments, sentence in MISUSE:
        done = wait_for_ssh.run(*arguments)

        assert (arguments, done.returncode, done.stdout) == (arguments, 2, "")
        assert done.stderr.endswith(f"resalloc-wait-for-ssh: {sentence}\n")


def test_version_and_help(wait_for_ssh):
    assert wait_for_ssh.run("--version").stdout.startswith("resalloc-wait-for-ssh ")
    assert "SSH_CONFIG" in wait_for_ssh.run("--help").stdout
