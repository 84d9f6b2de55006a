"""Pages of a list: the body is the list, the way to the next page a `Link` header (RFC 8288).

A list is walked in the order of its keys, which do not change while it is walked: whatever is there
from the beginning to the end of the walk is seen once. A cursor is the last key of a page; callers
take it from the link as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated, TypeVar

from fastapi import Query, Request, Response

from streams.console.api.routes import json

MOST = 1_000

Limit = Annotated[int, Query(ge=1, le=MOST, description="most records of one page")]
Cursor = Annotated[
    str, Query(max_length=400, description="where a page begins: from the `next` link, as it is")
]
T = TypeVar("T")


def page(
    request: Request, found: Iterable[T], key: Callable[[T], str], limit: int, cursor: str
) -> Response:
    """One page of what was found."""
    rest = sorted((item for item in found if key(item) > cursor), key=key)
    shown = rest[:limit]
    headers = {}
    if len(rest) > limit:
        following = request.url.include_query_params(cursor=key(shown[-1]))
        headers["link"] = f'<{following.path}?{following.query}>; rel="next"'
    return json(shown, headers=headers)
