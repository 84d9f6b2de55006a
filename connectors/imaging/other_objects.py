"""Rejection notes, segmentations and pushed pictures as facts of their studies.

A rejection note is a key object selection whose title says why (IHE Radiology, Imaging Object
Change Management; PS3.16 CID 7011). What it names does not count any more, whether it came before
or after. Of pictures only the number is kept; reports and segmentations, which hold values, are
named one by one.
"""

from __future__ import annotations

from typing import Final

from connectors.facts import ImagingObject, Rank, Segment, Stage, StudyEvent
from connectors.identity import IdentityKey
from connectors.imaging.codes import coded, laterality_of
from connectors.imaging.elements import is_read
from connectors.imaging.objects import Header, Picture, Segmentation, SegmentRead, Selection
from connectors.imaging.patient import identified, moment
from connectors.interpretation import (
    About,
    Interpretation,
    NoFacts,
    Profile,
    RefusedError,
    StudyToFetch,
)
from connectors.quarantine import Reason
from connectors.wire import WireMessage

# Quality, patient safety, incorrect worklist entry, retention expired: the hospital does not keep
# the objects, so it does not act on them either.
REJECTIONS: Final = frozenset(("113001", "113037", "113038", "113039"))


def map_selection(
    found: Selection,
    message: WireMessage,
    key: IdentityKey,
    profile: Profile,
    out: Interpretation,
) -> None:
    """A rejection note; any other selection says nothing. Raises `RefusedError`."""
    title = found.title
    if title.scheme != "DCM" or title.value not in REJECTIONS:
        out.outcome, out.reason = "no_facts", NoFacts.NOTHING_MAPPED
        return
    about, written = _about(found.header, message, key, profile)
    note = key.short("object", found.header.sop_instance)
    rank: Rank = (1, written, 0, note)
    for study, chosen in found.chosen.items():
        hashed = key.study(study)
        about.facts.append(
            ImagingObject(
                id=key.short("rejection-note", note, hashed),
                rank=rank,
                object=note,
                study=hashed,
                kind=ImagingObject.NOTE,
                time=written,
                reason=title.value,
                count=len(set(chosen)),
            )
        )
        for instance in sorted({name for sop_class, name in chosen if is_read(sop_class)}):
            name = key.short("object", instance)
            about.facts.append(
                ImagingObject(
                    id=key.short("rejected-object", note, name),
                    rank=rank,
                    object=name,
                    study=hashed,
                    kind=ImagingObject.REJECTED,
                    time=written,
                    reason=title.value,
                )
            )
    if not about.facts:
        raise RefusedError(Reason.NO_STUDY, "a rejection note that names nothing", "(0040,A375)")
    _tell(about, written, out)


def map_segmentation(
    found: Segmentation,
    message: WireMessage,
    key: IdentityKey,
    profile: Profile,
    out: Interpretation,
) -> None:
    """Raises `RefusedError`."""
    about, written = _about(found.header, message, key, profile)
    name = key.short("object", found.header.sop_instance)
    about.facts.append(
        ImagingObject(
            id=key.short("segmentation", name),
            rank=(1, written, 0, name),
            object=name,
            study=key.study(found.header.study),
            kind=ImagingObject.SEGMENTATION,
            time=written,
            segments=[_segment(s, key) for s in found.segments if s.number.isdecimal()],
        )
    )
    _tell(about, written, out)


def map_picture(
    found: Picture, message: WireMessage, key: IdentityKey, profile: Profile, out: Interpretation
) -> None:
    """A picture that was pushed: its study is available. Raises `RefusedError`."""
    header = found.header
    identifier, identity = identified(header.patient, profile)
    if not header.study:
        raise RefusedError(Reason.NO_STUDY, "no StudyInstanceUID", "(0020,000D)")
    study = key.study(header.study)
    rank: Rank = (1, message.heard, 0, key.short("pushed", header.study))
    event = StudyEvent(
        id=key.short("study-event", study, Stage.AVAILABLE, "pushed", message.source),
        rank=rank,
        stage=Stage.AVAILABLE,
        time=message.heard,
        study=study,
        accession=key.accession(found.accession) if found.accession else "",
        modality=found.modality,
    )
    out.fetch = [StudyToFetch(header.study)]
    _tell(About(key.pseudonym(identifier), identity, [event]), message.heard, out)


def _segment(read: SegmentRead, key: IdentityKey) -> Segment:
    return Segment(
        int(read.number[:9]),
        coded(read.what),
        coded(read.site),
        laterality_of(read.laterality),
        key.short("tracking", read.tracking) if read.tracking else "",
    )


def _about(
    header: Header, message: WireMessage, key: IdentityKey, profile: Profile
) -> tuple[About, float]:
    identifier, identity = identified(header.patient, profile)
    if not header.study or not header.sop_instance:
        raise RefusedError(Reason.NO_STUDY, "no StudyInstanceUID or SOPInstanceUID", "")
    said = header.content_date and header.content_date + header.content_time
    latest = message.heard + profile.max_future_s
    written = moment(said, header.offset, latest, profile)
    return About(key.pseudonym(identifier), identity), message.heard if written is None else written


def _tell(about: About, written: float, out: Interpretation) -> None:
    out.sent, out.patients, out.outcome, out.reason = written, [about], "facts", ""
