"""Reads requests: ids in paths, and the fields of queries and bodies (forms and JSON) into structs.

A function declares what it takes as a subclass of `Fields` and calls `parse_query` or `parse_body` with it. The same
structs describe the requests in /openapi.json (web/openapi.py).
"""

import difflib
import functools
import math
import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, NamedTuple, TypeVar
from urllib.parse import unquote_to_bytes

import msgspec
from flask import request
from msgspec import Meta, inspect
from werkzeug.exceptions import HTTPException

from functions.web import errors
from functions.web.errors import BadField, BadParameter, shown

HIGHEST_ID = 2**53
_BROKEN_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_YES = frozenset(("1", "true", "yes", "on"))
_NO = frozenset(("0", "false", "no", "off", ""))
_PLACE = re.compile(r"`\$\.(\w+)")


class Fields(msgspec.Struct, kw_only=True):
    """Base of what a query or a body holds. Unknown fields are refused.

    A query or a form gives texts: `bool` is 1 or 0, `int` a whole number, `float` a number of seconds, an enum one of
    its values in any case, `tuple[str, ...]` a field that is given once for each item. JSON gives its own types; null
    is the same as no value. `Annotated[..., Meta(ge=0, le=60, description="...")]` sets limits and documents the
    field; `Meta(extra={"form": NAME})` gives it another name in forms and queries; `Meta(extra={"listed": False})`
    keeps it out of the parameters in /openapi.json.
    """


F = TypeVar("F", bound=Fields)


LONGEST_WAIT = 60
"""Seconds that a request may wait for something new."""
Wait = Annotated[float, Meta(ge=0, le=LONGEST_WAIT, description="Seconds to wait at most for something new.")]
Id = Annotated[str, Meta(extra_json_schema={"$ref": "#/components/schemas/Id"})]
"""The number of a ticket or a resource, for `read_id`; web/openapi.yaml describes it."""


class NoFields(Fields):
    """A query without parameters."""


class Field(NamedTuple):
    """One field of a struct: `name` in JSON, `text_name` in forms and queries, `type` without None.

    `listed` says whether /openapi.json lists it.
    """

    name: str
    text_name: str
    type: inspect.Type
    is_list: bool
    required: bool
    listed: bool


def parse_query(struct: type[F], blank_is_absent: bool = False) -> F:
    """The parameters after the `?`; raises BadParameter. `blank_is_absent`: an empty value counts as not given."""
    given = request.args.to_dict(flat=False) if request.environ.get("QUERY_STRING") else {}
    if blank_is_absent:
        given = {name: values for name, values in given.items() if any(values)}
    return _of_texts(struct, given, BadParameter)


def parse_body(struct: type[F]) -> F:
    """The fields of a form or of a JSON object.

    Raises MalformedBody and UnsupportedBody when the body is neither, BadField for a field that is wrong.
    """
    content = read_body()
    if is_json(request.content_type):
        return _of_json(struct, _json_object(content))
    if request.mimetype == "application/x-www-form-urlencoded" or not content:
        return _of_texts(struct, _form(content), BadField)
    raise errors.UnsupportedBody(request.content_type or "")


@functools.cache
def fields_of(struct: type[Fields]) -> tuple[Field, ...]:
    """The fields of a struct, in their order."""
    described: Any = inspect.type_info(struct)
    return tuple(map(_field, described.fields))


def label_of(struct: type[Fields], name: str) -> str:
    """What the request's body calls this field of the struct: a form may have another name for it than JSON."""
    if is_json(request.content_type):
        return name
    return next(field.text_name for field in fields_of(struct) if field.name == name)


def _field(field: inspect.Field) -> Field:
    kind: Any = field.type
    extra: dict[str, Any] = {}
    while isinstance(kind, inspect.Metadata | inspect.UnionType):
        if isinstance(kind, inspect.Metadata):
            extra |= kind.extra or {}
            kind = kind.type
        else:
            kind = next(one for one in kind.types if not isinstance(one, inspect.NoneType))
    name = field.encode_name
    is_list = isinstance(kind, inspect.VarTupleType | inspect.ListType)
    return Field(name, extra.get("form", name), kind, is_list, field.required, extra.get("listed", True))


@functools.cache
def _by_text_name(struct: type[Fields]) -> dict[str, Field]:
    return {field.text_name: field for field in fields_of(struct)}


@functools.cache
def _by_name(struct: type[Fields]) -> dict[str, Field]:
    return {field.name: field for field in fields_of(struct)}


def _of_texts(struct: type[F], given: Mapping[str, list[str]], error: type[BadParameter] | type[BadField]) -> F:
    """The struct with the values that these texts of a query or a form denote; raises `error`."""
    fields = _by_text_name(struct)
    _refuse_unknown(given, fields, error)
    values: dict[str, Any] = {}
    for name, texts in given.items():
        field = fields[name]
        if not field.is_list and len(texts) > 1:
            raise error(name, "may be given only once")
        values[field.name] = texts if field.is_list else _value(field.type, texts[0])
    for field in fields.values():
        if field.required and field.name not in values:
            raise error(field.text_name, "must be given")
    try:
        return msgspec.convert(values, struct)
    except msgspec.ValidationError as wrong:
        field = _wrong_field(struct, wrong)
        text = given[field.text_name][0]
        raise error(field.text_name, f"{_requirement(field.type, 'be 1 or 0')}, not {shown(text)}") from None


def _of_json(struct: type[F], given: Mapping[str, Any]) -> F:
    """The struct with these values of a JSON object; raises BadField."""
    fields = _by_name(struct)
    _refuse_unknown(given, fields, BadField)
    values = {
        name: value
        for name, value in given.items()
        if value is not None or isinstance(fields[name].type, inspect.BoolType)
    }
    for field in fields.values():
        if field.required and field.name not in values:
            raise BadField(field.name, "must be given")
    try:
        return msgspec.convert(values, struct)
    except msgspec.ValidationError as wrong:
        field = _wrong_field(struct, wrong)
        raise BadField(field.name, _requirement(field.type, "be true or false")) from None


def _refuse_unknown(given: Iterable[str], known: Iterable[str], error: type[BadParameter] | type[BadField]) -> None:
    for name in given:
        if name not in known:
            nearest = difflib.get_close_matches(name, known, n=1)
            raise error(name, "is not known here" + (f" (did you mean {nearest[0]!r}?)" if nearest else ""))


def _value(kind: inspect.Type, text: str) -> Any:
    """The value of this type that a text denotes; the text itself if it denotes none."""
    match kind:
        case inspect.StrType():
            return text
        case inspect.BoolType() if text.lower() in _YES | _NO:
            return text.lower() in _YES
        case inspect.IntType() if text.isascii() and text.isdigit() and len(text) <= 17:
            return int(text)
        case inspect.FloatType() if text.isascii() and "_" not in text:
            try:
                return text if math.isnan(number := float(text)) else number
            except ValueError:
                return text
        case inspect.EnumType():
            return text.upper()
    return text


def _wrong_field(struct: type[Fields], error: msgspec.ValidationError) -> Field:
    """The field that msgspec's error names."""
    place = _PLACE.search(str(error))
    return next(field for field in fields_of(struct) if place is not None and field.name == place[1])


def _requirement(kind: inspect.Type, flag: str) -> str:
    """What a field of this type must be, for a sentence that begins with its name; `flag` is what a boolean must be."""
    match kind:
        case inspect.BoolType():
            return f"must {flag}"
        case inspect.IntType():
            return f"must be a whole number{_range(kind)}"
        case inspect.FloatType():
            return f"must be a number of seconds{_range(kind)}"
        case inspect.EnumType():
            return f"must be one of {', '.join(str(one.value) for one in kind.cls)}"
        case inspect.LiteralType():
            return f"must be {' or '.join(map(str, kind.values))}"
        case inspect.VarTupleType() | inspect.ListType():
            return "must be a list of strings"
    return "must be a string"


def _range(kind: inspect.IntType | inspect.FloatType) -> str:
    low = "" if kind.ge is None else f" from {kind.ge}"
    return low if kind.le is None else f"{low} to {kind.le}"


def is_json(content_type: str | None) -> bool:
    """Whether this is `application/json` or `application/ANYTHING+json`."""
    kind = (content_type or "").partition(";")[0].strip().lower()
    return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))


def client_socket() -> Any:
    """The socket of the request's connection, to notice a hang-up; None if the server does not pass it on."""
    return request.environ.get("gunicorn.socket")


def base_url() -> str:
    """The URL of this server as the client knows it, without a slash at its end."""
    return request.host_url.rstrip("/")


def read_id(text: str, kind: str) -> int:
    """The id of a ticket or resource, from a path or a query; raises BadParameter."""
    if text.isascii() and text.isdigit() and len(text) <= 17 and 1 <= (number := int(text)) <= HIGHEST_ID:
        return number
    raise errors.BadParameter("id", f"of a {kind} is a whole number from 1 to {HIGHEST_ID}, not {shown(text)}")


def read_body() -> bytes:
    """The body's bytes; raises MalformedBody, and BodyTooLarge when it is over the limit."""
    try:
        content = request.get_data(cache=False)
    except HTTPException:
        raise
    except Exception as error:  # each server raises its own errors for a malformed chunked body
        raise errors.MalformedBody("The body did not arrive whole.") from error
    # Flask cuts a body without Content-Length off at the limit, without an error.
    if request.content_length is None and len(content) >= (request.max_content_length or math.inf):
        raise errors.BodyTooLarge(request.max_content_length or errors.BODY_LIMIT)
    return content


def _json_object(content: bytes) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise errors.MalformedBody(f"The body is not JSON: {str(error) or type(error).__name__}.") from error
    if not isinstance(value, dict):
        raise errors.MalformedBody("The body must be a JSON object.")
    return value


def _form(content: bytes) -> dict[str, list[str]]:
    fields: dict[str, list[str]] = {}
    for pair in content.split(b"&"):
        if not pair:
            continue
        name, equals, value = pair.replace(b"+", b" ").partition(b"=")
        if not equals or _BROKEN_ESCAPE.search(pair):
            raise errors.MalformedBody("The body is not a form: NAME=VALUE pairs joined by &, escaped with %XX.")
        try:
            fields.setdefault(unquote_to_bytes(name).decode(), []).append(unquote_to_bytes(value).decode())
        except UnicodeDecodeError as error:
            raise errors.MalformedBody("The body is a form that is not in UTF-8.") from error
    return fields
