"""Messages out of a file, as people and test suites keep them."""

from __future__ import annotations

import itertools
import re

from connectors.mllp.frames import START, Frame, Framer

_MSH = re.compile(rb"(?:\A|(?<=\r))MSH(?=[^A-Za-z0-9])")
_BATCH = (b"FHS", b"BHS")


def messages_of(data: bytes) -> list[bytes]:
    r"""The messages in a file, ready to be sent: segments end with a carriage return.

    A file holds MLLP frames (taken exactly as they are), or text in which each message begins with
    MSH at the start of a line; blank lines between them do not matter. Line ends become `\r`, every
    other byte stays. A batch, and anything else that is no message, comes out as one piece.

    >>> messages_of(b"MSH|^~\\&|A\nPID|1\n\nMSH|^~\\&|B\n")
    [b'MSH|^~\\&|A\rPID|1\r', b'MSH|^~\\&|B\r']
    """
    if data.startswith(START):
        framer = Framer(max(1, len(data)))
        events = framer.feed(data) + framer.close()
        return [e.payload if isinstance(e, Frame) else e.raw for e in events]
    text = data.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\r").replace(b"\n", b"\r")
    text = text.lstrip(b"\r")
    starts = [m.start() for m in _MSH.finditer(text)]
    if not starts or text[:3] in _BATCH:
        return [data] if data.strip() else []
    bounds = [0, *starts[1:], len(text)] if starts[0] == 0 else [0, *starts, len(text)]
    return [text[a:b].rstrip(b"\r") + b"\r" for a, b in itertools.pairwise(bounds)]
