"""What another pools.yaml would do, before it is installed: `POST /plan`, with the text of the file as the body.

Reads the read model and intents, writes nothing. `functions.policy.preview` computes it; the sentences are here.
"""

import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec
from flask import Response, request

from config.errors import ConfigError, Problem, quoted
from config.pools import Pool, parse_pools
from config.yamlfile import LARGEST, text_of
from functions.operators.read_model import read_model
from functions.policy.preview.preview import Change, Course, Documents, Option, PoolPreview, Preview, Stop, preview
from functions.text import first_few, noun
from functions.web import replies
from functions.web.context import Context, current
from functions.web.errors import BODY_LIMIT, MOST_FAULTS, AlreadyUnderWay, BadField, FaultyPools, UnsupportedBody
from functions.web.offload import in_thread
from functions.web.requests import NoFields, base_url, parse_query, read_body
from state.documents import PoolMode

FILE = "pools.yaml.new"
"""The name of the file in its faults."""
LIMIT = LARGEST + BODY_LIMIT
"""Bytes of a body: the largest pools.yaml and a form around it."""
MOST_POOLS = 2000
MOST_STARTS = 20_000
"""Most resources that a file may start at once."""
_YAML_TYPES = frozenset(
    (
        "",
        "application/x-www-form-urlencoded",
        "application/x-yaml",
        "application/yaml",
        "text/plain",
        "text/x-yaml",
        "text/yaml",
    )
)
"""Content types of a body that is the file. curl's --data-binary calls everything a form."""
STRANDED = "stranded: "
"""The beginning of each line about stranded tickets or resources; programs look for it."""
MOST_LISTED = 10
"""How many tickets or resources one line lists."""
_COMMANDS = frozenset(("cmd_new", "cmd_delete", "cmd_livecheck", "cmd_release", "cmd_list"))
"""Options whose values are not shown, because they may contain secrets."""
_one_at_a_time = threading.Lock()


class AnnotatedPreview(NamedTuple):
    """The preview, warnings about probable mistakes in the file, and notes on what makes the preview uncertain."""

    found: Preview
    warnings: list[str]
    notes: list[str]


def show_preview() -> Response:
    """200 with what the file would start, stop or strand: a line for each pool, or JSON. 422 with the file's faults.

    Each process makes one preview at a time: 429 otherwise.
    """
    found, warnings, notes = preview_file(read_file())
    if replies.wants_json():
        return replies.json_reply(
            {**preview_json(found), "warnings": warnings, "notes": notes, "text": preview_lines(found)}
        )
    lines = [*(f"warning: {each}" for each in warnings), *preview_lines(found), *(f"note: {each}" for each in notes)]
    return replies.text_reply("".join(f"{line}\n" for line in lines))


def show_usage() -> Response:
    """200 with the command to send."""
    return replies.text_reply(
        "What another pools.yaml would start, stop or strand, before it is installed:\n\n"
        f"  curl -fsS {base_url()}/plan --data-binary @pools.yaml\n"
    )


def read_file() -> bytes:
    """The file: the whole body, or in the form of the page the field `file`, or `text` when `file` is empty.

    Raises UnsupportedBody, MalformedBody, BadField and BodyTooLarge.
    """
    parse_query(NoFields)
    request.max_content_length = request.max_form_memory_size = LIMIT
    if request.mimetype == "multipart/form-data":
        return _read_form()
    if request.mimetype not in _YAML_TYPES:
        raise UnsupportedBody(request.content_type or "", "YAML (text/yaml)")
    return read_body()


def preview_file(content: bytes) -> AnnotatedPreview:
    """What the file with this content would do now; raises FaultyPools, AlreadyUnderWay and StoreUnavailable."""
    context = current()
    # A large file takes seconds of processor time.
    if not _one_at_a_time.acquire(blocking=False):
        raise AlreadyUnderWay("a preview of a pools.yaml")
    try:
        return in_thread(_preview_file, context, content)
    finally:
        _one_at_a_time.release()


def _preview_file(context: Context, content: bytes) -> AnnotatedPreview:
    try:
        file = parse_pools(text_of(content, FILE), FILE)
    except ConfigError as error:
        raise FaultyPools(error.problems) from None
    if fault := fault_of_size(file.pools):
        raise FaultyPools([Problem(FILE, None, None, None, fault)])
    intents = context.store.intents.all()
    model = read_model(context)
    documents = Documents(model.records, model.resources, model.tickets, intents)
    notes = []
    if not model.has_leader:
        notes.append("no scheduler is running, so nothing happens until one starts")
    if model.leader_pools is not None and model.leader_pools.faults:
        notes.append("the installed pools.yaml is faulty; this is compared with the last valid one")
    if model.leader_pools is not None and model.leader_pools.quarantine:
        notes.append("some documents are corrupt (see /healthz), and the resources in them are not counted here")
    warnings = [str(each) for each in file.warnings[:MOST_FAULTS]]
    return AnnotatedPreview(preview(documents, file.pools, model.at), warnings, notes)


def fault_of_size(pools: Sequence[Pool]) -> str | None:
    """Why these pools are too many, or start too many resources, for a preview."""
    if len(pools) > MOST_POOLS:
        return f"has more than {MOST_POOLS} pools, which is too many for a preview"
    starts = sum(min(pool.max, pool.max_starting, pool.max_prealloc) for pool in pools if not pool.on_demand)
    if starts > MOST_STARTS:
        return f"would start more than {MOST_STARTS} resources at once, which is too many for a preview"
    return None


def _read_form() -> bytes:
    for name in {*request.form, *request.files} - {"file", "text"}:
        raise BadField(name, "is not known here")
    upload, text = request.files.get("file"), request.form.get("text")
    content = upload.read() if upload is not None else b""
    if not content and text is None:
        raise BadField("text", "or file must be given")
    return content or (text or "").encode()


def preview_lines(found: Preview) -> list[str]:
    """The preview for people: a line for each pool that changes, then the stranded tickets and resources."""
    lines = [f"pool {name} {sentence}" for name, sentence in pool_sentences(found)]
    lines += [f"{STRANDED}{sentence}" for sentence in stranded_sentences(found)]
    same = len(found.pools) - sum(pool.differs for pool in found.pools)
    if not lines:
        return ["nothing would be different"]
    if same:
        lines.append(f"{same} other pool{'s stay as they are' if same > 1 else ' stays as it is'}")
    return lines


def pool_sentences(found: Preview) -> list[tuple[str, str]]:
    """For each pool that changes: its name, and the rest of its line."""
    return [(pool.name, "; ".join(_parts(pool))) for pool in found.pools if pool.differs]


def stranded_sentences(found: Preview) -> list[str]:
    """A sentence for each reason why tickets or resources would be stranded."""
    sentences = []
    for group in found.waiting:
        tags = ", ".join(group.tags)
        sentences.append(
            f"{_numbered('ticket', group.tickets)} would wait in vain for {tags or 'anything'}: {group.why}"
        )
    taken: defaultdict[tuple[bool, str], list[int]] = defaultdict(list)
    for one in found.taken:
        taken[one.fails, one.why].append(one.ticket)
    for (fails, why), tickets in taken.items():
        many = len(tickets) > 1
        if fails:
            what = f"would fail with {'their resources' if many else 'its resource'}"
        else:
            what = f"would keep {'resources' if many else 'a resource'} that would no longer be replaced"
        sentences.append(f"{_numbered('ticket', tickets)} {what}: {why}")
    left: defaultdict[str, list[int]] = defaultdict(list)
    for resource in found.left:
        left[resource.pool].append(resource.resource)
    for pool, resources in left.items():
        would = f"of pool {pool} would stay until {'they are' if len(resources) > 1 else 'it is'} taken or deleted"
        sentences.append(f"{_numbered('resource', resources)} {would}: pool-drain {pool} first")
    return sentences


def preview_json(found: Preview) -> dict[str, Any]:
    """The preview for programs; `stranded` comes first."""
    fields = msgspec.to_builtins(found)
    pools = [{**shown, "options": [_option(one) for one in shown["options"]]} for shown in fields.pop("pools")]
    return {"stranded": found.stranded, "pools": pools, **fields}


def _option(option: dict[str, Any]) -> dict[str, Any]:
    return {"name": option["name"]} if option["name"] in _COMMANDS else option


def _parts(pool: PoolPreview) -> Iterator[str]:
    match pool.change:
        case Change.ADDED:
            yield "is new"
        case Change.REMOVED:
            yield "is not in the file"
        case Change.CHANGED:
            yield f"changes: {', '.join(_changed(option) for option in pool.options)}"
        case Change.SAME:
            yield "is unchanged"
    then, now = pool.then, pool.now
    if then.starts or now.starts:
        yield f"starts {then.starts} at once{_instead(then.starts, now.starts)}"
        if pool.mode is not PoolMode.ACTIVE:
            yield f"it is {pool.mode}"
    yield from _stopped(then.stops)
    if now.stops and not then.stops:
        yield f"deletes none at once instead of {len(now.stops)}"
    yield from _ending(pool, then, now)
    if pool.old_tags and any(option.name.startswith("tags") for option in pool.options):
        kept = "resource keeps its tags" if pool.old_tags == 1 else "resources keep their tags"
        yield f"{pool.old_tags} existing {kept}"


def _ending(pool: PoolPreview, then: Course, now: Course) -> Iterator[str]:
    if then.in_the_end is None:
        yield f"how many it has in the end is too far ahead to compute (max is {pool.max})"
        return
    yield f"has {then.in_the_end} in the end" + (
        _instead(then.in_the_end, now.in_the_end) if now.in_the_end is not None else ""
    )
    if then.in_the_end > pool.max and pool.change is not Change.REMOVED:
        yield f"that is more than its max of {pool.max}; no resource is deleted for this reason"


def _stopped(stops: Sequence[Stop]) -> Iterator[str]:
    by_reason: defaultdict[str, list[int]] = defaultdict(list)
    for stop in stops:
        by_reason[stop.reason].append(stop.resource)
    for reason, resources in by_reason.items():
        yield f"deletes {_numbered('resource', resources)} at once: {reason}"


def _instead(then: int, now: int) -> str:
    return f" instead of {now}" if then != now else ""


def _changed(option: Option) -> str:
    if option.name in _COMMANDS:
        return option.name
    return f"{option.name} {_value(option.before)} → {_value(option.after)}"


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"{value:.15g}"
    if isinstance(value, dict):
        return _listed(f"{name} ({priority})" if priority else str(name) for name, priority in value.items())
    if isinstance(value, list):
        return _listed(map(str, value))
    return quoted(value) if isinstance(value, str) else "none"


def _listed(words: Iterable[str]) -> str:
    return " ".join(words) or "none"


def _numbered(word: str, numbers: Sequence[int]) -> str:
    return f"{noun(word, len(numbers))} {first_few(map(str, numbers), MOST_LISTED)}"
