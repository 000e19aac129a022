"""The commands in docs/waiting.md do what it says, and its table lists every reason."""

import re
import subprocess

from functions.policy.plan.starts import Reason
from tests.system.farm import PROJECT, Farm
from tests.waiting import until

TEXT = (PROJECT / "docs" / "waiting.md").read_text()
POOLS = "vms: {max: 1, max_prealloc: 1, cmd_new: echo 10.0.0.$RESALLOC_ID, cmd_delete: 'true', tags: [x86_64]}"


def test_every_reason_is_shown() -> None:
    documented = re.findall(r"^\| (`.*?) \|", TEXT, re.MULTILINE)
    assert sorted(name for cell in documented for name in re.findall("`(.+?)`", cell)) == sorted(Reason)


def test_the_commands_do_what_they_show(farm: Farm) -> None:
    farm.set_pools(POOLS)
    farm.start()
    block = "".join(re.findall(r"```console\n(.*?)```", TEXT, re.DOTALL))
    for command, output in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE):
        # In the text a moment is let pass; here until the scheduler has looked.
        take, _, explain = command.partition(" && sleep 2 && ")
        printed = shell(farm, take)
        if explain:
            until(lambda explain=explain: "not looked" not in shell(farm, explain), what="a plan that saw the ticket")
            printed += shell(farm, explain)
        assert (command, printed) == (command, output)


def shell(farm: Farm, command: str) -> str:
    environment = {**farm.environment, "URL": farm.url}
    return subprocess.run(["sh", "-c", command], env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout
