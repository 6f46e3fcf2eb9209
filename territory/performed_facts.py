"""What was performed for a case, looked up in the archive's index, in the images and in the performed steps.

For: the port `oncall.protocol.performed.PerformedFacts`. Not for: comparing it with what was asked.

Invariants: what an image does not say is None, never guessed; an image that cannot be read says nothing and stops
nothing: `telegarde verify` is for that. Of a series two images are read at most, once for each number of images that it
has come to.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

import pydicom
from pydicom.filebase import DicomBytesIO
from sqlalchemy import Connection, Row, select

from foundation import log
from foundation.clock import Clock
from foundation.database import Database
from foundation.errors import PeerError, Unavailable
from oncall.case.regions import StudyKey
from oncall.protocol.performed import Performed, PerformedSeries
from pacs.archive.retrieval import InstanceReader
from pacs.archive.schema import instance, pack, patient, series
from pacs.archive.schema import study as studies
from pacs.contracts import InstanceRef, SeriesInstanceUid, SopInstanceUid, StudyInstanceUid
from pacs.worklist import mpps_store
from pacs.worklist.mpps import PerformedStep
from pacs.worklist.order import OrderId

SETTLED_AFTER: Final = timedelta(seconds=20)
"""A series that has not grown for so long is taken to be whole while the exam goes on."""

SERIES_MAX: Final = 128
"""Of one study that are looked at: a whole-body exam with all its reconstructions has thirty."""

FILE_BYTES_MAX: Final = 32 * 1024 * 1024
"""Of an image that is read for its words: a larger one is multi-frame, and says them by frame."""

READ_MAX: Final = 1_000
"""Series whose images' words are remembered."""

_TAGS: Final = (
    "ImageType", "ContrastBolusAgent", "ContrastBolusAgentSequence", "SliceThickness", "KVP", "ProtocolName",
    "ImagePositionPatient", "ImageOrientationPatient",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class _Read:
    """What the images of a series said when it had `instances` of them, first seen so at `since`."""

    instances: int
    since: datetime
    said: PerformedSeries


class ArchivePerformed:
    """Looks up what was performed; for one thread.

    Parameters
    ----------
    reader : InstanceReader
        Where the bytes of images come from.
    """

    def __init__(self, database: Database, reader: InstanceReader, clock: Clock) -> None:
        self._database = database
        self._reader = reader
        self._clock = clock
        self._read: OrderedDict[int, _Read] = OrderedDict()

    def __call__(self, wanted: tuple[StudyKey, ...], order_id: str) -> Performed:
        """Return what is known of studies, and of the performed steps of an order."""
        with self._database.read() as connection:
            steps = _steps(connection, wanted, order_id)
            rows = [row for study in wanted for row in _series_of(connection, study)]
            arrived = {row.series_instance_uid: self._series(connection, row) for row in rows}
        listed = {one.series_instance_uid: one for step in steps for one in step.series}
        found = [replace(one, is_settled=one.is_settled or _has_all(one, listed)) for one in arrived.values()]
        modality = {one.series_instance_uid: step.modality for step in steps for one in step.series}
        found += [
            PerformedSeries(
                series_instance_uid=uid, modality=modality[uid], description=one.description,
                protocol_name=one.protocol_name,
            )
            for uid, one in listed.items()
            if uid not in arrived and uid
        ]  # fmt: skip
        codes = ((code.value, code.scheme) for step in steps for code in step.protocol_codes)
        return Performed(
            series=tuple(found),
            codes=tuple(dict.fromkeys(codes)),
            # A step that lists nothing has not said what was acquired.
            is_over=bool(listed) and all(step.is_final for step in steps),
            mpps_uid=steps[-1].mpps_uid if steps else "",
        )

    def _series(self, connection: Connection, row: Row[Any]) -> PerformedSeries:
        count, now = row.number_of_series_related_instances, self._clock.now()
        known = self._read.get(row.series_pk)
        if known is None or known.instances != count:
            known = _Read(instances=count, since=now, said=self._look(connection, row))
            self._read[row.series_pk] = known
            while len(self._read) > READ_MAX:
                self._read.popitem(last=False)
        return replace(known.said, is_settled=now - known.since >= SETTLED_AFTER)

    def _look(self, connection: Connection, row: Row[Any]) -> PerformedSeries:
        said = PerformedSeries(
            series_instance_uid=row.series_instance_uid,
            modality=row.modality,
            description=row.series_description,
            instances=row.number_of_series_related_instances,
        )
        refs = [one for one in _ends(connection, row) if one.length_bytes <= FILE_BYTES_MAX]
        ends = [one for one in map(self._header, refs) if one is not None]
        if not ends:
            return said
        first = ends[0]
        image_type = [str(word) for word in _values(first, "ImageType")]
        has_agent = bool(first.get("ContrastBolusAgent")) or bool(first.get("ContrastBolusAgentSequence"))
        return replace(
            said,
            protocol_name=str(first.get("ProtocolName") or ""),
            # Absent says nothing: many scanners never name the agent.
            has_contrast=True if has_agent else None,
            slice_mm=_number(first, "SliceThickness"),
            kv=_number(first, "KVP"),
            length_mm=_length_mm(first, ends[-1]) if len(ends) > 1 else None,
            is_original=(not image_type or image_type[0] == "ORIGINAL") and "LOCALIZER" not in image_type,
        )

    def _header(self, ref: InstanceRef) -> pydicom.Dataset | None:
        try:
            file = DicomBytesIO(bytes(self._reader.read_file(ref)))
            return pydicom.dcmread(file, stop_before_pixels=True, specific_tags=list(_TAGS), force=True)
        except (Unavailable, PeerError, ValueError, KeyError, EOFError, pydicom.errors.InvalidDicomError) as error:
            log.warning("performed_image_unreadable", error=type(error).__name__)
            return None


def _steps(connection: Connection, wanted: Iterable[StudyKey], order_id: str) -> list[PerformedStep]:
    found = list(mpps_store.of_order(connection, OrderId(order_id))) if order_id else []
    for study in wanted:
        found += mpps_store.of_study(connection, study.study_instance_uid)
    mine = {one.mpps_uid: one for one in found if not one.is_of_another_patient}
    return list(mine.values())


def _has_all(series_here: PerformedSeries, listed: Mapping[str, Any]) -> bool:
    told = listed.get(series_here.series_instance_uid)
    return told is not None and 0 < len(told.sop_instance_uids) <= series_here.instances


def _series_of(connection: Connection, study: StudyKey) -> list[Row[Any]]:
    query = (
        select(
            series.c.series_pk,
            series.c.series_instance_uid,
            series.c.modality,
            series.c.series_description,
            series.c.number_of_series_related_instances,
            studies.c.study_instance_uid,
        )
        .join(studies, studies.c.study_pk == series.c.study_pk)
        .join(patient, patient.c.patient_pk == studies.c.patient_pk)
        .where(studies.c.study_instance_uid == study.study_instance_uid, patient.c.issuer == study.issuer)
        .order_by(series.c.series_pk)
        .limit(SERIES_MAX)
    )
    return list(connection.execute(query))


def _ends(connection: Connection, row: Row[Any]) -> list[InstanceRef]:
    """Return the first and the last image of a series by Instance Number."""
    numbers = connection.execute(
        select(instance.c.sop_instance_uid, instance.c.instance_number).where(instance.c.series_pk == row.series_pk)
    ).all()
    numbered = sorted(numbers, key=lambda one: (_whole(one.instance_number), one.sop_instance_uid))
    uids = list(dict.fromkeys(one.sop_instance_uid for one in (*numbered[:1], *numbered[-1:])))
    found = connection.execute(
        select(instance, pack.c.name.label("pack"))
        .join(pack, pack.c.pack_pk == instance.c.pack_pk)
        .where(instance.c.series_pk == row.series_pk, instance.c.sop_instance_uid.in_(uids))
    ).all()
    refs = {one.sop_instance_uid: _ref(row, one) for one in found}
    return [refs[uid] for uid in uids if uid in refs]


def _ref(row: Row[Any], one: Row[Any]) -> InstanceRef:
    return InstanceRef(
        study_instance_uid=StudyInstanceUid(row.study_instance_uid),
        series_instance_uid=SeriesInstanceUid(row.series_instance_uid),
        sop_instance_uid=SopInstanceUid(one.sop_instance_uid),
        sop_class_uid=one.sop_class_uid,
        transfer_syntax_uid=one.transfer_syntax_uid,
        pack=one.pack,
        offset=one.file_offset,
        length_bytes=one.file_length_bytes,
        dataset_offset=one.dataset_offset,
        digest=bytes(one.digest),
    )


def _length_mm(first: pydicom.Dataset, last: pydicom.Dataset) -> float | None:
    """Return the extent of a stack along its normal, slice thickness included (PS3.3 C.7.6.2.1.1)."""
    begin, end = _floats(first, "ImagePositionPatient", 3), _floats(last, "ImagePositionPatient", 3)
    axes = _floats(first, "ImageOrientationPatient", 6)
    if begin is None or end is None or axes is None:
        return None
    (ax, ay, az), (bx, by, bz) = axes[:3], axes[3:]
    normal = (ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx)
    along = sum((there - here) * axis for here, there, axis in zip(begin, end, normal, strict=True))
    return abs(along) + (_number(first, "SliceThickness") or 0.0)


def _floats(dataset: pydicom.Dataset, keyword: str, count: int) -> list[float] | None:
    try:
        found = [float(one) for one in _values(dataset, keyword)]
    except (TypeError, ValueError):
        return None
    return found if len(found) == count else None


def _values(dataset: pydicom.Dataset, keyword: str) -> list[Any]:
    value = dataset.get(keyword)
    if value is None or value == "":
        return []
    return list(value) if isinstance(value, (list, tuple)) or hasattr(value, "append") else [value]


def _number(dataset: pydicom.Dataset, keyword: str) -> float | None:
    try:
        value = dataset.get(keyword)
        return None if value in (None, "") else float(value)
    except (TypeError, ValueError):
        return None


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        return 0
