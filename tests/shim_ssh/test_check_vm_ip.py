"""resalloc-check-vm-ip: does the machine whose address is the resource's data let us in?"""

import base64

from tests.shim_ssh.conftest import every_shell

HOOK = {"RESALLOC_NAME": "vm_1"}


def resource(data: str) -> dict[str, str]:
    """The variables of a hook of a resource whose cmd_new printed `data`."""
    return HOOK | {"RESALLOC_RESOURCE_DATA": base64.b64encode(data.encode()).decode()}


VM = resource("127.0.0.1\n")


def test_machine_that_runs_true_for_root_is_alive(check_vm_ip, sshd):
    sshd.authorize("root", command='echo "$USER $SSH_ORIGINAL_COMMAND" >login')

    done = check_vm_ip.run(**VM)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (sshd.folder / "login").read_text() == "root true\n"


def test_first_word_of_the_data_is_the_address(check_vm_ip, sshd):
    sshd.authorize("root")

    assert check_vm_ip.run(**resource("\n  127.0.0.1 port=* \nand more\n")).returncode == 0
    assert "ssh to * as root" in check_vm_ip.run(**resource("* 127.0.0.1")).stderr


def test_ssh_user_logs_in_in_place_of_root(check_vm_ip, sshd):
    sshd.authorize("cloud-user")

    assert check_vm_ip.run(**VM, SSH_USER="cloud-user").returncode == 0
    assert "Accepted publickey for cloud-user" in sshd.log
    assert check_vm_ip.run(**VM).returncode == 1


def test_host_keys_are_neither_checked_nor_remembered(check_vm_ip, sshd):
    sshd.authorize("root")
    assert check_vm_ip.run(**VM).returncode == 0
    assert not sshd.known_hosts.exists()

    other_key = sshd.key.with_suffix(".pub").read_text()
    known = f"[127.0.0.1]:{sshd.port} {other_key}"
    sshd.known_hosts.write_text(known)

    assert check_vm_ip.run(**VM).returncode == 0
    assert sshd.known_hosts.read_text() == known


def test_refused_key_is_not_alive(check_vm_ip, sshd):
    done = check_vm_ip.run(**VM)

    assert done.returncode == 1
    assert "Permission denied" in done.stderr
    assert done.stderr.endswith(": vm_1 is not alive: ssh to 127.0.0.1 as root ended with status 255\n")


def test_failing_login_is_not_alive(check_vm_ip, sshd):
    sshd.authorize("root", command="exit 3")

    done = check_vm_ip.run(**VM)

    assert done.returncode == 1
    assert done.stderr.endswith("ended with status 3\n")


def test_closed_port_is_not_alive(check_vm_ip):
    done = check_vm_ip.run(**VM)

    assert done.returncode == 1
    assert "Connection refused" in done.stderr


def test_unreachable_host_is_not_alive(check_vm_ip):
    done = check_vm_ip.run(**resource("0.0.0.1"))

    assert done.returncode == 1
    assert "vm_1 is not alive" in done.stderr


def test_standard_input_is_not_read(check_vm_ip, sshd):
    sshd.authorize("root", command="cat")

    assert check_vm_ip.leaves_input(**VM)
    assert "Accepted publickey" in sshd.log


NO_ADDRESS: list[tuple[dict[str, str], str]] = [
    ({"RESALLOC_RESOURCE_DATA": VM["RESALLOC_RESOURCE_DATA"]}, "RESALLOC_NAME is not set"),
    (HOOK, "vm_1 has no data"),
    (resource(" \n"), "the data of vm_1 is blank"),
    (HOOK | {"RESALLOC_RESOURCE_DATA": "?"}, "the data of vm_1 cannot be decoded"),
]


@every_shell
def test_hook_without_an_address_says_what_is_missing(check_vm_ip):
    for variables, sentence in NO_ADDRESS:
        done = check_vm_ip.run(**variables)

        assert done.returncode == 1
        assert sentence in done.stderr
        assert done.stderr.count("\n") == 1


@every_shell
def test_usage(check_vm_ip):
    assert check_vm_ip.run("--version").stdout.startswith("resalloc-check-vm-ip ")
    assert "SSH_CONFIG" in check_vm_ip.run("--help").stdout
    wrong = check_vm_ip.run("10.0.0.1", **VM)
    assert wrong.returncode == 2
    assert wrong.stderr.endswith("unexpected argument: 10.0.0.1\n")
