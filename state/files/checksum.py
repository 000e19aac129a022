"""Documents as the bytes of a file: JSON that begins with a check sum, so that every flipped bit is found.

The check sum is the first member, `{"sum":"xxxxxxxx",`: CRC-32 in 8 hexadecimal digits over all other bytes of the
file. Only there it is a check sum: a program or an operator that writes the document anew, with spaces, or with `sum`
elsewhere or without it, makes a document that is taken as it is.
"""

import re
import zlib
from typing import TypeVar

import msgspec

from state.documents import Document

D = TypeVar("D", bound=Document)

WRONG = "its check sum is wrong; if it was edited by hand, take `sum` out of it"

_BEGINNING = b'{"sum":"'
_SIZE = len(b'{"sum":"xxxxxxxx",')
_WITH_OTHER_NAME = re.compile(rb'\{"...":"[0-9a-f]{8}",', re.DOTALL)
"""No document begins so unless the name of the sum is corrupt."""
_OF_BRACE = zlib.crc32(b"{")


def encode(document: Document) -> bytes:
    """One line of JSON with its check sum."""
    return with_sum(document.to_json())


def decode(form: type[D], content: bytes) -> D:
    """The document in a file; raises `msgspec.DecodeError` when it is none or its check sum is wrong."""
    document = form.from_json(without_sum(content))
    if "sum" in document.unknown:
        # Of an edited document, where it is no check sum.
        document = document.replace(unknown={name: v for name, v in document.unknown.items() if name != "sum"})
    return document


def is_newer(form: type[D], content: bytes, key: int | str) -> bool:
    """Whether a file that `decode` refuses is the document `key` with enum words that this version does not know."""
    try:
        document = form.from_newer_json(without_sum(content))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return bool(document.key == key)


def with_sum(content: bytes) -> bytes:
    """An encoded object with its check sum; it must not be empty nor begin with spaces."""
    return b'{"sum":"%08x",%b' % (zlib.crc32(content), content[1:])


def without_sum(content: bytes) -> bytes:
    """An encoded object without its check sum; raises `msgspec.ValidationError` when that is wrong."""
    written = stated(content)
    if written is None:
        return content
    rest = content[_SIZE:]
    if written != b'{"sum":"%08x",' % zlib.crc32(rest, _OF_BRACE):
        # An object that is no JSON at all says more about what happened to it.
        msgspec.json.decode(content)
        raise msgspec.ValidationError(WRONG)
    return b"{" + rest


def stated(content: bytes) -> bytes | None:
    """The bytes of the check sum, be they corrupt; None when there is no check sum that must be right."""
    if content.startswith(_BEGINNING) or _WITH_OTHER_NAME.match(content):
        return content[:_SIZE]
    return None
