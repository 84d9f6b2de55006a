"""Whole messages and every fact that they become."""

from __future__ import annotations

import pytest

from connectors.facts import EncounterEvent, Observation, PersonDetail
from connectors.identity import Identifier, Identity
from tests.unit.hl7.reading import HEARD, KEY, SENT, lines, observed, read

MINUTE = 60.0
PSEUDONYM = KEY.pseudonym(Identifier("HOSP", "MR", "42"))

ORU = (
    "MSH|^~\\&|LAB^1.2.3^ISO|GEN^4.5.6^ISO|TOCSIN||20260101130000+0100||ORU^R01^ORU_R01|M7|P|2.5.1",
    "PID|1|9|99^^^NAT^NI~42^^^HOSP&1.2&ISO^MR||O\\T\\Neil&van^Jo||19560412|F" + "|" * 22 + "N",
    "PV1|1|I|W3^12^B",
    "ORC|RE|P1|F1^LAB",
    "OBR|1|P1||51990-0^Basic panel^LN|||202601011150+0000" + "|" * 15 + "202601011158+0000|||C",
    "OBX|1|NM|K^Kalium^L^2823-3^Potassium^LN|1|6.1|mmol/L^mmol/L^UCUM|3.5-5.1|HH|||C",
    "OBX|2|SN|10839-9^Troponin I^LN||<^0.01|ng/mL|||||P|||20260101114500+0000",
    "OBX|3|ST|COL^Colour^99LAB||pale yellow||||||",
    "OBX|4||2345-7^Glucose^LN||||||||W",
    "NTE|1||haemolysed",
)

ADT = (
    "MSH|^~\\&|ADT|GEN|TOCSIN||20260101120000+0000||ADT^A01^ADT_A01|A1|P|2.5.1",
    "EVN|A01|20260101115900+0000|||||",
    'PID|1||42^^^HOSP^MR||O\'Neil^Jo||1956|""||||||||||ACC1||||||||||||N',
    "PV1|1|I|W3^12^B" + "|" * 16 + "V9^^^GEN^VN" + "|" * 25 + "20260101110000+0000",
)


def test_a_result_message() -> None:
    found = read("\r".join(ORU).encode())
    order = KEY.reference("obs", "filler", "LAB", "F1")[:16]
    changed = SENT - 2 * MINUTE

    assert (found.outcome, found.reason, found.issues) == ("facts", "", [])
    assert (found.message_type, found.control_id, found.source) == ("ORU^R01", "M7", "LAB|GEN")
    assert found.sent == SENT
    assert found.pseudonym == PSEUDONYM
    assert found.patients[0].identity == Identity(
        identifiers=(Identifier("NAT", "NI", "99"), Identifier("HOSP", "MR", "42")),
        family="O&Neil",
        given="Jo",
        birth_date="19560412",
        sex="F",
    )
    potassium, troponin, colour, glucose = observed(found)
    assert potassium == Observation(
        id=potassium.id,
        rank=(1, changed, 1, "M7"),
        code="2823-3",
        system="LN",
        name="Potassium",
        time=SENT - 10 * MINUTE,
        status="C",
        value=6.1,
        unit="mmol/L",
        sub_id="1",
        flag="HH",
    )
    assert troponin == Observation(
        id=troponin.id,
        rank=(0, changed, 0, "M7"),
        code="10839-9",
        system="LN",
        name="Troponin I",
        time=SENT - 15 * MINUTE,
        status="P",
        value=0.01,
        comparator="<",
        unit="ng/mL",
        serial=SENT - 15 * MINUTE,
    )
    assert colour == Observation(
        id=colour.id,
        rank=(1, changed, 1, "M7"),  # OBX-11 is blank: the order's C
        code="COL",
        system="99LAB",
        name="Colour",
        time=SENT - 10 * MINUTE,
        status="C",
        value="pale yellow",
    )
    assert glucose == Observation(
        id=glucose.id,
        rank=(1, changed, 1, "M7"),
        removed=True,
        code="2345-7",
        system="LN",
        name="Glucose",
        time=SENT - 10 * MINUTE,
        status="W",
    )
    ids = [o.id for o in observed(found)]
    assert len(set(ids)) == 4
    assert all(i.startswith(order) and len(i) == 32 for i in ids)
    rank = (1, SENT, 0, "M7")
    assert found.facts[4:] == [
        PersonDetail(id="person:birth_year", rank=rank, field="birth_year", value=1956.0),
        PersonDetail(id="person:sex", rank=rank, field="sex", value="F"),
    ]


def test_an_admission() -> None:
    found = read("\r".join(ADT).encode())
    visit = KEY.reference("visit", "VN", "GEN", "V9")[:16]
    assert (found.outcome, found.message_type, found.issues) == ("facts", "ADT^A01", [])
    rank = (1, SENT, 0, "A1")
    assert found.facts == [
        EncounterEvent(
            id=KEY.reference("visit", visit, "admitted", ""),
            rank=(1, SENT - MINUTE, 0, "A1"),
            visit=visit,
            event="admitted",
            time=SENT - 60 * MINUTE,
            account=KEY.reference("visit", "AN", "GEN", "ACC1")[:16],
            patient_class="I",
            ward="W3",
            bed="12-B",
        ),
        PersonDetail(id="person:birth_year", rank=rank, field="birth_year", value=1956.0),
        PersonDetail(id="person:sex", rank=rank, field="sex", value=None, removed=True),
        PersonDetail(id="person:died_at", rank=rank, field="died_at", value=None, removed=True),
    ]


def test_the_same_result_relayed_by_another_system_is_the_same_fact() -> None:
    relayed = [ORU[0].replace("LAB^1.2.3^ISO|GEN^4.5.6^ISO", "HUB|REGION"), *ORU[1:]]
    ids = [o.id for o in observed(read("\r".join(relayed).encode()))]
    assert ids == [o.id for o in observed(read("\r".join(ORU).encode()))]


def test_a_number_without_an_authority_belongs_to_the_sender() -> None:
    bare = [line.replace("F1^LAB", "F1").replace("HOSP&1.2&ISO", "") for line in ORU]
    one = read("\r".join(bare).encode())
    other = read("\r".join([bare[0].replace("GEN^4.5.6", "OTHER^7"), *bare[1:]]).encode())
    assert one.patients[0].identity is not None
    assert one.patients[0].identity.identifiers[1] == Identifier("GEN", "MR", "42")
    assert one.pseudonym != other.pseudonym
    assert {o.id for o in observed(one)}.isdisjoint(o.id for o in observed(other))


def test_without_an_order_number_the_time_is_part_of_the_identity() -> None:
    loose = [line.replace("RE|P1|F1^LAB", "RE").replace("1|P1||", "1|||") for line in ORU]
    first = observed(read("\r".join(loose).encode()))
    assert {o.serial for o in first} == {None}
    later = [line.replace("202601011150", "202601011151") for line in loose]
    second = observed(read("\r".join(later).encode()))
    assert first[0].id != second[0].id  # dated by OBR-7
    assert first[1].id == second[1].id  # dated by OBX-14


@pytest.mark.parametrize("kind", ["OUL^R22", "OUL^R23", "OUL^R24"])
def test_an_order_segment_after_its_request_belongs_to_it(kind: str) -> None:
    orc, obr = "ORC|RE|P1|F1^LAB", "OBR|1|P1||1^P^L|||202601011100+0000"
    later, other = "OBR|2|P2||2^Q^L|||202601011000+0000", "ORC|RE|P2|F2^LAB"
    obx = "OBX|1|NM|2823-3^K^LN||4.5|mmol/L|||||F"
    pid = "PID|1||42^^^HOSP^MR"
    after = read(lines(pid, obr, orc, obx, later, other, obx, kind=kind))
    before = read(lines(pid, orc, obr, obx, other, later, obx, kind=kind))
    assert [o.time for o in observed(after)] == [SENT - 60 * MINUTE, SENT - 120 * MINUTE]
    assert after.facts == before.facts
    assert after.facts == read(lines(pid, orc, obr, obx, other, later, obx)).facts


def test_a_time_without_an_offset_is_in_the_zone_of_the_site() -> None:
    from tests.unit.hl7.reading import Profile  # noqa: PLC0415

    local = "\r".join(ADT).replace("+0000", "").encode()
    found = read(local, HEARD, Profile(time_zone="America/New_York"))
    assert found.sent == SENT + 5 * 3_600.0


def test_a_time_without_an_offset_has_that_of_msh_7_unless_the_source_has_a_zone() -> None:
    from tests.unit.hl7.reading import Profile  # noqa: PLC0415

    told = lines(
        "PID|1||42^^^HOSP^MR",
        "OBR|1||F1^LAB|1^Panel^L|||20260101115500",
        "OBX|1|NM|2823-3^K^LN||4.1|mmol/L|||||F",
    ).replace(b"20260101120000+0000", b"20260101120000+0100")
    (fact,) = observed(read(told, HEARD))
    assert fact.time == SENT - 3_600 - 300
    own = Profile(time_zone="America/New_York", zone_of_source=True)
    (fact,) = observed(read(told, HEARD, own))
    assert fact.time == SENT + 5 * 3_600 - 300


@pytest.mark.parametrize("kind", ["OUL^R22", "OUL^R23", "OML^O33"])
def test_what_describes_a_specimen_is_not_of_the_order_before_it(kind: str) -> None:
    orders = ["ORC|RE", "OBR|1||F1^LAB|1^Panel^L|||20260101090000+0000"]
    segments = [
        "PID|1||42^^^HOSP^MR",
        "SPM|1|S1||BLD|||||||||||||20260101080000+0000",
        "OBX|1|NM|3151-8^Volume^LN||5|mL|||||F",
        *(orders if kind == "OML^O33" else orders[::-1]),
        "OBX|2|NM|2823-3^Potassium^LN||4.1|mmol/L|||||F",
        "SPM|2|S2||BLD|||||||||||||20260101083000+0000",
        "OBX|3|NM|3151-8^Volume^LN||6|mL|||||F",
    ]
    found = read(lines(*segments, kind=kind))
    assert not found.issues
    minutes = [((o.time - SENT) / 60, o.value) for o in observed(found)]
    assert minutes == [(-240.0, 5.0), (-180.0, 4.1), (-210.0, 6.0)]
    assert len({o.id[:16] for o in observed(found)}) == 3


def test_a_specimen_below_its_order_is_of_that_order() -> None:
    """OUL^R24 and ORU."""
    segments = [
        "PID|1||42^^^HOSP^MR",
        "OBR|1||F1^LAB|1^Panel^L|||20260101090000+0000",
        "OBX|1|NM|2823-3^Potassium^LN||4.1|mmol/L|||||F",
        "SPM|1|S1",
        "OBX|2|NM|3151-8^Volume^LN||6|mL|||||F",
    ]
    for kind in ("OUL^R24", "ORU^R01"):
        found = observed(read(lines(*segments, kind=kind)))
        assert len({o.id[:16] for o in found}) == 1
