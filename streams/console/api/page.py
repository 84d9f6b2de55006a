"""`/api/v1/docs`: the description as a plain page that needs no script and no other host."""

from __future__ import annotations

import html
import json
from typing import Any

from fastapi import FastAPI
from fastapi.responses import HTMLResponse, JSONResponse

from streams.console.palette import css_variables

_STYLE = """
body{margin:0 auto;max-width:64rem;padding:1rem 1.4rem 3rem;background:var(--page);
color:var(--ink);font:1rem/1.5 system-ui,"Liberation Sans",Arial,sans-serif}
section{background:var(--paper);border:1px solid var(--line);border-radius:6px;
padding:.4rem 1.1rem 1rem;margin:1rem 0}
pre{background:var(--page);padding:.6rem .8rem;overflow-x:auto;font-size:.85rem}
code{font-family:ui-monospace,"Liberation Mono",monospace}
h2{font-size:1.05rem}td,th{text-align:left;vertical-align:top;padding:.15rem .9rem .15rem 0}
a{color:var(--link)}.role{color:var(--muted);font-weight:400}
"""


def add_page(application: FastAPI, described: dict[str, Any]) -> None:
    """The description for programs and for people."""
    page = _page(described)

    @application.get("/api/v1/openapi.json", include_in_schema=False)
    async def openapi() -> JSONResponse:
        return JSONResponse(described)

    @application.get("/api/v1/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(page)


def _page(described: dict[str, Any]) -> str:
    info = described["info"]
    sections = [
        _section(method.upper(), path, operation)
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
    ]
    records = [
        f'<section id="{_text(name)}"><h2>{_text(name)}</h2>'
        f"<p>{_text(schema.get('description', ''))}</p>{_pre(schema)}</section>"
        for name, schema in sorted(described["components"]["schemas"].items())
    ]
    return (
        '<!doctype html><html lang="en-GB"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width"><title>Tocsin API</title>'
        f"<style>{css_variables()}{_STYLE}</style></head><body><main><h1>Tocsin API</h1>"
        f"<p>{_text(info['description'])}</p>"
        '<p><a href="/api/v1/openapi.json">This description as OpenAPI</a></p>'
        f"{''.join(sections)}<h1>Records</h1>{''.join(records)}</main></body></html>"
    )


def _section(method: str, path: str, operation: dict[str, Any]) -> str:
    taken = operation.get("requestBody", {}).get("content", {}).get("application/json")
    parts = [
        f"<section><h2><code>{method} {_text(path)}</code> "
        f'<span class="role">{_text(operation["x-required-role"])}</span></h2>',
        f"<p>{_text(operation.get('description', ''))}</p>",
        _parameters(operation.get("parameters", [])),
    ]
    if taken:
        parts.append(f"<p>Takes, for example:</p>{_pre(taken['example'])}")
    for code, answer in sorted(operation["responses"].items()):
        for media, content in answer.get("content", {}).items():
            if code.startswith("2"):
                parts.append(f"<p>{code}, {_text(media)}, for example:</p>")
                parts.append(_pre(content["example"]))
            else:
                parts.append(f"<p>{code}: {_text(answer['description'])}</p>")
    return "".join([*parts, "</section>"])


def _parameters(parameters: list[dict[str, Any]]) -> str:
    if not parameters:
        return ""
    rows = "".join(
        f"<tr><td><code>{_text(p['name'])}</code></td><td>{_text(p['in'])}"
        f"{', required' if p.get('required') else ''}</td>"
        f"<td>{_text(p.get('description', ''))}</td></tr>"
        for p in parameters
    )
    return f"<table>{rows}</table>"


def _pre(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, indent=1, ensure_ascii=False)
    return f"<pre>{_text(text)}</pre>"


def _text(value: object) -> str:
    return html.escape(str(value))
