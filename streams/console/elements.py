"""The console's own elements: the table that takes patches, the status bar, a labelled control."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from nicegui import ui
from nicegui.elements.mixins.text_element import TextElement
from nicegui.events import GenericEventArguments

from streams.console.diff import Differ, Row

HEARTBEAT_S = 0.9  # `static/status_bar.js` waits for six seconds


class Words(TextElement):
    """A plain HTML element that holds text, sent again only when the text changes."""

    def __init__(self, tag: str, text: str = "") -> None:
        super().__init__(tag=tag, text=text)


class LiveTable(ui.element, component="static/live_table.js"):
    """A table that is told differences only. Nothing is sent before the browser shows it."""

    def __init__(
        self,
        columns: Sequence[dict[str, str]],
        caption: str,
        loading: str,
        on_act: Callable[[dict[str, Any]], None] | None = None,
    ) -> None:
        super().__init__()
        self._props["acts"] = on_act is not None
        if on_act is not None:
            self.on("act", lambda event: on_act(dict(event.args)))
        self._props["columns"] = list(columns)
        self._props["caption"] = caption
        self._props["loading"] = loading
        self._differ: Differ | None = None
        self._rows: Sequence[Row] = ()
        self._empty: str | None = None
        self._sent_empty: str | None = None
        self.on("ready", self._begin)

    def _begin(self) -> None:
        """The browser shows an empty table: send everything."""
        self._differ, self._sent_empty = Differ(), None
        if self._empty is not None:
            self.show(self._rows, self._empty)

    def show(
        self, rows: Sequence[Row], empty: str, news: tuple[list[str], str] | None = None
    ) -> None:
        """These rows, in this order. `empty` is said when there are none, `news` (keys and a
        sentence) marks and announces rows that have just come."""
        self._rows, self._empty = rows, empty
        if self._differ is None:
            return
        patch = self._differ.patch(rows)
        if patch is None and empty == self._sent_empty and news is None:
            return
        self._sent_empty = empty
        told = {"keys": news[0], "text": news[1]} if news else None
        self.run_method("patch", patch, empty, told)


class ActionDialog(ui.element, component="static/action_dialog.js"):
    """Asks what is needed for an action on an alert; the choices are pairs of value and text."""

    def __init__(
        self, on_act: Callable[[dict[str, Any]], None], **choices: Sequence[tuple[str, str]]
    ) -> None:
        super().__init__()
        for name, options in choices.items():
            self._props[name] = [list(option) for option in options]
        self.on("act", lambda event: on_act(dict(event.args)))

    def open(self, alert_id: str, revision: int, title: str, action: str) -> None:
        """Show it for one alert, with an action chosen beforehand."""
        self.run_method("open", {"id": alert_id, "revision": revision, "title": title}, action)


class StatusBar(ui.element, component="static/status_bar.js"):
    """Navigation, hospital time, and the banners."""

    def __init__(
        self, links: Sequence[tuple[str, str]], here: str, warning: str, person: str = ""
    ) -> None:
        super().__init__()
        self._props["links"] = [list(link) for link in links]
        self._props["here"] = here
        self._props["warning"] = warning
        self._props["person"] = person
        self._ready = False
        self._wanted: dict[str, Any] = {}
        self._sent: dict[str, Any] = {}
        self._sent_at = float("-inf")
        self.on("ready", self._begin)

    def _begin(self) -> None:
        self._ready, self._sent = True, {}
        if self._wanted:
            self.show(self._wanted)

    def show(self, status: dict[str, Any]) -> None:
        """What `static/status_bar.js` displays. The same twice is sent once a second: the browser
        raises the alarm when it hears nothing, so a page that hangs cannot look alive."""
        self._wanted, now = status, time.monotonic()
        if self._ready and (status != self._sent or now - self._sent_at >= HEARTBEAT_S):
            self._sent, self._sent_at = status, now
            self.run_method("set", status)


class Field(ui.element, component="static/field.js"):
    """A labelled control: select (with `options`: pairs of value and text), search, text, lines
    (`rows` high) or check (its value is "yes" or "")."""

    def __init__(
        self,
        label: str,
        value: str,
        on_change: Callable[[str], None] | None = None,
        options: Sequence[tuple[str, str]] | None = None,
        *,
        kind: str = "",
        help: str = "",
        rows: int = 0,
    ) -> None:
        super().__init__()
        self._props["label"] = label
        self._props["value"] = value
        self._props["kind"] = kind or ("search" if options is None else "select")
        self._props["help"] = help
        self._props["rows"] = rows
        if options is not None:
            self._props["options"] = [list(option) for option in options]
        self._on_change = on_change
        self.on("change", self._changed)

    @property
    def value(self) -> str:
        """As it was told last."""
        return str(self._props["value"])

    def put(self, value: str) -> None:
        """Another value."""
        self._props["value"] = value
        self.update()

    def _changed(self, event: GenericEventArguments) -> None:
        value = str(event.args)
        with self._props.suspend_updates():  # the browser knows
            self._props["value"] = value
        if self._on_change is not None:
            self._on_change(value)

    def offer(self, options: Sequence[tuple[str, str]]) -> None:
        """Other options; the value stays."""
        wanted = [list(option) for option in options]
        if self._props["options"] != wanted:
            self._props["options"] = wanted
            self.update()


class Button(TextElement):
    """A button; while its step is under way it cannot be pressed again."""

    def __init__(self, text: str, step: Callable[[], Awaitable[None]], kind: str = "") -> None:
        super().__init__(tag="button", text=text)
        self.props('type="button"').classes(f"button {kind}")
        self._step = step
        self.on("click", self._press, args=[])

    async def _press(self) -> None:
        if "disabled" in self._props:
            return
        self.props("disabled")
        try:
            await self._step()
        finally:
            self.props(remove="disabled")


def panel(title: str) -> ui.element:
    """A titled section."""
    section = ui.element("section").classes("panel").props(f'aria-label="{title}"')
    with section:
        Words("h2", title)
    return section
