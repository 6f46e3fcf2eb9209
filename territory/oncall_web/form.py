"""The emergency department's request as a form and as JSON: the same fields, the same checks, errors beside each field.

Not for: orders by HL7, or the order that a request becomes (`form_order`). A time is local wall time of the hospital
(`datetime-local`), or an instant with an offset.

Invariant: what is refused opens nothing; the case that is opened holds the patient as an opaque key only.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from oncall.case.commands import NewRequest
from oncall.directory import Directory, Site, SiteId
from oncall.reading.board import ExamKind, Urgency
from oncall.reading.policy import ReadingPolicy
from oncall.reading.triage import RequestFacts, triage
from oncall.spans import Span
from territory.oncall_web.form_patient import PATIENT_FIELDS, PatientSaid, check_patient, too_long

FIELDS: Final = (
    "site_id",
    "exam",
    "urgency",
    "modality",
    "patient_id",
    "accession_number",
    "requester",
    "onset_at",
    "request_id",
    *PATIENT_FIELDS,
)
ANNOUNCED: Final = ("expected_at",)
"""What only an announcement has."""

TEXT_CHARACTERS_MAX: Final = 64
"""DICOM's LO, which most of these become (PS3.5 6.2)."""

ONSET_AGE_MAX: Final = timedelta(days=7)
"""An onset longer ago is a slip of the hand."""

EXPECTED_AGE_MAX: Final = timedelta(hours=2)
EXPECTED_AHEAD_MAX: Final = timedelta(hours=24)
"""A patient who is announced comes within a day."""

# Half-open spans end just after what they hold.
_AN_INSTANT: Final = timedelta(microseconds=1)

MODALITIES: Final = ("CT", "MR")


@dataclass(frozen=True, kw_only=True, slots=True)
class Checked:
    """A request, or what is wrong with it: the key of a text (`oncall_web.texts`) for each field.

    ``patient`` is what it says of the patient: it goes into the order (`form_order`) and never into the case.
    """

    request: NewRequest | None = None
    errors: Mapping[str, str] = field(default_factory=dict)
    patient: PatientSaid = field(default_factory=PatientSaid)


def check_request(
    given: Mapping[str, Any],
    directory: Directory,
    now: datetime,
    *,
    policy: ReadingPolicy,
    key_of: Callable[[str, str], str],
    may_ask_for: Callable[[SiteId], bool],
    is_pre_alert: bool = False,
) -> Checked:
    """Return the request that a form or a JSON object says, or every error at once.

    Parameters
    ----------
    policy : ReadingPolicy
        Triage's: a stroke or a polytrauma is P1 whatever was asked, and says whom it needs.
    key_of : callable
        Makes the patient's opaque key of issuer and Patient ID.
    may_ask_for : callable
        Whether whoever asks may do so for a site.
    is_pre_alert : bool
        A patient is announced, who is on the way: ``expected_at`` may be said, much else is not known yet.
    """
    fields = (*FIELDS, *ANNOUNCED) if is_pre_alert else FIELDS
    errors = {name: "unknown_field" for name in given if name not in fields}
    values = {name: str(given.get(name) or "").strip() for name in (*FIELDS, *ANNOUNCED)}
    errors |= too_long(values, TEXT_CHARACTERS_MAX)
    said = check_patient(values, now.date(), errors)
    site = directory.sites.get(SiteId(values["site_id"]))
    if site is None:
        errors["site_id"] = "unknown_site" if values["site_id"] else "missing"
    elif not may_ask_for(site.site_id):
        errors["site_id"] = "not_your_site"
    exam = _one_of(ExamKind, values["exam"], "exam", errors)
    urgency = _one_of(Urgency, values["urgency"], "urgency", errors)
    if values["modality"] not in MODALITIES and (values["modality"] or not is_pre_alert):
        errors["modality"] = "unknown_choice" if values["modality"] else "missing"
    if not values["requester"] and not is_pre_alert:
        errors["requester"] = "missing"
    onset_at = _instant("onset_at", values, site, Span(start=now - ONSET_AGE_MAX, end=now + _AN_INSTANT), errors)
    ahead = Span(start=now - EXPECTED_AGE_MAX, end=now + EXPECTED_AHEAD_MAX)
    expected_at = _instant("expected_at", values, site, ahead, errors)
    if (
        not is_pre_alert
        and exam is ExamKind.STROKE
        and onset_at is None
        and "onset_at" not in errors
        and not values["onset_at"]
    ):
        # Wake-up stroke: unknown is an answer, but it must be given.
        errors["onset_at"] = "onset_needed"
    if errors or site is None or exam is None or urgency is None:
        return Checked(errors=errors)
    onset_s = None if onset_at is None else onset_at.timestamp()
    decided = triage(
        # Any reader of the night reads any region; only strokes and polytraumas need more.
        RequestFacts(
            exam=exam,
            requested=urgency,
            at_s=now.timestamp(),
            last_known_well_at_s=onset_s,
            is_general_enough=True,
        ),
        policy,
    )
    return Checked(
        request=NewRequest(
            site_id=site.site_id,
            exam=exam,
            urgency=decided.urgency,
            needs=decided.needs,
            patient_key=key_of(site.issuer, values["patient_id"]),
            request_id=values["request_id"],
            accession_number=values["accession_number"],
            requester=values["requester"],
            modality=values["modality"],
            onset_at=onset_at,
            expected_at=expected_at,
        ),
        patient=said,
    )


def _one_of(kind: Any, value: str, name: str, errors: dict[str, str]) -> Any:
    if not value:
        errors[name] = "missing"
        return None
    try:
        return kind(int(value.removeprefix("P"))) if kind is Urgency else kind(value)
    except ValueError:
        errors[name] = "unknown_choice"
        return None


def _instant(
    name: str, values: Mapping[str, str], site: Site | None, within: Span, errors: dict[str, str]
) -> datetime | None:
    value = values[name]
    if not value or value == "unknown":
        return None
    try:
        instant = datetime.fromisoformat(value)
    except ValueError:
        errors[name] = "not_a_time"
        return None
    if instant.tzinfo is None:
        # Of a wall time that happens twice the earlier is taken: the window is then the shorter one.
        instant = instant.replace(tzinfo=ZoneInfo(site.time_zone) if site is not None else UTC, fold=0)
    instant = instant.astimezone(UTC)
    if instant not in within:
        errors[name] = "not_recent" if name == "onset_at" else "not_soon"
    return instant
