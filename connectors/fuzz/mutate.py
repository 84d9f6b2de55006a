"""Messages that no interface specification has foreseen. Everything is drawn from one `Random`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Final

from connectors.hl7 import build

CR = b"\r"
_START: Final = 1_767_268_800.0

# Field contents that parsers stumble over: nulls, numbers, times, escapes, separators, charsets.
_NASTY: Final[tuple[bytes, ...]] = (
    b'""', b"", b" ", b"NaN", b"-INF", b"1e999", b"-0", b"+.5", b"1,5", b"0x10", b"9" * 400,
    b"00000000", b"99991231235959.9999+1400", b"20260230", b"2026", b"20260101250000",
    b"20260101120000-9999", b"18000101", b"10000101000000", b"2026010112003", b"-20260101",
    b"\\F\\\\S\\\\T\\\\R\\\\E\\", b"\\X0D\\", b"\\XZZ\\", b"\\X0", b"\\", b"\\\\\\", b"\\.br\\",
    b"\\.sp9999999999\\", b"\\H\\x\\N\\", b"\\C2842\\", b"\\M2442\\", b"\\Zx\\",
    b"^" * 300, b"&" * 300, b"~" * 300, b"^~&" * 100, b"<5", b">^10", b"<^1^-^2", b"^5",
    b"\xff\xfe", b"\xc3", b"\xed\xa0\x80", b"\xf0\x9f\x92\x89", b"\x1b$B0l\x1b(B", b"\x00",
    b"\x1c", b"\x85", b"\xe2\x80\xa8", b"UNICODE UTF-8", b"8859/1", b"ISO IR87", b"UNICODE",
    b"MSH|^~\\&|", b"2.1", b"2.8.2", b"9.9", b"U", b"D", b"W", b"F", b"P", b"C", b"X",
    "\u0661\u0662".encode(), "\u00bd".encode(), "\u2028".encode(),
)  # fmt: skip
_TYPES: Final[tuple[bytes, ...]] = (
    b"ADT^A01", b"ADT^A02", b"ADT^A08", b"ADT^A11", b"ADT^A12", b"ADT^A13", b"ADT^A17", b"ADT^A24",
    b"ADT^A37", b"ADT^A40", b"ADT^A43", b"ADT^A44", b"ADT^A45", b"ADT^A47", b"ADT^A60", b"ORU^R01",
    b"ORU^R30", b"OUL^R22", b"ORM^O01", b"OML^O21", b"OMG^O19", b"OMI^O23", b"RDE^O11", b"RAS^O17",
    b"VXU^V04", b"MDM^T02", b"BAR^P01", b"DFT^P03", b"SIU^S12", b"PPR^PC1", b"QRY^A19", b"ACK",
    b"ACK^A01", b"ZZZ^Z99", b"ORU", b"^R01", b"", b"ADT^", b"ADT^A99", b"adt^a01",
)  # fmt: skip
_VALUE_TYPES: Final[tuple[bytes, ...]] = (
    b"NM", b"SN", b"CWE", b"CE", b"CNE", b"ST", b"TX", b"FT", b"DT", b"TM", b"TS", b"DTM", b"ED",
    b"RP", b"", b"XX",
)  # fmt: skip
_MODES: Final[tuple[bytes, ...]] = (b"", b"AL", b"NE", b"ER", b"SU", b"??", b" al ")
_DELIMITERS: Final[tuple[bytes, ...]] = (
    b"#@*!%", b"|^~\\&", b"$:;/?", b"|^~", b"|^", b"|", b"|^^\\&", b"A^~\\&", b"|^~\\&#",
    b"|^~\\&#+", b"\x01\x02\x03\x04\x05", b"\xa7^~\\&",
)  # fmt: skip


def samples() -> list[bytes]:
    """Messages to begin with, where no folder of real ones is named."""
    patient = build.pid([("42", "HOSP", "MR")], family="O|Neil", birth_date="1950", sex="F")
    visit = build.pv1("I", ward="ICU", bed="3", visit="V42", admitted=_START)
    out = []
    for event in ("A01", "A02", "A03", "A08", "A11", "A13", "A31"):
        head = build.message(f"ADT^{event}", "1", _START)
        out.append(build.join([*head, build.evn(event, recorded=_START), patient, visit]))
    for status in "PFCDWUX":
        result = [patient, visit, build.obr(("1", "Panel", "L"), filler="F1", observed=_START)]
        values: tuple[float | str, ...] = (72.0, 13.5, "positive")
        for number, value in enumerate(values, 1):
            code = (f"{number}-1", "Something", "LN")
            result.append(build.obx(code, value, set_id=number, unit="mmol/L", status=status))
        out.append(build.join([*build.message("ORU^R01", "1", _START), *result]))
    merge = [*build.message("ADT^A40", "1", _START), patient, "MRG|X^^^HOSP^MR"]
    order = [*build.message("ORM^O01", "1", _START), patient, "ORC|NW|P1|F1", "OBR|1|P1|F1|1^X^L"]
    return [*out, build.join(merge), build.join(order)]


def _segment(raw: bytes, random: Random, *, header: bool = False) -> tuple[list[bytes], int]:
    lines = raw.split(CR)
    return lines, random.randrange(0 if header or len(lines) < 2 else 1, len(lines))


def _drop_segment(raw: bytes, random: Random) -> bytes:
    lines, at = _segment(raw, random, header=True)
    del lines[at]
    return CR.join(lines)


def _repeat_segment(raw: bytes, random: Random) -> bytes:
    lines, at = _segment(raw, random, header=True)
    lines[at:at] = [lines[at]] * random.choice((1, 1, 2, 30))
    return CR.join(lines)


def _shuffle_segments(raw: bytes, random: Random) -> bytes:
    first, *rest = raw.split(CR)
    random.shuffle(rest)
    return CR.join([first, *rest])


def _nasty(separator: bytes) -> Callable[[bytes, Random], bytes]:
    """One field, or one component, becomes something that parsers stumble over."""

    def mutate(raw: bytes, random: Random) -> bytes:
        lines, at = _segment(raw, random)
        parts = lines[at].split(separator)
        parts[random.randrange(len(parts))] = random.choice(_NASTY)
        lines[at] = separator.join(parts)
        return CR.join(lines)

    return mutate


def _insert_nasty(raw: bytes, random: Random) -> bytes:
    at = random.randrange(len(raw) + 1)
    return raw[:at] + random.choice(_NASTY) + raw[at:]


def _long_field(raw: bytes, random: Random) -> bytes:
    lines, at = _segment(raw, random)
    lines[at] += b"|" + random.choice((b"x", b"\\X41\\", b"^", b"\xe4")) * random.choice(
        (1_000, 9_000)
    )
    return CR.join(lines)


def _header_field(number: int, choices: Sequence[bytes]) -> Callable[[bytes, Random], bytes]:
    """MSH-n becomes one of these (MSH-1 is the separator, so that fields count from MSH-2)."""

    def mutate(raw: bytes, random: Random) -> bytes:
        return set_header(raw, number, random.choice(choices))

    return mutate


def set_header(raw: bytes, number: int, value: bytes) -> bytes:
    """The message with another MSH-n; unchanged where it has no MSH of the usual form."""
    if raw[:4] != b"MSH|":
        return raw
    line, end, rest = raw.partition(CR)
    fields = line.split(b"|")
    fields += [b""] * (number - len(fields))
    fields[number - 1] = value
    return b"|".join(fields) + end + rest


def _value_type(raw: bytes, random: Random) -> bytes:
    lines = raw.split(CR)
    results = [n for n, line in enumerate(lines) if line.startswith(b"OBX|")]
    if not results:
        return raw
    at = random.choice(results)
    fields = lines[at].split(b"|") + [b""] * 12
    fields[2] = random.choice(_VALUE_TYPES)
    fields[11] = random.choice((*b"CDFIPRSUWXZ", 0x20)).to_bytes()
    fields[5] = random.choice((fields[5], *_NASTY))
    lines[at] = b"|".join(fields)
    return CR.join(lines)


def _delimiters(raw: bytes, random: Random) -> bytes:
    """Other delimiters throughout, as far as the new ones go."""
    new = random.choice(_DELIMITERS)
    if random.random() < 0.3:  # in the header alone: the body does not fit it
        return b"MSH" + new + raw[8:]
    table = bytes.maketrans(b"|^~\\&"[: len(new)], new[:5])
    return raw[:3].translate(None) + raw[3:].translate(table)


def _line_ends(raw: bytes, random: Random) -> bytes:
    return raw.replace(CR, random.choice((b"\n", b"\r\n", b"\r\r", b"\x85", b"")))


def _cut(raw: bytes, random: Random) -> bytes:
    return raw[: random.randrange(1, len(raw) + 1)]


def _flip(raw: bytes, random: Random) -> bytes:
    out = bytearray(raw)
    for _ in range(random.choice((1, 1, 3, 20))):
        out[random.randrange(len(out))] = random.randrange(256)
    return bytes(out)


def _batch(raw: bytes, random: Random) -> bytes:
    count = random.choice((0, 1, 2, 5))
    said = random.choice((b"%d" % count, b"7", b"", b"x"))
    body = raw * count
    head = b"BHS|^~\\&|A|B|||20260101||||" + b"%d" % random.randrange(10**9) + CR
    batch = head + body + b"BTS|" + said + CR
    return random.choice((batch, b"FHS|^~\\&" + CR + batch + b"FTS|1" + CR, head, head + raw))


def _wide(raw: bytes, random: Random) -> bytes:
    text = raw.decode("latin-1")
    return text.encode(random.choice(("utf-16", "utf-16-le", "utf-16-be", "utf-8-sig", "cp500")))


_MUTATIONS: Final[tuple[tuple[Callable[[bytes, Random], bytes], int], ...]] = (
    (_nasty(b"|"), 24), (_nasty(b"^"), 14), (_insert_nasty, 8), (_value_type, 10),
    (_drop_segment, 6), (_repeat_segment, 4), (_shuffle_segments, 4), (_cut, 4), (_flip, 8),
    (_long_field, 2), (_line_ends, 2), (_delimiters, 4), (_batch, 2), (_wide, 1),
    (_header_field(9, _TYPES), 8), (_header_field(12, (b"2.1", b"2.3", b"2.8.2", b"", b"3")), 3),
    (_header_field(15, _MODES), 4), (_header_field(16, _MODES), 4), (_header_field(18, _NASTY), 4),
    (_header_field(10, _NASTY), 1), (_header_field(7, _NASTY), 1), (_header_field(3, _NASTY), 1),
)  # fmt: skip
_FUNCTIONS: Final = tuple(m for m, _ in _MUTATIONS)
_WEIGHTS: Final = tuple(w for _, w in _MUTATIONS)


def message(corpus: Sequence[bytes], random: Random, number: str) -> bytes:
    """One message: mutated as often as not, with a control id of its own to begin with.

    Never empty; at most some hundred kilobytes.
    """
    if random.random() < 0.05:
        noise = random.randbytes(random.choice((1, 5, 80, 2_000)))
        return random.choice((noise, b"MSH" + noise, b"MSH|^~\\&|" + noise))
    raw = random.choice(corpus)
    if random.random() < 0.95:
        raw = set_header(raw, 10, number.encode())
    if random.random() < 0.5:
        return raw
    if random.random() < 0.02:  # two messages that were cut and run into one another
        other = random.choice(corpus)
        raw = raw[: random.randrange(1, len(raw))] + other[random.randrange(len(other)) :]
    for mutate in random.choices(_FUNCTIONS, _WEIGHTS, k=random.choice((1, 1, 1, 2, 2, 3, 6))):
        raw = mutate(raw, random) or raw
    return raw[:300_000]
