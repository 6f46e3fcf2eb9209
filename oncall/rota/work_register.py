"""Everybody's work at hand, for asking often whether somebody may be called: once a minute for every backup.

`legal.may_add` looks through the whole roster each time; this does so once for a roster version and then answers from
each person's own sorted works. The answers are the same.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence

from oncall.directory import Directory, PersonId
from oncall.rota.legal import LegalLimits, ShiftSource, Violation, Work, may_add_to, new_work, works_of
from oncall.rota.model import Absence, Line, Roster, Session, Shift
from oncall.spans import Span

_DAY_S = 86_400.0


class WorkRegister:
    """The works and absences of everybody who is in the directory, over a window.

    Parameters
    ----------
    timeline : ShiftSource
        The roster resolved.
    within : Span
        What questions will be about, with the limits' reference weeks on both sides of them.
    """

    def __init__(
        self, timeline: ShiftSource, roster: Roster, directory: Directory, limits: LegalLimits, within: Span
    ) -> None:
        self._directory = directory
        self._limits = limits
        self._reach_s = (limits.reference_weeks * 7 + 2) * _DAY_S
        sessions: defaultdict[PersonId, list[Session]] = defaultdict(list)
        for session in roster.sessions:
            sessions[session.person_id].append(session)
        self._absences: defaultdict[PersonId, list[Absence]] = defaultdict(list)
        for absence in roster.absences:
            self._absences[absence.person_id].append(absence)
        self._works = {
            person.person_id: works_of(
                person.person_id,
                timeline.shifts_of(person.person_id, within),
                sessions[person.person_id],
                lines=roster.lines,
                person=person,
            )
            for person in directory.persons.values()
        }

    def may_add(
        self,
        person_id: PersonId,
        span: Span,
        line: Line,
        *,
        is_emergency: bool = False,
        instead_of: Sequence[Shift] = (),
    ) -> tuple[Violation, ...]:
        """Return what `legal.may_add` returns."""
        person = self._directory.persons.get(person_id)
        new = new_work(person_id, span, line, person)
        works = self._works.get(person_id, [])
        first = bisect_left(works, new.start_s - self._reach_s, key=_start)
        last = bisect_left(works, new.end_s + self._reach_s, key=_start)
        left = [work for work in works[first:last] if work.shift not in instead_of] if instead_of else works[first:last]
        return may_add_to(left, new, self._limits, person, self._absences[person_id], is_emergency=is_emergency)


def _start(work: Work) -> float:
    return work.start_s
