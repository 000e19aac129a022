"""The reasons for a wait in words: of one pool, and of all pools in one clause."""

from collections.abc import Sequence
from datetime import UTC, datetime

from functions.policy.plan.limits import Limit, Reason
from functions.policy.waits.explain import Case, Own, Prospect

MOST_POOLS = 3
"""How many pools a clause tells one by one."""


def clock_time(at: float) -> str:
    """A time of today, in words."""
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S UTC")


def pool_sentence(prospect: Prospect) -> str:
    """What holds one pool, as what stands after its name."""
    parts = []
    if prospect.about_to_start:
        parts.append(f"is about to start {prospect.about_to_start}")
    if prospect.starting:
        parts.append(f"is starting {prospect.starting}")
    full = any(limit.reason is Reason.AT_MAX for limit in prospect.limits)
    told = [limit for limit in prospect.limits if not (full and limit.count and limit.reason in _LESS_THAN_FULL)]
    parts += [_limit_sentence(limit, prospect) for limit in told]
    return _listed(parts) or "is about to serve it"


def why_waiting(case: Case, any_pools: bool = True) -> str:
    """All of it in one clause, with the pools that promise most first."""
    if not any_pools:
        return "no pools are configured"
    if not case.prospects:
        if case.missing:
            return f"no configured pool has the tag{'s' * (len(case.missing) > 1)} {', '.join(case.missing)}"
        return "no configured pool has all of these tags together"
    told = sorted(case.prospects, key=_promise)[:MOST_POOLS]
    clause = "; ".join(f"pool {prospect.pool} {pool_sentence(prospect)}" for prospect in told)
    more = len(case.prospects) - len(told)
    return f"{clause}; and {more} more pool{'s' * (more > 1)}" if more else clause


def why_briefly(case: Case) -> str:
    """What holds the pool that promises most, and how many more there are; as short as it can be said."""
    prospect = min(case.prospects, key=_promise)
    more = len(case.prospects) - 1
    others = f" (and {more} more pool{'s' * (more > 1)})" if more else ""
    return f"pool {prospect.pool} {_short(prospect)}{others}"


def own_sentence(own: Own) -> str | None:
    """What a sandbox has of its own; None when that is nothing."""
    parts = []
    if own.releasing:
        parts.append(f"{own.releasing} of its own sandbox {_are(own.releasing)} being released")
    if own.failing:
        parts.append(f"{own.failing} of its own sandbox did not pass the last livecheck")
    return _listed(parts) or None


def _promise(prospect: Prospect) -> tuple[bool, bool, bool, float]:
    """The less, the more may come from this pool, and the sooner."""
    limits = {limit.reason: limit for limit in prospect.limits}
    never = not limits.keys().isdisjoint(_NEVER) or (Reason.ENOUGH_SPARES in limits and not prospect.starting)
    ends = [limit.until for limit in prospect.limits if limit.until is not None]
    return never, not prospect.about_to_start, not prospect.starting, max(ends, default=0.0)


_NEVER = (Reason.PAUSED, Reason.DRAINING, Reason.ON_DEMAND_ONLY, Reason.OLD_TAGS, Reason.NOT_CONFIGURED)


_LESS_THAN_FULL = (Reason.MAX_STARTING, Reason.ENOUGH_SPARES)
"""What does not matter in a pool that is at its max."""


def _limit_sentence(limit: Limit, prospect: Prospect) -> str:
    match limit.reason:
        case Reason.PAUSED:
            return f"is paused by operators{_because(limit)}"
        case Reason.DRAINING:
            return f"is drained by operators{_because(limit)}"
        case Reason.FAILING:
            return f"starts nothing until {_until(limit)} because starts fail: {limit.detail or 'unknown'}"
        case Reason.AT_MAX:
            return f"is at its max of {limit.count}{_made_of(prospect)}"
        case Reason.MAX_STARTING:
            return f"starts {limit.count} at a time (max_starting)"
        case Reason.START_DELAY:
            return f"starts nothing until {_until(limit)} because of its start_delay"
        case Reason.ENOUGH_SPARES if not limit.count:
            return "keeps no spares (max_prealloc is 0), so it starts nothing"
        case Reason.ENOUGH_SPARES:
            return f"has or starts its {limit.count} spare{'s' * (limit.count != 1)} (max_prealloc)"
        case Reason.ON_DEMAND_ONLY:
            return f"starts only for tickets that ask for {limit.detail}"
        case Reason.ENOUGH_COMING:
            return "has, or another pool has, one on its way for each who waits for the same"
        case Reason.BETTER_POOL:
            return "leaves the start to a pool with a higher priority"
        case Reason.OLD_TAGS:
            return "no longer starts any with all of these tags"
        case Reason.NOT_CONFIGURED:
            return "is not in pools.yaml any more, so it starts nothing"
        case Reason.OTHER_SANDBOXES:
            return f"keeps {limit.count} free one{'s' * (limit.count != 1)} for other sandboxes"
        case Reason.HELD:
            return f"has {limit.count} that operators hold"
        case Reason.LIVECHECK_FAILING:
            return f"has {limit.count} whose livecheck fails"


def _made_of(prospect: Prospect) -> str:
    if not prospect.living:
        return ""
    return ", all taken" if prospect.taken == prospect.living else f" ({prospect.taken} taken)"


def _short(prospect: Prospect) -> str:
    if prospect.about_to_start or prospect.starting:
        return f"starting {prospect.about_to_start + prospect.starting}"
    for limit in prospect.limits:
        match limit.reason:
            case Reason.PAUSED | Reason.DRAINING:
                return _limit_sentence(limit, prospect)
            case Reason.FAILING:
                return f"paused until {_until(limit)}, its starts fail"
            case Reason.AT_MAX:
                return f"at its max of {limit.count}"
            case Reason.START_DELAY:
                return f"starts the next at {_until(limit)}"
    return _limit_sentence(prospect.limits[0], prospect) if prospect.limits else "about to serve it"


def _because(limit: Limit) -> str:
    return f": {limit.detail}" if limit.detail else ""


def _until(limit: Limit) -> str:
    return clock_time(limit.until or 0.0)


def _are(number: int) -> str:
    return "is" if number == 1 else "are"


def _listed(parts: Sequence[str]) -> str:
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
