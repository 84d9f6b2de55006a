"""The contract's codes in the words of a ward."""

from __future__ import annotations

import re
from typing import NamedTuple

from connectors.contract import (
    Alert,
    AlertReason,
    AlertState,
    Contribution,
    Missing,
    Moved,
    Score,
    SetAside,
    Severity,
)
from connectors.identity import Identity
from streams.console.units import NO_BREAK, display_value, percent, signed

OPEN_STATES = frozenset(
    {
        AlertState.PENDING,
        AlertState.FIRING,
        AlertState.ACKNOWLEDGED,
        AlertState.SNOOZED,
        AlertState.ESCALATED,
    }
)

STATES = {
    AlertState.PENDING: "Being confirmed",
    AlertState.FIRING: "Alerting",
    AlertState.ACKNOWLEDGED: "Acknowledged",
    AlertState.SNOOZED: "Snoozed",
    AlertState.ESCALATED: "Escalated",
    AlertState.RESOLVED: "Ended",
    AlertState.WITHDRAWN: "Withdrawn",
}

SEVERITIES = {Severity.CRITICAL: "Critical", Severity.WARNING: "Warning"}

REASONS = {
    AlertReason.ABOVE_THRESHOLD: "the risk rose above the threshold",
    AlertReason.SCORE_CHANGED: "the risk changed, so its severity did",
    AlertReason.BELOW_THRESHOLD: "the risk fell below the threshold",
    AlertReason.DISCHARGED: "the patient was discharged",
    AlertReason.STAY_CANCELLED: "the admission was cancelled",
    AlertReason.DATA_CHANGED: "a corrected or late result changed the picture",
    AlertReason.DATA_EXPIRED: "no recent enough data to stand on",
    AlertReason.QUESTION_OVER: "the time that the question is about has passed",
    AlertReason.DIED: "the patient died",
    AlertReason.MERGED: "the patient goes on under another number, with alerts there",
    AlertReason.AWAITING_CONFIRMATION: "the risk is above the threshold, not confirmed yet",
    AlertReason.CONFIRMED: "the risk has stayed above the threshold",
    AlertReason.WORSENED: "it is more severe than before",
    AlertReason.SNOOZE_ENDED: "the snooze is over, and the risk is still high",
    AlertReason.RELEASED: "what held it back has ended",
    AlertReason.UNACKNOWLEDGED: "nobody acknowledged it in time",
    AlertReason.HANDED_OVER: "it was handed over",
    AlertReason.JOINED: "it joined a call for another risk of the patient",
    AlertReason.COVERED: "it belongs to a call that somebody has acknowledged",
    AlertReason.PARTED: "the call that it had joined is over",
    AlertReason.INHIBITED: "it is held back by what is known of the patient",
    AlertReason.SILENCED: "it is silenced",
    AlertReason.QUIET_HOURS: "it waits for the end of the quiet hours",
    AlertReason.SHADOW: "it is on trial here: nobody is called",
    AlertReason.AMENDED: "a late or corrected result moved its beginning",
    AlertReason.ACKNOWLEDGED: "somebody takes care",
    AlertReason.SNOOZED: "it is quiet for a while",
    AlertReason.COMMENTED: "somebody commented",
    AlertReason.UNWATCHED: "the model does not answer for this patient any more: look yourself",
    AlertReason.WATCHED_AGAIN: "the model answers for this patient again",
    AlertReason.DISMISSED: "it was dismissed",
    AlertReason.OUTCOME: "the outcome is known",
    AlertReason.THRESHOLD_CHANGED: "by the thresholds now in force it would not be",
    AlertReason.MODEL_CHANGED: "by the model now in use it would not be",
}

MODALITIES = {
    "ehr": "Health record",
    "imaging": "Imaging",
    "genomics": "Genomics",
    "blood": "Blood results",
    "pathology": "Pathology",
    "tma": "Tissue microarray",
}

_UNREADABLE = "nothing that it could read has been reported yet"
_DIED = "the patient has died"
ABSTENTIONS = {
    "no_data": "nothing has been measured yet",
    "too_little_data": "too little has been measured yet",
    "stale_data": "the newest data are too old",
    "question_over": "the time that the question is about has passed",
    "not_eligible": "nothing says that this question concerns the patient",
    "critical_value": "one value is an emergency by itself, whatever a model would say",
    "model_error": "the model failed on this patient’s data: it does not watch them, so look "
    "yourself; the technical staff have been told",
    "merged": "the patient goes on under another number",
    "feed_down": "data are lacking, and a source of this patient’s data is silent",
    "out_of_distribution": "this patient is unlike those the model learned from",
    "retired": "this question is not asked here any more",
    "not_present": "the patient is not in the hospital",
}

# Where the same reason means something else.
_OF_A_RISK = {
    ("news2", "out_of_distribution"): "the chart is for people of 16 years and older",
    ("glioma-survival", "no_data"): _UNREADABLE,
    ("glioma-survival", "not_present"): _DIED,
    ("head-neck-recurrence", "no_data"): _UNREADABLE,
    ("head-neck-recurrence", "not_present"): _DIED,
}

REJECTIONS = {  # why a value is not used
    "unit_missing": "came without a unit",
    "unit_unknown": "its unit is not known",
    "unit_incompatible": "its unit does not fit the quantity",
    "implausible": "not plausible",
    "not_a_number": "not a number",
    "unknown_answer": "an answer that is not known",
    "contradiction": "another answer of the same time contradicts it",
    "critical_value": "an emergency by itself",
    "out_of_distribution": "unlike those that the model learned from",
}

STATUSES = {  # HL7 table 0085
    "P": "Preliminary",
    "F": "Final",
    "C": "Corrected",
    "A": "Amended",
    "D": "Deleted",
    "W": "Wrong patient",
    "X": "Not obtainable",
    "U": "Final",
    "R": "Not verified",
    "S": "Partial",
    "I": "Pending",
    "O": "Ordered",
    "N": "Not asked",
    "V": "Verified",
    "B": "Appended",
}

FLAGS = {  # HL7 table 0078
    "H": "high",
    "L": "low",
    "HH": "critically high",
    "LL": "critically low",
    "A": "abnormal",
    "AA": "critically abnormal",
    ">": "above the measurable range",
    "<": "below the measurable range",
}

SEXES = {"F": "female", "M": "male", "O": "other", "A": "ambiguous", "U": "sex unknown"}

PATIENT_CLASSES = {  # HL7 table 0004
    "I": "inpatient",
    "E": "emergency",
    "O": "outpatient",
    "P": "pre-admission",
    "R": "recurring",
    "B": "obstetrics",
}


class RiskWords(NamedTuple):
    """A risk's name, and what its percentage is a percentage of."""

    name: str
    question: str


RISKS = {
    "deterioration": RiskWords("Deterioration", "chance of dying during this hospital stay"),
    "news2": RiskWords("NEWS2", "chance of dying during this hospital stay, by its points"),
    "sepsis": RiskWords("Sepsis", "chance of sepsis beginning within 6 hours"),
    "glioma-survival": RiskWords("Glioma survival", "chance of dying within two years of the MRI"),
    "head-neck-recurrence": RiskWords(
        "Head and neck cancer", "chance of relapse or death within three years"
    ),
}


def plain(code: str) -> str:
    """`no_patient` → `No patient`."""
    return code.replace("_", " ").replace("-", " ").strip().capitalize()


def risk_words(risk: str) -> RiskWords:
    """In plain words; a risk that this console has not heard of keeps its own name."""
    return RISKS.get(risk) or RiskWords(plain(risk), "estimated chance")


def modality_words(modality: str) -> str:
    """`ehr` → `Health record`."""
    return MODALITIES.get(modality) or plain(modality)


def abstention_words(reason: str, risk: str) -> str:
    """Why there is no score of that risk."""
    return _OF_A_RISK.get((risk, reason)) or ABSTENTIONS.get(reason) or plain(reason).lower()


def stand_in_words(score: Score) -> str:
    """Who answers in the model's place, and why; "" where the model itself does."""
    told = score.fall_back
    if told is None:
        return ""
    return (
        f"by {risk_words(told.risk).name}, at its own triggers; the model gives none: "
        f"{abstention_words(told.reason, score.risk)}"
    )


def is_open(alert: Alert) -> bool:
    """Does somebody still have to care about it?"""
    return alert.state in OPEN_STATES


_SPAN = re.compile(r"(\d) (h|min|d|days)\b")


def feature_words(feature: str) -> str:
    """`Lactate, last value` → `Lactate`; other summaries keep their name."""
    for ending in (", last value", ", last", ", latest"):
        feature = feature.removesuffix(ending)
    return _SPAN.sub(rf"\1{NO_BREAK}\2", feature)


def finding_words(c: Contribution | SetAside) -> str:
    """`Lactate 4.2 mmol/L`; `Heart rate, mean of 6 h: 104 /min`."""
    feature = feature_words(c.feature)
    if c.value is None:
        return feature
    if isinstance(c, Contribution) and not c.unit and c.value in (0, 1):
        return f"{feature}: {'yes' if c.value else 'no'}"
    return f"{feature}{':' if ',' in feature else ''} {display_value(c.value, c.unit)}"


def contribution_words(c: Contribution) -> str:
    """`Lactate 4.2 mmol/L (+0.8)`."""
    return f"{finding_words(c)} ({signed(c.contribution, 1)})"


def moved_words(m: Moved) -> str:
    """`Lactate 4.2 mmol/L (+0.2 → +1.4)`: what a feature added before, and adds now."""
    now = Contribution(feature=m.feature, value=m.value, unit=m.unit, contribution=0.0)
    before, after = (signed(x or 0.0, 1) for x in (m.before, m.after))
    return f"{finding_words(now)} ({before} → {after})"


def missing_words(missing: Missing, most: int) -> str:
    """What is not known, modalities first: `Imaging, Albumin and 3 more`."""
    features = [f for f in missing.features if f != missing.next_datum]  # said on its own
    names = [modality_words(m) for m in missing.modalities] + features
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def set_aside_words(missing: Missing) -> str:
    """Newest results that were not used, or silence it: `IDH: an answer that is not known`."""
    return "; ".join(
        f"{finding_words(one)}: {REJECTIONS.get(one.reason) or plain(one.reason).lower()}"
        for one in missing.set_aside
    )


def what_if_words(missing: Missing) -> str:
    """`If IDH came back mutated: 31 %; wildtype: 62 %.`: a result that is pending."""
    said = [f"{one.answer}: {percent(one.probability)}" for one in missing.what_if]
    return f"If {missing.what_if[0].datum} came back {'; '.join(said)}." if said else ""


def full_name(identity: Identity | None, pseudonym: str) -> str:
    """`Okafor, Grace`; the pseudonym where the vault knows no name."""
    if identity is None:
        return pseudonym
    name = ", ".join(part for part in (identity.family, identity.given) if part)
    return name or pseudonym


def place(ward: str, bed: str) -> str:
    """`Ward 4A, bed 12`."""
    parts = [f"Ward {ward}" if ward else "", f"bed {bed}" if bed else ""]
    text = ", ".join(p for p in parts if p)
    return text[0].upper() + text[1:] if text else "No location"


_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def birth_words(birth_date: str) -> str:
    """HL7 `19540312` → `12 Mar 1954`; a shorter date stays as exact as it is."""
    digits = birth_date[:8]
    if not digits.isdigit() or len(digits) not in (4, 6, 8):
        return birth_date
    month = int(digits[4:6]) if len(digits) > 4 else 0
    if not 1 <= month <= 12:
        return digits[:4]
    day = f"{int(digits[6:8])} " if len(digits) == 8 else ""
    return f"{day}{_MONTHS[month - 1]} {digits[:4]}"
