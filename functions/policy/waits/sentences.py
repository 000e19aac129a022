"""Puts the reasons for a wait into words: for one pool, and for all pools in one clause."""

from functions.policy.plan.starts import Limit, Reason
from functions.policy.waits.explain import Case, Own, Prospect
from functions.text import listed, noun, plural, utc_clock

MOST_POOLS = 3
"""How many pools a clause describes one by one."""
_NEVER = (Reason.PAUSED, Reason.DRAINING, Reason.ON_DEMAND_ONLY, Reason.OLD_TAGS, Reason.NOT_CONFIGURED)
_LESS_THAN_FULL = (Reason.MAX_STARTING, Reason.ENOUGH_SPARES)
"""What does not matter in a pool that is at its max."""


def pool_sentence(prospect: Prospect) -> str:
    """What one pool does and what limits it, to be read after its name."""
    parts = []
    if prospect.about_to_start:
        parts.append(f"is about to start {prospect.about_to_start}")
    if prospect.starting:
        parts.append(f"is starting {prospect.starting}")
    full = any(limit.reason is Reason.AT_MAX for limit in prospect.limits)
    shown = [limit for limit in prospect.limits if not (full and limit.count and limit.reason in _LESS_THAN_FULL)]
    parts += [_limit_sentence(limit, prospect) for limit in shown]
    return listed(parts) or "is about to serve it"


def why_waiting(case: Case, any_pools: bool = True) -> str:
    """All reasons in one clause, with the most promising pools first."""
    if not any_pools:
        return "no pools are configured"
    if not case.prospects:
        if case.missing:
            return f"no configured pool has the {noun('tag', len(case.missing))} {', '.join(case.missing)}"
        return "no configured pool has all of these tags together"
    shown = sorted(case.prospects, key=_promise)[:MOST_POOLS]
    clause = "; ".join(f"pool {prospect.pool} {pool_sentence(prospect)}" for prospect in shown)
    more = len(case.prospects) - len(shown)
    return f"{clause}; and {plural(more, 'more pool')}" if more else clause


def why_briefly(case: Case) -> str:
    """What limits the most promising pool, and how many more pools there are, in as few words as possible."""
    prospect = min(case.prospects, key=_promise)
    more = len(case.prospects) - 1
    others = f" (and {plural(more, 'more pool')})" if more else ""
    return f"pool {prospect.pool} {_brief_sentence(prospect)}{others}"


def own_sentence(own: Own) -> str | None:
    """What a ticket's own sandbox has for it, in one clause; None for nothing."""
    parts = []
    if own.releasing:
        is_or_are = "is" if own.releasing == 1 else "are"
        parts.append(f"{plural(own.releasing, 'resource')} of its own sandbox {is_or_are} being released")
    if own.failing:
        parts.append(f"{plural(own.failing, 'resource')} of its own sandbox did not pass the last livecheck")
    return listed(parts) or None


def _promise(prospect: Prospect) -> tuple[bool, bool, bool, float]:
    """A sort key: pools from which a resource may come soonest are first."""
    limits = {limit.reason: limit for limit in prospect.limits}
    never = not limits.keys().isdisjoint(_NEVER) or (Reason.ENOUGH_SPARES in limits and not prospect.starting)
    ends = [limit.until for limit in prospect.limits if limit.until is not None]
    return never, not prospect.about_to_start, not prospect.starting, max(ends, default=0.0)


def _limit_sentence(limit: Limit, prospect: Prospect) -> str:
    count = limit.count or 0
    match limit.reason:
        case Reason.PAUSED:
            return f"is paused by operators{_because(limit)}"
        case Reason.DRAINING:
            return f"is drained by operators{_because(limit)}"
        case Reason.FAILING:
            return f"starts nothing until {_until(limit)} because starts fail: {limit.detail or 'unknown'}"
        case Reason.AT_MAX:
            return f"is at its max of {count}{_use_of(prospect)}"
        case Reason.MAX_STARTING:
            return f"starts at most {count} at the same time (max_starting)"
        case Reason.START_DELAY:
            return f"starts nothing until {_until(limit)} because of its start_delay"
        case Reason.ENOUGH_SPARES if not count:
            return "keeps no spares (max_prealloc is 0), so it starts nothing"
        case Reason.ENOUGH_SPARES:
            return f"has or starts its {plural(count, 'spare')} (max_prealloc)"
        case Reason.ON_DEMAND_ONLY:
            return f"starts only for tickets that ask for {limit.detail}"
        case Reason.ENOUGH_COMING:
            return "starts no more, since a resource is on its way for each ticket with these tags"
        case Reason.BETTER_POOL:
            return "leaves the start to a pool with a higher priority"
        case Reason.OLD_TAGS:
            return "no longer starts resources with all of these tags"
        case Reason.NOT_CONFIGURED:
            return "is no longer in pools.yaml, so it starts nothing"
        case Reason.OTHER_SANDBOXES:
            return f"keeps {plural(count, 'free resource')} for other sandboxes"
        case Reason.HELD:
            return f"has {plural(count, 'resource')} held by operators"
        case Reason.LIVECHECK_FAILING:
            return f"has {plural(count, 'free resource')} with a failing livecheck"


def _use_of(prospect: Prospect) -> str:
    if not prospect.living:
        return ""
    return ", all taken" if prospect.taken == prospect.living else f" ({prospect.taken} taken)"


def _brief_sentence(prospect: Prospect) -> str:
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
    return utc_clock(limit.until or 0.0)
