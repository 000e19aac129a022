"""The check sum of a document: a bit that flips on a disk is found, whatever it stands for.

It stands in the first member, `{"sum":"xxxxxxxx",`: CRC-32 in 8 hexadecimal digits, over all other bytes of the
document. Only there it is a check sum: a program or an operator who writes the document anew, with spaces or with `sum`
elsewhere or without it, makes a document that is taken as it is.
"""

import re
import zlib

import msgspec

WRONG = "its check sum is wrong; if it was edited by hand, take `sum` out of it"

_BEGINNING = b'{"sum":"'
_SIZE = len(b'{"sum":"xxxxxxxx",')
_WITH_OTHER_NAME = re.compile(rb'\{"...":"[0-9a-f]{8}",', re.DOTALL)
"""No document begins so, unless the name of the sum is damaged."""
_OF_BRACE = zlib.crc32(b"{")


def with_sum(content: bytes) -> bytes:
    """The encoded object, which must not be empty and have no space before its first field, with its sum."""
    return b'{"sum":"%08x",%b' % (zlib.crc32(content), content[1:])


def stated(content: bytes) -> bytes | None:
    """The bytes in which its sum stands, be they damaged; None when it has no sum that must be right."""
    if content.startswith(_BEGINNING) or _WITH_OTHER_NAME.match(content):
        return content[:_SIZE]
    return None


def check(content: bytes) -> None:
    """Raise `msgspec.ValidationError` when the sum that stands in an encoded object is not that of its other bytes."""
    said = stated(content)
    if said is None:
        return
    if said != b'{"sum":"%08x",' % zlib.crc32(memoryview(content)[_SIZE:], _OF_BRACE):
        raise msgspec.ValidationError(WRONG)
