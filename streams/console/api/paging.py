"""Pages of a list: the body is the list, the way to the next page a `Link` header (RFC 8288).

A list is walked in the order of its keys, which do not change while it is walked: whatever is there
from the beginning to the end of the walk is seen once. A cursor is the last key of a page behind a
checksum of list and key; callers take it from the link as it is, and what never was in one is
refused: an empty page would look like the end of the list. The key may be gone meanwhile.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from typing import Annotated, TypeVar

from fastapi import Query, Request, Response

from streams.console.api.problems import ProblemError
from streams.console.api.routes import json

MOST = 1_000

Limit = Annotated[int, Query(ge=1, le=MOST, description="most records of one page")]
Cursor = Annotated[
    str, Query(max_length=500, description="where a page begins: from the `next` link, as it is")
]
T = TypeVar("T")


def page(
    request: Request, found: Iterable[T], key: Callable[[T], str], limit: int, cursor: str
) -> Response:
    """One page of what was found. Raises `ProblemError` for a cursor that was in no link."""
    path, last = request.url.path, cursor.partition(".")[2]
    if cursor and cursor != _cursor(path, last):
        raise ProblemError(
            404, "No such page", "`cursor` is none of this list's: leave it out to begin again."
        )
    rest = sorted((item for item in found if key(item) > last), key=key)
    shown = rest[:limit]
    headers = {}
    if len(rest) > limit:
        following = request.url.include_query_params(cursor=_cursor(path, key(shown[-1])))
        headers["link"] = f'<{following.path}?{following.query}>; rel="next"'
    return json(shown, headers=headers)


def _cursor(path: str, key: str) -> str:
    checksum = hashlib.sha256(f"{path} {key}".encode()).hexdigest()[:12]
    return f"{checksum}.{key}"
