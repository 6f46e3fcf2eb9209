"""One fact and its place in the chain: UTC whatever it was said in, canonical whatever its order, ids that sort."""

from datetime import UTC, datetime
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from foundation.instants import microseconds
from oncall.case.commands import Context
from oncall.case.event import CaseId, Fact, canonical_bytes, chained, uuid7
from tests.unit.oncall.case.cases import START, after

TWICE = datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Paris"))


def test_instants_are_kept_in_utc_in_both_hours_of_the_october_night() -> None:
    first = Fact(type="request.received", occurred_at=TWICE)
    second = Fact(type="request.received", occurred_at=TWICE.replace(fold=1))

    assert first.occurred_at == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert second.occurred_at == datetime(2026, 10, 25, 1, 30, tzinfo=UTC)
    assert (first.occurred_at.tzinfo, Context(now=TWICE, happened_at=TWICE).at.tzinfo) == (UTC, UTC)
    assert microseconds(second.occurred_at) - microseconds(TWICE) == 3_600_000_000


def test_a_naive_instant_is_no_instant() -> None:
    with pytest.raises(ValueError, match="aware"):
        Fact(type="request.received", occurred_at=datetime(2026, 1, 1))  # noqa: DTZ001  # what is refused
    with pytest.raises(ValueError, match="aware"):
        Context(now=datetime(2026, 1, 1))  # noqa: DTZ001  # what is refused


def test_the_hash_does_not_depend_on_the_order_in_which_a_payload_was_put_together() -> None:
    one = Fact(type="t", occurred_at=START, payload={"a": 1, "b": {"x": "é", "y": 2}})
    other = Fact(type="t", occurred_at=START, payload={"b": {"y": 2, "x": "é"}, "a": 1})

    assert canonical_bytes(CaseId("c"), 1, "0", one, START, "e") == canonical_bytes(
        CaseId("c"), 1, "0", other, START, "e"
    )


def test_what_has_no_canonical_form_does_not_enter_a_log() -> None:
    fact = Fact(type="t", occurred_at=START, payload={"skew_s": float("nan")})

    with pytest.raises(ValueError, match="JSON"):
        chained(CaseId("c"), 1, "0", fact, recorded_at=START, event_id="e")


def test_event_ids_are_uuids_of_version_7_that_sort_by_their_instant() -> None:
    ids = [uuid7(after(minutes)) for minutes in range(50)]

    assert ids == sorted(ids)
    assert {(UUID(one).version, UUID(one).variant) for one in ids} == {(7, "specified in RFC 4122")}
    assert uuid7(START, bytes(10)) == uuid7(START, bytes(10))
