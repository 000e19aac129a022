"""Promises to operators that hold a resource, and to clients that call one bad."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from functions.policy.clock import SLACK
from functions.policy.transitions.resource import HOLDABLE, LONGEST_HOLD
from state.documents import Intent, IntentKind, Resource, ResourceState, Ticket


@dataclass
class Holds:
    """All methods but the first two fail with a sentence when a promise is broken. Times are those of the model."""

    _asked: dict[int, Intent] = field(default_factory=dict)
    """Intents that were not decided yet at the last check, by their number."""
    _held: dict[int, Resource] = field(default_factory=dict)
    """As they were looked at last."""
    _bad: set[int] = field(default_factory=set)
    _times: list[float] = field(default_factory=list)
    """All that the clock said since all was looked at last."""

    def asked(self, intent: Intent) -> None:
        """The server has accepted this intent of an operator."""
        self._asked[intent.id] = intent

    def clock_says(self, now: float) -> None:
        """A hold may end by this."""
        self._times.append(now)

    def saw(self, before: Ticket, ticket: Ticket) -> None:
        """A client has read its ticket."""
        assert before.bad in (None, ticket.bad), f"ticket {ticket.id} does not say any more that its resource was bad"
        if ticket.bad is not None and ticket.resource is not None:
            self._bad.add(ticket.resource)

    def granted(self, resource: Resource, ticket: Ticket) -> None:
        """A ticket has a resource that it did not have before."""
        whose = f"ticket {ticket.id} got resource {resource.id}"
        assert resource.id not in self._bad, f"{whose}, which a client called bad"
        assert self._may_be_free(resource.id), f"{whose}, which is held"

    def deletes(self, resource: Resource) -> None:
        """The `cmd_delete` of a resource begins."""
        assert self._may_be_free(resource.id), f"cmd_delete of resource {resource.id} begins, which is held"

    def check(self, resources: Mapping[int, Resource], undecided: Collection[int], now: float, at_rest: bool) -> None:
        """Compare all resources, and the numbers of the intents that still wait, with what was promised."""
        self.clock_says(now)
        for number in self._held:
            resource = resources.get(number)
            kept = resource is not None and resource.held
            assert kept or self._may_be_free(number), f"resource {number} is held no longer, and no request ended that"
        self._check_intents(resources, undecided)
        self._held = {number: resource for number, resource in resources.items() if resource.held}
        self._times = [now]
        for number in self._bad if at_rest else ():
            found = resources.get(number)
            stays = found is not None and found.state in HOLDABLE and not found.held
            assert not stays, f"resource {number} is still there, and a client called it bad"

    def _check_intents(self, resources: Mapping[int, Resource], undecided: Collection[int]) -> None:
        """The last decided intent about a resource determines whether it must be held."""
        decided = {number: intent for number, intent in self._asked.items() if number not in undecided}
        waiting = {intent.resource for number, intent in self._asked.items() if number in undecided}
        for number, intent in {intent.resource: intent for _, intent in sorted(decided.items())}.items():
            resource = resources.get(number or 0)
            if resource is None or resource.state is not ResourceState.UP or number in waiting:
                continue
            if intent.kind is IntentKind.RELEASE_RESOURCE:
                assert not resource.held, f"resource {number} was to be held no longer, and is"
            else:
                goes = resource.delete_after_run is not None
                over = self._is_over(intent.until)
                assert resource.held or goes or over, f"resource {number} was to be held, and is not"
        for number in decided:
            del self._asked[number]

    def _may_be_free(self, number: int) -> bool:
        """Whether this resource was not held, or its release was requested, or its hold has expired."""
        if number not in self._held:
            return True
        intents = [intent for intent in self._asked.values() if intent.resource == number]
        asked_for = any(intent.kind is IntentKind.RELEASE_RESOURCE for intent in intents)
        ends = [self._held[number].held_until, *(intent.until for intent in intents)]
        return asked_for or any(self._is_over(until) for until in ends)

    def _is_over(self, until: float | None) -> bool:
        """Whether a hold until then was over at any time since the last check."""
        return until is not None and any(now >= until or until > now + LONGEST_HOLD + SLACK for now in self._times)
