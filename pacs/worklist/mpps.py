"""A performed procedure step as values: what was done at the scanner, for which orders, with which dose.

For: those who follow the exam (orders, the case, the comparison with the protocol, completeness). Not for: the exact
attributes, which are kept beside it (`pacs.worklist.mpps_store.attributes`), or the rules of the service.

Invariants: everything comes from the attributes as they stand; what the modality did not say is '' or None, never
guessed. Dates and times are the modality's wall clock; who knows where it stands makes instants of them.

References
----------
PS3.3 C.4.13 (relationship), C.4.14 (information), C.4.15 (image acquisition results), C.4.16 (radiation dose)
"""

import math
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pacs.archive.query_values import Item
from pacs.worklist.mpps_attributes import (
    PERFORMED_SERIES,
    REFERENCED_SOP_INSTANCE_UID,
    SCHEDULED_STEP_ATTRIBUTES,
    SERIES_INSTANCE_UID,
    STATUS,
    STUDY_INSTANCE_UID,
    items_of,
    references_of,
    text_of,
)
from pacs.worklist.mpps_states import FINAL_STATES, StepState
from pacs.worklist.order import Code, OrderId

_MODALITY: Final = 0x00080060
_PATIENT_ID: Final = 0x00100020
_ISSUER_OF_PATIENT_ID: Final = 0x00100021
_ACCESSION_NUMBER: Final = 0x00080050
_PLACER_ORDER_NUMBER: Final = 0x00402016
_SCHEDULED_PROCEDURE_STEP_ID: Final = 0x00400009
_REQUESTED_PROCEDURE_ID: Final = 0x00401001
_STATION_AE_TITLE: Final = 0x00400241
_START_DATE: Final = 0x00400244
_START_TIME: Final = 0x00400245
_END_DATE: Final = 0x00400250
_END_TIME: Final = 0x00400251
_TIMEZONE_OFFSET: Final = 0x00080201
_DESCRIPTION: Final = 0x00400254
_PROTOCOL_CODES: Final = 0x00400260
_DISCONTINUATION_REASON: Final = 0x00400281
_CODE_VALUE: Final = 0x00080100
_CODING_SCHEME: Final = 0x00080102
_CODING_SCHEME_VERSION: Final = 0x00080103
_CODE_MEANING: Final = 0x00080104
_PROTOCOL_NAME: Final = 0x00181030
_SERIES_DESCRIPTION: Final = 0x0008103E
_EXPOSURE_DOSE: Final = 0x0040030E
_CTDIVOL: Final = 0x00189345
_DOSE_COMMENTS: Final = 0x00400310
_AREA_DOSE_PRODUCT: Final = 0x0018115E
_FLUOROSCOPY_TIME: Final = 0x00400300
_EXPOSURES: Final = 0x00400301

# What scanners write into Comments on Radiation Dose (0040,0310): the standard has no attribute for it in a step.
_TOTAL_DLP: Final = re.compile(r"TotalDLP\s*=\s*(\d+(?:\.\d+)?)")


@dataclass(frozen=True, kw_only=True, slots=True)
class ScheduledReference:
    """What a step says it was scheduled as (an item of Scheduled Step Attributes Sequence)."""

    study_instance_uid: str
    accession_number: str = ""
    placer_order_number: str = ""
    scheduled_step_id: str = ""
    requested_procedure_id: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class PerformedSeries:
    """One series that was made; ``sop_instance_uids`` are its images, then its other objects."""

    series_instance_uid: str
    protocol_name: str
    description: str = ""
    sop_instance_uids: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Dose:
    """Radiation dose as the step tells it; None is what it does not tell.

    ``ctdivol_mgy`` is the highest of its irradiations; ``dlp_mgy_cm`` the total that the scanner writes into its
    comments; ``area_dose_dgy_cm2`` the Image and Fluoroscopy Area Dose Product.
    """

    ctdivol_mgy: float | None = None
    dlp_mgy_cm: float | None = None
    area_dose_dgy_cm2: float | None = None
    fluoroscopy_s: float | None = None
    exposures: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class PerformedStep:
    """One Modality Performed Procedure Step, as it stands.

    Attributes
    ----------
    site_id, calling_aet : str
        The hospital of the AE that created it ('' when it has none), and that AE.
    order_ids : tuple of OrderId
        The orders that it performs; empty: unscheduled.
    is_of_another_patient : bool
        Whether an order that it names is of a patient with another ID: it was not linked, a human must look.
    start, end : str
        Date and time by the modality's clock, ``YYYYMMDDHHMMSS.FFFFFF`` as far as sent; '' when not.
    timezone_offset : str
        Timezone Offset From UTC (0008,0201) of both; '' is the hospital's wall time.
    created_at, changed_at : datetime
        When it was received, UTC.
    """

    mpps_uid: str
    site_id: str
    calling_aet: str
    state: StepState
    scheduled: tuple[ScheduledReference, ...]
    order_ids: tuple[OrderId, ...] = ()
    is_of_another_patient: bool = False
    patient_id: str = ""
    issuer: str = ""
    modality: str = ""
    station_aet: str = ""
    description: str = ""
    start: str = ""
    end: str = ""
    timezone_offset: str = ""
    protocol_codes: tuple[Code, ...] = ()
    discontinuation_reason: Code | None = None
    series: tuple[PerformedSeries, ...] = ()
    dose: Dose = Dose()
    created_at: datetime
    changed_at: datetime

    @property
    def is_unscheduled(self) -> bool:
        """Say whether no order is known that it performs."""
        return not self.order_ids

    @property
    def is_final(self) -> bool:
        """Say whether it has ended."""
        return self.state in FINAL_STATES

    @property
    def study_instance_uids(self) -> tuple[str, ...]:
        """The studies that its images go into, each once."""
        return tuple(dict.fromkeys(one.study_instance_uid for one in self.scheduled if one.study_instance_uid))

    @property
    def sop_instance_uids(self) -> tuple[str, ...]:
        """Everything that was made, each once; what it says while in progress may be less than there will be."""
        return tuple(dict.fromkeys(uid for series in self.series for uid in series.sop_instance_uids))


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """What the node adds to the attributes of a step; for the fields see `PerformedStep`."""

    mpps_uid: str
    site_id: str
    calling_aet: str
    order_ids: tuple[OrderId, ...]
    is_of_another_patient: bool
    created_at: datetime
    changed_at: datetime


def read_step(attributes: Item, kept: Kept) -> PerformedStep:
    """Return the step that these attributes describe; they were judged when they came."""
    return PerformedStep(
        mpps_uid=kept.mpps_uid,
        site_id=kept.site_id,
        calling_aet=kept.calling_aet,
        state=StepState(text_of(attributes, STATUS)),
        scheduled=scheduled_references(attributes),
        order_ids=kept.order_ids,
        is_of_another_patient=kept.is_of_another_patient,
        patient_id=text_of(attributes, _PATIENT_ID),
        issuer=text_of(attributes, _ISSUER_OF_PATIENT_ID),
        modality=text_of(attributes, _MODALITY),
        station_aet=text_of(attributes, _STATION_AE_TITLE),
        description=text_of(attributes, _DESCRIPTION),
        start=text_of(attributes, _START_DATE) + text_of(attributes, _START_TIME),
        end=text_of(attributes, _END_DATE) + text_of(attributes, _END_TIME),
        timezone_offset=text_of(attributes, _TIMEZONE_OFFSET),
        protocol_codes=_codes(attributes, _PROTOCOL_CODES),
        discontinuation_reason=next(iter(_codes(attributes, _DISCONTINUATION_REASON)), None),
        series=tuple(_series(item) for item in items_of(attributes, PERFORMED_SERIES)),
        dose=_dose(attributes),
        created_at=kept.created_at,
        changed_at=kept.changed_at,
    )


def scheduled_references(attributes: Item) -> tuple[ScheduledReference, ...]:
    """Return what the step was scheduled as."""
    return tuple(
        ScheduledReference(
            study_instance_uid=text_of(item, STUDY_INSTANCE_UID),
            accession_number=text_of(item, _ACCESSION_NUMBER),
            placer_order_number=text_of(item, _PLACER_ORDER_NUMBER),
            scheduled_step_id=text_of(item, _SCHEDULED_PROCEDURE_STEP_ID),
            requested_procedure_id=text_of(item, _REQUESTED_PROCEDURE_ID),
        )
        for item in items_of(attributes, SCHEDULED_STEP_ATTRIBUTES)
    )


def patient_of(attributes: Item) -> tuple[str, str]:
    """Return Patient ID and its issuer, '' for what is not said."""
    return text_of(attributes, _PATIENT_ID), text_of(attributes, _ISSUER_OF_PATIENT_ID)


def _codes(item: Item, tag: int) -> tuple[Code, ...]:
    return tuple(
        Code(
            value=text_of(one, _CODE_VALUE),
            scheme=text_of(one, _CODING_SCHEME),
            meaning=text_of(one, _CODE_MEANING),
            scheme_version=text_of(one, _CODING_SCHEME_VERSION),
        )
        for one in items_of(item, tag)
    )


def _series(item: Item) -> PerformedSeries:
    return PerformedSeries(
        series_instance_uid=text_of(item, SERIES_INSTANCE_UID),
        protocol_name=text_of(item, _PROTOCOL_NAME),
        description=text_of(item, _SERIES_DESCRIPTION),
        sop_instance_uids=tuple(text_of(one, REFERENCED_SOP_INSTANCE_UID) for one in references_of(item)),
    )


def _dose(attributes: Item) -> Dose:
    irradiations = [_number(one, _CTDIVOL) for one in items_of(attributes, _EXPOSURE_DOSE)]
    total = _TOTAL_DLP.search(text_of(attributes, _DOSE_COMMENTS))
    exposures = _number(attributes, _EXPOSURES)
    return Dose(
        ctdivol_mgy=max((one for one in irradiations if one is not None), default=None),
        dlp_mgy_cm=None if total is None else float(total[1]),
        area_dose_dgy_cm2=_number(attributes, _AREA_DOSE_PRODUCT),
        fluoroscopy_s=_number(attributes, _FLUOROSCOPY_TIME),
        exposures=None if exposures is None else int(exposures),
    )


def _number(item: Item, tag: int) -> float | None:
    try:
        number = float(text_of(item, tag))
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None
