"""How the development issuer (`tocsin issuer`) and a console that uses it know each other."""

from __future__ import annotations

from typing import Final

from streams.roles import Role
from streams.settings import OidcSettings

CLIENT: Final = "tocsin"
SECRET: Final = "development"  # noqa: S105 - of an issuer that anybody may be anybody at
PEOPLE: Final = {
    "rea": ("Rea Novak", Role.READER),
    "ada": ("Dr Ada Lindqvist", Role.CLINICIAN),
    "ben": ("Ben Okafor, RN", Role.CLINICIAN),
    "olu": ("Olu Haddad", Role.OPERATOR),
    "ira": ("Ira Silva", Role.APPROVER),
    "kim": ("Kim Moreau", Role.ADMIN),
}
WARNING: Final = (
    "Development sign-in without passwords: whoever is at this machine may be anybody. Not for "
    "real patients."
)


def is_development(settings: OidcSettings) -> bool:
    """Is it an issuer without passwords?"""
    return bool(settings.issuer) and settings.client_secret.get_secret_value() == SECRET
