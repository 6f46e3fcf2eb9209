"""How many requested exams a recent one may have answered, and what radiologists said of it: avoided, or needed.

For: the figures of a span of time. Not for: finding such exams (`oncall.priors`). A case is counted once, by what was
said last of it that weighs most: avoided before needed before not judged. Cases are those of the figures' rows, so that
span and hospitals mean the same here and there.
"""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, select

from foundation.instants import microseconds
from oncall.case.event import CaseId
from oncall.case.log import event_of
from oncall.directory import SiteId
from oncall.priors.commands import Outcome
from oncall.schema import PRIOR_EXAM_FOUND, oncall_case_event, oncall_case_figure

_WEIGHS: Final = (Outcome.AVOIDED, Outcome.CONFIRMED, Outcome.FOUND)


@dataclass(frozen=True, kw_only=True, slots=True)
class RedundantExams:
    """Cases for which a recent exam that may answer the request was found, by what a radiologist said.

    ``avoided``: it was enough; ``needed``: the new one was done all the same; ``unjudged``: nobody said.
    """

    avoided: int = 0
    needed: int = 0
    unjudged: int = 0

    @property
    def found(self) -> int:
        """Cases in all."""
        return self.avoided + self.needed + self.unjudged


def redundant_exams(
    connection: Connection, since: datetime, until: datetime, sites: Collection[SiteId] = ()
) -> RedundantExams:
    """Count the cases of a span of time, of some hospitals (none: all)."""
    figure, event = oncall_case_figure.c, oncall_case_event.c
    wanted = (
        select(event.case_id, event.body, event.hash)
        .join(oncall_case_figure, figure.case_id == event.case_id)
        .where(
            # The literal lets the database use the index of these few events alone.
            PRIOR_EXAM_FOUND,
            figure.counted_at_us >= microseconds(since),
            figure.counted_at_us < microseconds(until),
        )
        .order_by(event.position)
    )
    if sites:
        wanted = wanted.where(figure.site_id.in_(sorted(sites)))
    said: dict[CaseId, dict[str, str]] = {}
    for row in connection.execute(wanted):
        payload = event_of(row.body, row.hash).fact.payload
        of_case = said.setdefault(CaseId(row.case_id), {})
        of_case[str(payload.get("study_instance_uid"))] = str(payload["outcome"])
    counts = Counter(_of_case(outcomes.values()) for outcomes in said.values())
    return RedundantExams(
        avoided=counts[Outcome.AVOIDED], needed=counts[Outcome.CONFIRMED], unjudged=counts[Outcome.FOUND]
    )


def _of_case(outcomes: Collection[str]) -> Outcome | None:
    """Return what is counted of a case; None when all that was found was somebody else's."""
    return next((one for one in _WEIGHS if one.value in outcomes), None)
