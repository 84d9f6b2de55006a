"""Messages interpreted as the sequencer would, with the settings of this machine."""

from __future__ import annotations

from connectors.identity import IdentityKey, load_key
from connectors.interpret import interpret
from connectors.interpretation import Interpretation
from connectors.site import Site
from connectors.wire import WireMessage
from streams.cli.sources import open_site
from streams.errors import UserError
from streams.settings import Settings


class Interpreter:
    """The identity key and the site file, opened once."""

    def __init__(self, settings: Settings) -> None:
        """Raises `UserError` when either cannot be used."""
        try:
            self._key: IdentityKey = load_key(
                settings.identity.key.get_secret_value(), settings.home
            )
        except ValueError as error:
            raise UserError(f"The identity key cannot be used: {error}.") from None
        self._site: Site = open_site(settings)

    def read(self, message: WireMessage) -> list[Interpretation]:
        """What a record says: one interpretation for each message in it."""
        return interpret(message, self._key, self._site)

    def charset(self, source: str) -> str:
        """The site's charset for a source; "" when MSH-18 decides."""
        return self._site.of(source).charset

    def refresh(self) -> None:
        """Read the site file again if it has changed, for whoever runs for long."""
        self._site.refresh()
