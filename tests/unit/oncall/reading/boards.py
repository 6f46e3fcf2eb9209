"""Small boards to decide on: times are minutes after `NOW_S`, everybody may read everything unless said otherwise."""

from collections.abc import Iterable, Mapping

from oncall.case.event import CaseId
from oncall.directory import (
    Competence,
    Directory,
    LineId,
    Person,
    PersonId,
    Role,
    Site,
    SiteId,
    SubSpecialty,
)
from oncall.reading.board import Board, CallableBackup, ExamKind, Reader, ReadyCase, Urgency
from oncall.reading.policy import DEFAULT

# 2026-03-03 20:00 UTC, 21:00 in Paris.
NOW_S = 1_772_568_000.0
OFFSET_S = 3600.0
EVERYTHING = dict.fromkeys(SubSpecialty, Competence.COMPETENT)


def person(
    name: str,
    *,
    sites: Iterable[str] = ("A", "B"),
    competences: Mapping[SubSpecialty, Competence] = EVERYTHING,
    role: Role = Role.RADIOLOGIST,
) -> Person:
    """Return somebody named Dr NAME."""
    return Person(
        person_id=PersonId(name),
        name=f"Dr {name}",
        role=role,
        privileges=frozenset(map(SiteId, sites)),
        competences=competences,
    )


def directory(*persons: Person) -> Directory:
    """Return a territory of two sites."""
    sites = {
        SiteId(site): Site(site_id=SiteId(site), name=site, time_zone="Europe/Paris", commune="42218") for site in "AB"
    }
    return Directory(sites=sites, persons={each.person_id: each for each in persons}, providers={})


def case(
    name: str,
    *,
    waited_min: float = 0.0,
    urgency: Urgency = Urgency.P2,
    exam: ExamKind = ExamKind.HEAD,
    needs: SubSpecialty = SubSpecialty.NEURO,
    site: str = "A",
    assigned_to: str | None = None,
    claimed_by: str | None = None,
    claimed_min_ago: float = 0.0,
    declined_by: Iterable[str] = (),
    patient: str = "",
    author: str | None = None,
) -> ReadyCase:
    """Return a case that has waited so long."""
    ready_s = NOW_S - waited_min * 60
    return ReadyCase(
        case_id=CaseId(name),
        site_id=SiteId(site),
        urgency=urgency,
        exam=exam,
        needs=needs,
        ready_at_s=ready_s,
        deadline_at_s=ready_s + 3600,
        target_at_s=ready_s + DEFAULT.target_s[urgency],
        expected_read_s=DEFAULT.expected_s(exam),
        patient_key=patient,
        protocol_author=None if author is None else PersonId(author),
        declined_by=frozenset(map(PersonId, declined_by)),
        assigned_to=None if assigned_to is None else PersonId(assigned_to),
        claimed_by=None if claimed_by is None else PersonId(claimed_by),
        claimed_at_s=None if claimed_by is None else NOW_S - claimed_min_ago * 60,
    )


def reader(
    name: str,
    *,
    from_min: float = -120.0,
    until_min: float = 600.0,
    is_backup: bool = False,
    is_unavailable: bool = False,
    resting_until_min: float | None = None,
    cases_read: int = 0,
    patients: Iterable[str] = (),
) -> Reader:
    """Return somebody on duty."""
    return Reader(
        person_id=PersonId(name),
        on_duty_from_s=NOW_S + from_min * 60,
        off_duty_at_s=NOW_S + until_min * 60,
        is_backup=is_backup,
        is_unavailable=is_unavailable,
        resting_until_s=None if resting_until_min is None else NOW_S + resting_until_min * 60,
        cases_read=cases_read,
        patients=frozenset(patients),
    )


def backup(name: str, *, refusal: str = "") -> CallableBackup:
    """Return somebody at home: 15 min away, paid for an hour."""
    return CallableBackup(
        person_id=PersonId(name), line_id=LineId("backup"), arrival_s=900.0, paid_s_min=3600.0, refusal=refusal
    )


def board(cases: Iterable[ReadyCase], readers: Iterable[Reader], backups: Iterable[CallableBackup] = ()) -> Board:
    """Return the board at `NOW_S`."""
    return Board(now_s=NOW_S, cases=tuple(cases), readers=tuple(readers), backups=tuple(backups), utc_offset_s=OFFSET_S)


def everybody(view: Board, *others: Person) -> Directory:
    """Return a directory in which all readers and backups of a board may read everything."""
    known = {each.person_id: each for each in others}
    names = [each.person_id for each in (*view.readers, *view.backups)]
    return directory(*known.values(), *(person(name) for name in names if name not in known))
