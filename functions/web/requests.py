"""Reads ids, query parameters and bodies: forms and JSON, in the same words for both."""

import math
import re
from typing import Any
from urllib.parse import unquote_to_bytes

import msgspec
from flask import request
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from functions.web import errors
from functions.web.errors import shown

HIGHEST_ID = 2**53
_BROKEN_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_YES = frozenset(("1", "true", "yes", "on"))
_NO = frozenset(("0", "false", "no", "off", ""))


def is_json(content_type: str | None) -> bool:
    """Whether this is `application/json` or `application/ANYTHING+json`."""
    kind = (content_type or "").partition(";")[0].strip().lower()
    return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))


def read_id(text: str, kind: str) -> int:
    """The number of a ticket or resource out of a path; raises BadParameter."""
    if text.isascii() and text.isdigit() and len(text) <= 17 and 1 <= (number := int(text)) <= HIGHEST_ID:
        return number
    raise errors.BadParameter("id", f"of a {kind} is a whole number from 1 to {HIGHEST_ID}, not {shown(text)}")


def read_body() -> bytes:
    """The body's bytes; raises MalformedBody, and RequestEntityTooLarge for one over the limit."""
    try:
        content = request.get_data(cache=False)
    except HTTPException:
        raise
    except Exception as error:  # every server has errors of its own for what is no body in chunks
        raise errors.MalformedBody("The body did not arrive whole.") from error
    # Of a body that does not tell its length, Flask reads so much and says nothing of the rest.
    if request.content_length is None and len(content) >= (request.max_content_length or math.inf):
        raise RequestEntityTooLarge()
    return content


class Query:
    """The parameters after the `?`. Ask for each that is known, then `finish`; all raise BadParameter."""

    def __init__(self) -> None:
        self._values = request.args.to_dict(flat=False) if request.query_string else {}

    def string(self, name: str) -> str | None:
        values = self._values.pop(name, None)
        if values is not None and len(values) > 1:
            raise errors.BadParameter(name, "may be given only once")
        return values[0] if values else None

    def strings(self, name: str) -> list[str]:
        return self._values.pop(name, [])

    def peek(self, name: str) -> list[str]:
        """The values as they were given, which are still to be asked for."""
        return self._values.get(name, [])

    def seconds(self, name: str, default: float, most: float) -> float:
        value = self.string(name)
        return default if value is None else self._number(name, value, most)

    def whole(self, name: str, default: int, most: int) -> int:
        value = self.string(name)
        if value is None:
            return default
        if not (value.isascii() and value.isdigit() and len(value) <= 17 and int(value) <= most):
            raise errors.BadParameter(name, f"must be a whole number from 0 to {most}, not {shown(value)}")
        return int(value)

    def flag(self, name: str) -> bool:
        value = self.string(name)
        return False if value is None else _flag(name, value, errors.BadParameter)

    def finish(self) -> None:
        for name in self._values:
            raise errors.BadParameter(name, "is not known here")

    def _number(self, name: str, value: str, most: float) -> float:
        try:
            number = float(value) if value.isascii() and "_" not in value else math.nan
        except ValueError:
            number = math.nan
        if not 0 <= number <= most:
            raise errors.BadParameter(name, f"must be a number of seconds from 0 to {most:g}, not {shown(value)}")
        return number


class Body:
    """The fields of a form or of a JSON object. Ask for each that is known, then `finish`.

    Raises MalformedBody and UnsupportedBody when it is neither, BadField for fields that cannot be taken.
    """

    def __init__(self) -> None:
        self._json: dict[str, Any] | None = None
        self._form: dict[str, list[str]] = {}
        content = read_body()
        if is_json(request.content_type):
            self._json = _json_object(content)
        elif request.mimetype == "application/x-www-form-urlencoded" or not content:
            self._form = _form(content)
        else:
            raise errors.UnsupportedBody(request.content_type or "")

    def strings(self, name: str, form_name: str) -> tuple[str, list[str]]:
        """A list of texts, and what it is called: in a form the field `form_name`, given again and again."""
        if self._json is None:
            return form_name, self._form.pop(form_name, [])
        value = self._json.pop(name, None)
        if value is None:
            return name, []
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise errors.BadField(name, "must be a list of strings")
        return name, value

    def string(self, name: str) -> str | None:
        if self._json is None:
            values = self._form.pop(name, [])
            if len(values) > 1:
                raise errors.BadField(name, "may be given only once")
            return values[0] if values else None
        value = self._json.pop(name, None)
        if value is not None and not isinstance(value, str):
            raise errors.BadField(name, "must be a string")
        return value

    def flag(self, name: str) -> bool:
        if self._json is None:
            value = self.string(name)
            return False if value is None else _flag(name, value, errors.BadField)
        value = self._json.pop(name, False)
        if not isinstance(value, bool):
            raise errors.BadField(name, "must be true or false")
        return value

    def finish(self) -> None:
        for name in self._json if self._json is not None else self._form:
            raise errors.BadField(name, "is not known here")


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


def _flag(name: str, value: str, error: type[errors.BadParameter] | type[errors.BadField]) -> bool:
    if value.lower() in _YES:
        return True
    if value.lower() in _NO:
        return False
    raise error(name, f"must be 1 or 0, not {shown(value)}")
