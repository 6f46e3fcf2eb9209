"""Two copies that differ in one event are reconciled to that event, whatever was done to it."""

import copy
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from oncall.case.log import event_of
from oncall.evidence import sections as drawn
from oncall.evidence.difference import What
from oncall.evidence.reconciliation import reconcile
from tests.properties.test_evidence_tampering import chained_anew, content

_DRAWN = {
    "acts": drawn.acts,
    "incidents": drawn.incidents,
    "identities": drawn.identities,
    "communications": drawn.communications,
}


def drawn_anew(sections: dict[str, Any]) -> None:
    """Draw what is drawn from events anew, as a node does whose log has other events."""
    events = [event_of(json.dumps(item["body"]), item["hash"]) for item in sections["events"]]
    for name, draw in _DRAWN.items():
        sections[name] = drawn.or_none_recorded(draw(events))
    seen = [one for one in sections["accesses"] if one.get("type") == "seen_at_signing"]
    sections["accesses"] = [*drawn.accesses(events), *seen]
    kept = {one["event_id"]: one for one in sections["times"]}
    sections["times"] = [kept.get(event.event_id, {"event_id": event.event_id}) for event in events]


@settings(max_examples=150, deadline=None)
@given(data=st.data(), how=st.sampled_from(["alter", "actor", "time", "drop", "add", "swap"]), is_drawn=st.booleans())
def test_two_copies_that_differ_in_one_event_are_reconciled_to_exactly_that_event(
    data: st.DataObject, how: str, is_drawn: bool
) -> None:
    a, b = content(), content()
    events = b["events"]
    place = data.draw(st.integers(1, len(events) - 2))
    event_id = events[place]["body"]["event_id"]
    field = ""
    if how == "alter":
        key = data.draw(st.sampled_from(["outcome", "reason", "note"]))
        events[place]["body"]["payload"] = {**events[place]["body"]["payload"], key: "made up"}
        field = f"payload.{key}"
    elif how == "actor":
        events[place]["body"]["actor"][0] = "mallory"
        field = "actor[0]"
    elif how == "time":
        events[place]["body"]["occurred_at_us"] += 60_000_000
        field = "occurred_at_us"
    elif how == "drop":
        del events[place]
    elif how == "add":
        made_up = copy.deepcopy(events[place])
        made_up["body"] |= {"event_id": "made-up", "type": "report.sent", "payload": {"channel": "web"}}
        events.insert(place, made_up)
    else:
        events[place], events[place + 1] = events[place + 1], events[place]
    chained_anew(events)
    if is_drawn:
        drawn_anew(b)

    found = reconcile(a, b).differences

    assert {one.section for one in found} == {"events"}
    wanted = {"drop": What.MISSING, "add": What.ADDED, "swap": What.MOVED}.get(how, What.ALTERED)
    assert [one.what for one in found] == [wanted]
    numbers = {place + 1, place + 2} if how == "swap" else {place + 1}
    assert found[0].item in numbers
    assert found[0].field == field
    assert event_id


def test_the_same_copy_twice_has_no_difference_at_all() -> None:
    found = reconcile(content(), content())

    assert (found.differences, found.by_design) == ((), ())
