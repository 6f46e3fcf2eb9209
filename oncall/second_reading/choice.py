"""Who reads a report a second time: another reader, by day, competent and privileged, with the fewest still to read.

For: `choose`. Not for: which reports are read again (`oncall.second_reading.rules`).

Invariants: nobody who signed a version of the report is chosen; who may not read the case for the first time may not
read it for the second; the same question has the same answer.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from zoneinfo import ZoneInfo

from oncall.case.state import Case
from oncall.directory import Directory, PersonId
from oncall.reading.board import Reader, ReadyCase
from oncall.reading.eligibility import first_broken
from oncall.reading.policy import ReadingPolicy
from oncall.second_reading.policy import SecondReadingPolicy


class Bar(StrEnum):
    """Why somebody does not read this report a second time, beside the rules of `oncall.reading.eligibility`."""

    FIRST_READER = "first_reader"
    SAME_PROVIDER = "same_provider"
    FULL = "full"


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """Who reads it, or None, and by which rule everybody else who is there does not."""

    person_id: PersonId | None
    excluded: tuple[tuple[PersonId, str], ...] = ()


def choose(
    case: Case,
    present: Sequence[PersonId],
    pending: Mapping[PersonId, int],
    directory: Directory,
    reading: ReadingPolicy,
    policy: SecondReadingPolicy,
) -> Choice:
    """Return who reads a case a second time.

    Parameters
    ----------
    present : sequence of PersonId
        Who is at work now.
    pending : mapping
        How many second readings each has still to make.
    """
    excluded: list[tuple[PersonId, str]] = []
    eligible: list[PersonId] = []
    for person_id in dict.fromkeys(present):
        bar = bar_of(case, person_id, directory, reading, policy)
        if not bar and pending.get(person_id, 0) >= policy.open_max:
            bar = Bar.FULL.value
        if bar:
            excluded.append((person_id, bar))
        else:
            eligible.append(person_id)
    chosen = min(eligible, key=lambda one: (pending.get(one, 0), _lot(case, one)), default=None)
    return Choice(person_id=chosen, excluded=tuple(excluded))


def bar_of(
    case: Case, person_id: PersonId, directory: Directory, reading: ReadingPolicy, policy: SecondReadingPolicy
) -> str:
    """Return the rule that keeps somebody from reading this report a second time, or an empty text."""
    signers = {PersonId(version.signer) for version in case.report.versions}
    if person_id in signers:
        return Bar.FIRST_READER.value
    if policy.is_other_provider_wanted and _provider(directory, person_id) in {
        _provider(directory, signer) for signer in signers
    }:
        return Bar.SAME_PROVIDER.value
    reader = Reader(person_id=person_id, on_duty_from_s=0.0, off_duty_at_s=0.0)
    broken = first_broken(_as_ready(case), reader, directory, reading)
    return "" if broken is None else broken.value


def is_day(now: datetime, time_zone: str, policy: SecondReadingPolicy) -> bool:
    """Tell whether it is day at the hospital: its wall time, on both nights on which clocks change as well."""
    return policy.day_start <= now.astimezone(ZoneInfo(time_zone)).time() < policy.day_end


def _as_ready(case: Case) -> ReadyCase:
    return ReadyCase(
        case_id=case.case_id,
        site_id=case.site_id,
        urgency=case.urgency,
        exam=case.exam,
        needs=case.needs,
        ready_at_s=0.0,
        deadline_at_s=0.0,
        target_at_s=0.0,
        expected_read_s=0.0,
    )


def _provider(directory: Directory, person_id: PersonId) -> str | None:
    person = directory.persons.get(person_id)
    return None if person is None else person.provider_id


def _lot(case: Case, person_id: PersonId) -> bytes:
    return hashlib.sha256(f"{case.case_id}\x1f{person_id}".encode()).digest()
