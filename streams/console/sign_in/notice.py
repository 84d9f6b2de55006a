"""A page that says one thing, to people who have not signed in."""

from __future__ import annotations

import html

from fastapi.responses import HTMLResponse

from streams.console.palette import css_variables

_STYLE = """
body{margin:15vh auto;max-width:34rem;padding:0 1.4rem;background:var(--page);color:var(--ink);
font:1.1rem/1.5 system-ui,"Liberation Sans",Arial,sans-serif}a{color:var(--link)}
"""


def notice(status: int, title: str, text: str) -> HTMLResponse:
    """With a link to sign in (again)."""
    page = (
        '<!doctype html><html lang="en-GB"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{html.escape(title)} – Tocsin</title><style>{css_variables()}{_STYLE}</style>"
        f"</head><body><main><h1>{html.escape(title)}</h1><p>{html.escape(text)}</p>"
        '<p><a href="/sign-in">Sign in</a></p></main></body></html>'
    )
    return HTMLResponse(page, status, headers={"cache-control": "no-store"})
