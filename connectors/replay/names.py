"""Synthetic names: a replayed or simulated patient needs one, and no cohort has any."""

from __future__ import annotations

import zlib
from typing import NamedTuple

_FAMILY_NAMES = (
    "Abara Adler Almeida Amsel Baran Becker Bellini Benali Berg Bianchi Blum Boateng Brandt Castro "
    "Chen Cohen Costa Dahl Diaz Drozd Dubois Eriksen Fekete Ferrari Fischer Fontaine Fuchs Garcia "
    "Gruber Haas Hansen Hoang Horvat Ito Ivanova Jansen Kaya Keller Khan Kim Kovac Kowalski Kumar "
    "Lange Laurent Lehner Lindqvist Lopez Maier Marek Martin Mbeki Meyer Moreau Moser Nagy Ngo "
    "Nilsson Novak Okafor Olsen Ortiz Park Patel Pereira Petrov Pichler Popescu Ricci Rossi Santos "
    "Sato Schmid Silva Singh Steiner Svensson Tanaka Toth Urban Vargas Vidal Vogel Wagner Weber "
    "Winkler Wolf Yilmaz Zeman"
)
_FEMALE_NAMES = (
    "Ada Aisha Alba Anna Beatrix Camille Carla Chiara Clara Dalia Elena Elif Emma Eva Fatima "
    "Grace Greta Hana Ines Ingrid Iris Jana Julia Karin Laila Lena Lucia Maja Mara Maria Mei "
    "Mila Nadia Nina Nora Olga Paula Priya Rosa Sara Sofia Tara Vera Yuki Zora"
)
_MALE_NAMES = (
    "Adam Ahmed Alexei Anton Ben Bruno Carlos Daniel David Emil Enzo Felix Filip Georg Hugo "
    "Igor Ivan Jakob Jan Jonas Juan Karl Kenji Leo Luca Lukas Marco Martin Mateo Max Milan "
    "Nico Noah Omar Oskar Paul Pedro Rafael Ravi Samuel Simon Tariq Theo Tomas Viktor"
)
_FAMILY = _FAMILY_NAMES.split()
_GIVEN = {"F": _FEMALE_NAMES.split(), "M": _MALE_NAMES.split()}


class Name(NamedTuple):
    """A person's name."""

    family: str
    given: str


def synthetic_name(authority: str, number: str, sex: str) -> Name:
    """The same name for the same patient, every time; it tells nothing about anyone."""
    seed = zlib.crc32(f"{authority}/{number}".encode())
    given = _GIVEN.get(sex) or _GIVEN["F"] + _GIVEN["M"]
    return Name(_FAMILY[seed % len(_FAMILY)], given[seed // len(_FAMILY) % len(given)])
