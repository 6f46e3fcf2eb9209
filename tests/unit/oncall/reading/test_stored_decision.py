"""What the log keeps of a decision is enough to explain it as it was taken, whatever has changed since."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from oncall.case.event import GENESIS_HASH, CaseId, Event, Fact
from oncall.case.vocabulary import check
from oncall.language import Language
from oncall.reading.assignment import AssignmentDecision, decide
from oncall.reading.explanation import why
from oncall.reading.policy import DEFAULT
from oncall.reading.stored_decision import restored, stored
from tests.unit.oncall.reading.boards import board, case, everybody, person, reader


def as_kept(decision: AssignmentDecision, **changes: object) -> Event:
    """Return the event of an assignment as it comes back from the log: through JSON."""
    payload = {"person_id": decision.person_id, "reason": decision.cause.value, **stored(decision), **changes}
    fact = Fact(
        type="assign.made",
        occurred_at=datetime.fromtimestamp(decision.at_s, UTC),
        payload=json.loads(json.dumps(payload)),
        policy_version=decision.policy_version,
    )
    check(fact)
    return Event(
        event_id="e", case_id=CaseId(decision.case_id), seq=1, prev_hash=GENESIS_HASH, hash="h",
        recorded_at=fact.occurred_at, fact=fact,
    )  # fmt: skip


@pytest.mark.parametrize("language", list(Language))
def test_a_decision_read_back_from_the_log_is_explained_in_the_same_words(language: Language) -> None:
    view = board(
        [case("C-1", waited_min=20, author="x"), case("C-2", claimed_by="y"), case("C-3", assigned_to="w")],
        [reader("x"), reader("y"), reader("z"), reader("w", is_unavailable=True)],
    )
    # Real instants have microseconds.
    view = replace(view, now_s=view.now_s + 0.456789)
    known = everybody(view, person("z", sites=("B",)))
    made = decide(view, known, DEFAULT)

    read_back = [restored(as_kept(one)) for one in made]

    assert len(made) > 1
    assert [why(one, known, language) for one in read_back if one is not None] == [
        why(one, known, language) for one in made
    ]


def test_an_assignment_that_a_person_took_has_no_decision_to_explain() -> None:
    view = board([case("C-1")], [reader("x")])
    (made,) = decide(view, everybody(view), DEFAULT)

    assert restored(as_kept(made, reason="answered")) is None
