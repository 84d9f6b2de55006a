"""How a route is declared: its role from the table, its answers described, its errors problems."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec
from fastapi import APIRouter, Depends, Request, Response
from fastapi.routing import APIRoute

from streams.console.access import ROUTES
from streams.console.api.problems import MEDIA_TYPE, NO_STORE, Problem, ProblemError
from streams.console.people import Person, person_of
from streams.roles import Role

REF = "#/components/schemas/{name}"
_PROBLEMS = {
    400: "The request cannot be understood.",
    401: "Nobody is signed in.",
    403: "The role that the route needs is missing.",
    404: "There is none of that name.",
    409: "It is refused as things stand; `detail` says why.",
    413: "The request is too large.",
    415: "The request is not JSON.",
    422: "The request is not what this description asks for; `errors` lists what is wrong.",
    503: "A server behind the console is away; try again.",
}
_EVERYWHERE = (401, 403, 422, 503)

Handler = TypeVar("Handler", bound=Callable[..., Any])


class Routes:
    """Collects routes. `types` are the records that their descriptions name."""

    def __init__(self) -> None:
        self.router = APIRouter()
        self.types: list[Any] = [Problem]

    def get(self, path: str, **more: Any) -> Callable[[Handler], Handler]:
        """`GET path`; see `add`."""
        return self.add("GET", path, **more)

    def post(self, path: str, **more: Any) -> Callable[[Handler], Handler]:
        """`POST path`; see `add`."""
        return self.add("POST", path, **more)

    def add(
        self,
        method: str,
        path: str,
        *,
        gives: Any,
        example: Any,
        status: int = 200,
        takes: Any = None,
        taken: Any = None,
        problems: Sequence[int] = (),
        media_type: str = "application/json",
        tag: str = "",
        name: str = "",
        description: str = "",
    ) -> Callable[[Handler], Handler]:
        """Declare a route that gives records of the type `gives` and takes those of `takes`.

        Raises `KeyError` where the table of roles does not know the route.
        """
        role = ROUTES[f"{method} {path}"]
        self.types += [t for t in (gives, takes) if t is not None]
        content = {"schema": _schema(gives), "example": msgspec.to_builtins(example)}
        responses: dict[int | str, dict[str, Any]] = {
            status: {"description": "As described.", "content": {media_type: content}},
            **{code: _problem(code) for code in sorted({*_EVERYWHERE, *problems})},
        }
        extra: dict[str, Any] = {"x-required-role": role.value}
        if takes is not None:
            body = {"schema": _schema(takes), "example": msgspec.to_builtins(taken)}
            extra["requestBody"] = {"required": True, "content": {"application/json": body}}

        def decorate(handler: Handler) -> Handler:
            self.router.add_api_route(
                path,
                handler,
                methods=[method],
                status_code=status,
                response_class=Response,
                responses=responses,
                dependencies=[Depends(_needs(role))],
                tags=[tag or path.split("/")[3]],
                openapi_extra=extra,
                name=name or handler.__name__,
                description=description or handler.__doc__ or "",
                generate_unique_id_function=_operation,
            )
            return handler

        return decorate


def _operation(route: APIRoute) -> str:
    return route.name


def _needs(role: Role) -> Callable[[Request], None]:
    async def check(request: Request) -> None:
        if not person_of(request).may(role):
            raise ProblemError(403, "Not for your role", f"This needs the role {role}.")

    return check  # type: ignore[return-value]  # FastAPI awaits it


def _problem(code: int) -> dict[str, Any]:
    example = Problem(title="…", status=code, detail=_PROBLEMS[code], instance="/api/v1/…")
    content = {"schema": {"$ref": REF.format(name="Problem")}, "example": _plain(example)}
    return {"description": _PROBLEMS[code], "content": {MEDIA_TYPE: content}}


def _schema(kind: Any) -> Any:
    (schema,), _ = msgspec.json.schema_components([kind], ref_template=REF)
    return schema


def _plain(value: Any) -> Any:
    return msgspec.to_builtins(value)


def person(request: Request) -> Person:
    """A dependency: who asks."""
    return person_of(request)


def json(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Records as JSON. What is asked may concern a patient: nobody on the way may keep it."""
    body = msgspec.json.encode(value)
    every = {**NO_STORE, **(headers or {})}
    return Response(body, status, every, media_type="application/json")


def _whole(value: Any) -> Any:
    """JSON has one kind of number: 3.0 is a 3 to JSON Schema, and so it is here."""
    match value:
        case float() if value.is_integer():
            return int(value)
        case dict():
            return {key: _whole(one) for key, one in value.items()}
        case list():
            return [_whole(one) for one in value]
        case _:
            return value


async def body(request: Request, kind: type[Any], most: int = 1_000_000) -> Any:
    """The request's body as a record. Raises `ProblemError` for anything else."""
    sent = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if sent != "application/json":
        raise ProblemError(415, "Not JSON", "Send application/json.")
    if int(request.headers.get("content-length") or 0) > most:
        raise ProblemError(413, "Too large", f"A request has at most {most} bytes.")
    raw = b""
    async for part in request.stream():
        raw += part
        if len(raw) > most:
            raise ProblemError(413, "Too large", f"A request has at most {most} bytes.")
    try:
        return msgspec.convert(_whole(msgspec.json.decode(raw)), kind)
    except msgspec.MsgspecError as error:
        raise ProblemError(422, "Not valid", f"The body is not valid: {error}.") from None
    except (UnicodeDecodeError, RecursionError):
        raise ProblemError(422, "Not valid", "The body is no JSON in UTF-8.") from None
