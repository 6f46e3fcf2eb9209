"""Earlier exams, searched in the whole territory as soon as a case says whose it is, and made ready before the reading.

For: the engine's methods about earlier exams. Not for: what is equivalent or worth comparing (`oncall.priors`), or how
the archive finds a patient (a port).

Invariants
----------
* Every open case that says whose it is, is searched for: when it is opened, and again when its order, its studies or
  its patient change, or patients were linked. A search that failed is said to have failed, and is made again.
* What is read later is looked at twice: when it is found, and when the images to be read are complete.
* The archive is asked outside the decision; what it said is held against the case as it is when it is committed.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

from foundation import log
from foundation.errors import PeerError, Refused, Unavailable
from oncall.case.commands import Context, Facts
from oncall.case.event import CaseId
from oncall.case.regions import ImagesState, StudyKey
from oncall.case.state import Case
from oncall.engine.deciding import Deciding
from oncall.engine.draft import Draft
from oncall.priors import telling
from oncall.priors.model import PriorAnswer, PriorLibrary, Readiness

SEARCH_AGAIN: Final = timedelta(seconds=30)
"""After a search that failed."""

SEARCHES_MAX: Final = 20
"""Searches of one look: some milliseconds each; the others have their turn at the next tick."""

_Tell = Callable[[Case, Context], Facts]
_Key = tuple[str, tuple[StudyKey, ...], str, bool, int]


class Priors(Deciding):
    """The engine's methods about earlier exams."""

    _priors_asked: dict[CaseId, _Key]
    """About what each open case was last answered, in the life of this engine."""

    _priors_due: dict[CaseId, datetime]
    """When a search that failed is made again."""

    _priors_warmed: set[CaseId]
    """Cases whose earlier exams were looked at when their images were complete."""

    def take_priors(self, now: datetime, library: PriorLibrary) -> int:
        """Search for the earlier exams of cases that have not been searched for; return how many searches were made.

        Raises
        ------
        foundation.errors.Unavailable
            If the database does not answer.
        """
        cases = self.open_cases(now)
        self._forget_closed(cases)
        linked = library.identities_version()
        searches = 0
        for case in cases:
            if searches == SEARCHES_MAX:
                break
            searches += self._search(case, now, library, linked)
            self._warm(case, now, library)
        return searches

    def _search(self, case: Case, now: datetime, library: PriorLibrary, linked: int) -> int:
        question = telling.question_of(case)
        if question is None or self._priors_asked.get(case.case_id) == _key(case, linked):
            return 0
        if self._priors_due.get(case.case_id, now) > now:
            return 0
        try:
            answer = library.search(question)
        except Unavailable as error:
            log.warning("priors_not_searched", error=type(error).__name__)
            self._priors_due[case.case_id] = now + SEARCH_AGAIN
            self._tell(
                case.case_id, now, lambda one, context: telling.tell_unknown(one, context, telling.SEARCH_FAILED)
            )
            return 1
        self._priors_due.pop(case.case_id, None)
        self._tell(case.case_id, now, lambda one, context: telling.tell_answer(one, context, answer))
        self._look_at_each(case.case_id, now, library, _studies_of(case, answer, now))
        # As the answer leaves it: who is somebody else afterwards is asked about anew.
        self._priors_asked[case.case_id] = _key(self.case(case.case_id), linked)
        return 1

    def _warm(self, case: Case, now: datetime, library: PriorLibrary) -> None:
        """Look again at what will be compared, once, when the images to be read are complete."""
        if case.images.state is not ImagesState.COMPLETE or case.case_id in self._priors_warmed:
            return
        self._priors_warmed.add(case.case_id)
        self._look_at_each(case.case_id, now, library, [one.study for one in case.request.priors])

    def _look_at_each(self, case_id: CaseId, now: datetime, library: PriorLibrary, studies: Sequence[StudyKey]) -> None:
        for study in studies:
            readiness = _readiness(library, study)
            self._tell(
                case_id,
                now,
                lambda one, context, study=study, readiness=readiness: telling.tell_readiness(  # type: ignore[misc]  # mypy does not type a lambda's default
                    one, context, study, readiness
                ),
            )

    def _tell(self, case_id: CaseId, now: datetime, tell: _Tell) -> None:
        def decide(draft: Draft) -> None:
            case = draft.find(case_id)
            if case is None or not case.is_open:
                return
            try:
                draft.record(case_id, *tell(case, draft.context))
            except (Refused, PeerError) as error:
                log.error("priors_not_told", error=type(error).__name__)

        self._commit(now, decide)

    def _forget_closed(self, cases: Sequence[Case]) -> None:
        open_ids = {case.case_id for case in cases}
        for kept in (self._priors_asked, self._priors_due):
            for case_id in [one for one in kept if one not in open_ids]:
                del kept[case_id]
        self._priors_warmed &= open_ids


def _readiness(library: PriorLibrary, study: StudyKey) -> Readiness | None:
    try:
        return library.make_ready(study)
    except Unavailable as error:
        log.warning("prior_not_looked_at", error=type(error).__name__)
        return None


def _studies_of(case: Case, answer: PriorAnswer, now: datetime) -> list[StudyKey]:
    return [one.prior.study for one in telling.fetched(case, answer, now)] if answer.is_patient_known else []


def _key(case: Case, linked: int) -> _Key:
    is_known = case.request.priors_known_at is not None or bool(case.request.priors_unknown)
    return (case.request.request_id, case.images.studies, case.patient_key, is_known, linked)
