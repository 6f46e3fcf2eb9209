"""What a page says follows from the ladder that it is a step of: nobody is asked to read what is not there."""

from datetime import UTC, datetime

import pytest

from oncall.case.event import CaseId
from oncall.chain import Callee, Cause, Page, PageKind
from oncall.directory import ChannelKind, ContactMethod, PersonId, SiteId
from oncall.escalation import Due, Subject, advance, begin
from oncall.ladder import DEFAULT_LADDERS, Purpose, Target
from oncall.reading.board import Urgency

NOW = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
SOMEBODY = Callee(person_id=PersonId("coline"), methods=(ContactMethod(kind=ChannelKind.SMS, address="+33639980001"),))


@pytest.mark.parametrize(
    ("purpose", "said"),
    [
        (Purpose.READER, PageKind.READ_CASE),
        (Purpose.LATE, PageKind.ESCALATED),
        (Purpose.TECHNICAL, PageKind.TRANSFER_STOPPED),
        (Purpose.REQUEST, PageKind.ANSWER_REQUEST),
        (Purpose.UNOPENED, PageKind.REPORT_UNREAD),
    ],
)
def test_the_first_page_of_a_ladder_says_what_the_ladder_is_for(purpose: Purpose, said: PageKind) -> None:
    subject = Subject(case_id=CaseId("C1"), site_id=SiteId("north"), urgency=Urgency.P2)
    chain = begin(DEFAULT_LADDERS[purpose], subject, NOW, chain_id="C1/x1", cause=Cause.TECHNICAL)
    everybody = dict.fromkeys(Target, (SOMEBODY,))
    _, actions = advance(chain, Due(callees=everybody), NOW)
    assert [action.kind for action in actions if isinstance(action, Page)] == [said]
