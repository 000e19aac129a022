"""Events of a running service: each is sent once, live, and returned to later queries."""

import json
import subprocess
from collections.abc import Callable, Iterator

import pytest

from state.files.store import FileStore
from tests.events import lines, missing_and_double
from tests.system.farm import SHIM, Farm
from tests.waiting import until

ECHO = """
echo:
  max: 3
  max_prealloc: 1
  max_starting: 1
  cmd_new: echo 10.0.0.$RESALLOC_ID
  cmd_delete: 'true'
  cmd_release: 'true'
  reuse_opportunity_time: 60
  tags: [A]
  name_pattern: '{pool_name}-{id}'
"""


class Stream:
    """`curl -N`: what the server sends, as it sends it."""

    def __init__(self, farm: Farm, *arguments: str) -> None:
        command = ["curl", "-fsSN", *arguments[:-1], farm.url + arguments[-1]]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.last_id = ""

    def next(self, event: str, **about: object) -> dict:
        """The next message with this event of this ticket or resource."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name == "id":
                self.last_id = value
            elif name == "data":
                found: dict = json.loads(value)
                if found["event"] == event and about.items() <= found.items():
                    return found
        raise AssertionError(f"the stream ended before {event} of {about}")

    def rest(self) -> list[dict]:
        """All further messages until the stream ends by itself."""
        content = self.process.communicate(timeout=20)[0].decode()
        return [json.loads(line[6:]) for line in content.splitlines() if line.startswith("data: ")]

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def follow(farm: Farm) -> Iterator[Callable[..., Stream]]:
    streams: list[Stream] = []

    def start(*arguments: str) -> Stream:
        streams.append(Stream(farm, *arguments))
        return streams[-1]

    yield start
    for stream in streams:
        stream.kill()


def recorded(farm: Farm, **query: object) -> list[dict]:
    found: list[dict] = farm.get("/events?" + "&".join(f"{name}={value}" for name, value in query.items()))["events"]
    return found


def printed(farm: Farm, *arguments: str) -> str:
    command = [SHIM / "resalloc-maint", "--connection", farm.url, *arguments]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout.decode()


def test_a_stream_shows_events_as_they_happen(farm: Farm, follow: Callable[..., Stream]) -> None:
    """Given a stream, when a ticket is taken, served and closed, then each is sent, and all can be queried later."""
    farm.set_pools(ECHO)
    farm.start()
    stream = follow("/events?follow=1")
    ticket = farm.take("A")
    assert stream.next("taken", ticket=ticket)["actor"] == "client"
    farm.wait(ticket)
    resource = stream.next("assigned", ticket=ticket)["resource"]
    farm.close(ticket)
    assert stream.next("release began", resource=resource)["ticket"] == ticket
    stream.next("release succeeded", resource=resource)
    assert [event["event"] for event in recorded(farm, ticket=ticket)][:2] == ["taken", "assigned"]
    assert {event["resource"] for event in recorded(farm, resource=f"echo-{resource:08d}")} == {resource}
    assert "pool echo configured, not in the file → in the file, by operator" in printed(
        farm, "events", "--pool", "echo"
    )
    assert [event["event"] for event in recorded(farm) if event["kind"] == "leader"] == ["leads"]


@pytest.mark.thorough
def test_a_stream_that_was_cut_off_goes_on_without_a_gap(farm: Farm, follow: Callable[..., Stream]) -> None:
    """Given a web that is killed, when a browser comes back with the last id, then it gets what it missed, once."""
    farm.set_pools(ECHO)
    farm.start()
    first = farm.take("A")
    stream = follow("-H", "Accept: text/event-stream", "/events?since=1h")
    stream.next("assigned", ticket=first)
    farm.kill("web")
    stream.kill()
    farm.start_web()
    missed = farm.take("A")
    farm.wait(missed)
    until(lambda: len(recorded(farm, ticket=missed)) == 2, what="the events")
    again = follow("-H", "Accept: text/event-stream", "-H", f"Last-Event-ID: {stream.last_id}", "/events?since=1h")
    assert again.next("taken", ticket=missed)["ticket"] == missed
    again.next("assigned", ticket=missed)
    last = farm.take("B")
    again.next("taken", ticket=last)


def test_a_stopping_web_ends_its_streams(farm: Farm, follow: Callable[..., Stream]) -> None:
    """Given streams, when the web is stopped, then they end well and do not delay the stop."""
    farm.set_pools(ECHO)
    farm.start()
    streams = [follow("/events?follow=1&since=1h") for _ in range(5)]
    for stream in streams:
        stream.next("leads")
    farm.terminate("web")
    for stream in streams:
        stream.rest()
        assert stream.process.returncode == 0


@pytest.mark.thorough
def test_each_transition_is_logged_once_however_often_the_scheduler_is_killed(farm: Farm) -> None:
    """Given tickets that come and go, when the scheduler is killed again and again, then no event is lost or double."""
    farm.set_pools(ECHO)
    farm.start()
    tickets: list[int] = []
    for number in range(6):
        tickets += [farm.take("A", sandbox="s") for _ in range(4)]
        for ticket in tickets[number * 4 - 2 : -2]:
            farm.close(ticket)
        farm.kill("scheduler")
        farm.start_scheduler()
    for ticket in tickets[:-1]:
        farm.close(ticket)
    farm.wait(tickets[-1])
    store = FileStore(farm.state)
    until(lambda: missing_and_double(store) == ([], []), what="a line for each transition")
    assert {event.ticket for event in lines(store) if event.kind == "ticket"} == set(tickets)
    assert sum(event.kind == "leader" for event in lines(store)) == 7
    assert store.events.cut_torn() == 0


@pytest.mark.thorough
def test_one_command_shows_which_tickets_had_a_machine(farm: Farm) -> None:
    """Given a machine that one ticket after another had, when asked for a time, then the ticket is returned."""
    farm.set_pools(ECHO)
    farm.start()
    had: list[dict] = []
    for _ in range(2):
        ticket = farm.take("A", sandbox="s")
        farm.wait(ticket)
        had.append(farm.ticket(ticket))
        farm.close(ticket)
        until(
            lambda ticket=ticket: any(
                found["released_ticket"] == ticket and not found["run"] for found in farm.resources()
            ),
            what="the release",
        )
    now = farm.take("A", sandbox="s")
    farm.wait(now)
    (name,) = {ticket["resource_name"] for ticket in had}
    for ticket in had:
        sentence = printed(farm, "history", name, "--at", str(ticket["assigned_at"] + 0.001))
        assert sentence.startswith(f"ticket {ticket['id']} had resource {ticket['resource']} {name} from 20")
    assert printed(farm, "history", name, "--at", str(farm.ticket(now)["assigned_at"] + 0.001)).endswith(
        " and still has it\n"
    )
    assert printed(farm, "history", name, "--at", str(had[0]["created_at"] - 60)).startswith("no ticket had ")
    story = printed(farm, "history", name)
    assert [word for word in story.split() if word.startswith("assigned")] == ["assigned,"] * 3
    assert story.count("release succeeded") == 2


@pytest.mark.thorough
def test_maint_follows_through_a_restart_of_everything(farm: Farm) -> None:
    """Given `events --follow`, when both processes are restarted, then it continues, and shows each event once."""
    farm.set_pools(ECHO)
    farm.start()
    command = [SHIM / "resalloc-maint", "--connection", farm.url, "events", "--follow"]
    following = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert following.stdout is not None
    try:
        seen: list[str] = []

        def read_to(words: str) -> None:
            assert following.stdout is not None
            for line in following.stdout:
                seen.append(line.decode())
                if words in seen[-1]:
                    return
            raise AssertionError(f"it ended before {words}")

        first = farm.take("B")
        read_to(f"ticket {first} taken")
        farm.kill("web")
        farm.kill("scheduler")
        farm.start()
        second = farm.take("B")
        read_to(f"ticket {second} taken")
        assert len(seen) == len(set(seen))
        assert sum("leader leads" in line for line in seen) == 2
    finally:
        following.terminate()
        following.communicate()
