"""The invented hospitals and patients of the synthetic studies, and the facts of one study.

For: `benchmarks.studies`, the demo and tests that need to know who is in a study. Not for: real
people; every name, number and hospital here is made up. Invariant: two patients of different
hospitals carry the same patient ID on purpose, because real territories have such pairs.
"""

from __future__ import annotations

import datetime
import hashlib
import uuid
from dataclasses import dataclass
from typing import Literal
from zoneinfo import ZoneInfo

_PARIS = ZoneInfo("Europe/Paris")
_FIRST_EVENING = datetime.datetime(2026, 1, 5, 18, 0, tzinfo=_PARIS)

#: Below this a UUID has fewer than 39 decimal digits.
_SHORT_UUID_BOUND = 10**38

CharacterSet = Literal["ISO_IR 100", "ISO_IR 192"]


@dataclass(frozen=True, kw_only=True)
class Hospital:
    """Where a study was acquired.

    `issuer_of_patient_id` None leaves (0010,0021) out, as many real modalities do.
    """

    institution_name: str
    issuer_of_patient_id: str | None
    station_name: str


@dataclass(frozen=True, kw_only=True)
class Patient:
    """Who a study is of; `name` has the form of a DICOM person name (VR PN)."""

    name: str
    patient_id: str
    birth_date: datetime.date
    sex: Literal["F", "M", "O"]


HOSPITALS: tuple[Hospital, ...] = (
    Hospital(
        institution_name="CH de Valfleury-sur-Loire",
        issuer_of_patient_id="CH-VALFLEURY",
        station_name="VALFL-SCAN1",
    ),
    Hospital(
        institution_name="Hôpital Saint-Étienne-le-Vieux",
        issuer_of_patient_id="HP-STETIENNE",
        station_name="STETI-SCAN2",
    ),
    Hospital(
        institution_name="Clinique des Trois Forêts",
        issuer_of_patient_id="CL-3FORETS",
        station_name="3FOR-URG",
    ),
    Hospital(
        institution_name="CHU de la Côte Roannaise",
        issuer_of_patient_id="CHU-ROANNAISE",
        station_name="CHUR-IRM1",
    ),
)


def _person(name: str, patient_id: str, born: str, sex: Literal["F", "M"]) -> Patient:
    return Patient(name=name, patient_id=patient_id, birth_date=datetime.date.fromisoformat(born), sex=sex)


PATIENTS: tuple[Patient, ...] = (
    _person("LEFÈVRE^Zoë", "100042", "1956-03-14", "F"),
    _person("GÉRARD^François", "100042", "1971-11-02", "M"),
    _person("NUÑEZ^José María", "200117", "1988-06-30", "M"),
    _person("D'HÉRICOURT^Anne-Laëtitia", "300905", "1994-01-09", "F"),
    _person("BRÛLÉ^Maël^^M.", "400230", "2009-08-21", "M"),
    _person("AÏT-KACI^Hélène", "500618", "1939-12-25", "F"),
)


@dataclass(frozen=True, kw_only=True)
class StudyFacts:
    """What the instances of one synthetic study share.

    `key` holds everything that the bytes depend on, so that UIDs made from it never name two
    different things. `acquired_at` is aware.
    """

    key: str
    patient: Patient
    hospital: Hospital
    character_set: CharacterSet
    acquired_at: datetime.datetime
    description: str

    @property
    def accession_number(self) -> str:
        """Eleven characters, unique to the study for all practical purposes."""
        digest = hashlib.sha256(self.key.encode()).hexdigest()
        return f"A{int(digest[:12], 16) % 10**10:010d}"

    def uid(self, *place: str | int) -> str:
        """Derive the UID of a place in the study, such as `("instance", 1, 17)`.

        Always 44 characters, so that the headers of a series have one length. References:
        PS3.5 B.2.
        """
        attempt = 0
        while True:
            text = f"{self.key}|{place!r}|{attempt}"
            digest = hashlib.sha256(text.encode()).digest()
            number = uuid.UUID(bytes=digest[:16], version=4).int
            if number >= _SHORT_UUID_BOUND:
                return f"2.25.{number}"
            attempt += 1


def study_facts(
    kind: str,
    shape: tuple[int | str, ...],
    *,
    seed: int,
    description: str,
    patient: Patient | None,
    hospital: Hospital | None,
    character_set: CharacterSet,
    acquired_at: datetime.datetime | None,
) -> StudyFacts:
    """Fill in from the seed what the caller left open.

    Parameters
    ----------
    kind : str
        Which generator asks.
    shape : tuple
        Whatever else the bytes of the study depend on (number of slices and so on).
    seed : int
        Not negative.

    Raises
    ------
    ValueError
        When the seed is negative or `acquired_at` has no offset from UTC.
    """
    if seed < 0:
        message = "the seed must not be negative"
        raise ValueError(message)
    if acquired_at is None:
        acquired_at = _FIRST_EVENING + datetime.timedelta(days=seed % 300, minutes=seed * 37 % 720)
    if acquired_at.utcoffset() is None:
        message = "acquired_at needs an offset from UTC"
        raise ValueError(message)
    patient = patient or PATIENTS[seed % len(PATIENTS)]
    hospital = hospital or HOSPITALS[seed % len(HOSPITALS)]
    everything = (kind, shape, seed, patient, hospital, character_set, acquired_at.isoformat())
    return StudyFacts(
        key=repr(everything),
        patient=patient,
        hospital=hospital,
        character_set=character_set,
        acquired_at=acquired_at,
        description=description,
    )
