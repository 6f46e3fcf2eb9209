"""Every cell of every state table: what the specification beside this file says is what the case does."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from oncall.case.effects import EFFECTS
from oncall.case.event import GENESIS_HASH, Event
from oncall.case.regions import (
    CriticalFinding,
    CriticalState,
    DeliveryState,
    EscalationChain,
    EscalationState,
    ExamState,
    IdentityState,
    ImagesState,
    ProtocolState,
    ReadingState,
    ReportState,
    ReportVersion,
    RequestState,
    SecondReadingState,
    StudyKey,
)
from oncall.case.state import Case, TransitionRefused, apply
from oncall.case.state_tables import ADVICE, STATE_TABLES, is_noted
from oncall.case.vocabulary import VOCABULARY, Region
from oncall.case.vocabulary import EventType as E
from oncall.directory import SiteId
from tests.unit.oncall.case.cases import ANNE, CASE, START, fact, us

SPECIFICATION = Path(__file__).with_name("state_tables.txt")
STATES: dict[Region, Any] = {
    Region.REQUEST: RequestState,
    Region.PROTOCOL: ProtocolState,
    Region.EXAM: ExamState,
    Region.IMAGES: ImagesState,
    Region.READING: ReadingState,
    Region.REPORT: ReportState,
    Region.DELIVERY: DeliveryState,
    Region.CRITICAL: CriticalState,
    Region.SECOND_READING: SecondReadingState,
    Region.IDENTITY: IdentityState,
    Region.ESCALATION: EscalationState,
}
FIELDS = {
    Region.REQUEST: "request",
    Region.PROTOCOL: "protocol",
    Region.EXAM: "acquisition",
    Region.IMAGES: "images",
    Region.READING: "reading",
    Region.REPORT: "report",
    Region.DELIVERY: "delivery",
    Region.SECOND_READING: "second_reading",
    Region.IDENTITY: "identity",
}
STUDY = StudyKey("HOSP", "1.2.3")
VERSION = ReportVersion(version=1, kind=E.REPORT_SIGNED, signed_at=START, signer=ANNE, content_hash="h1")


class Cell(NamedTuple):
    region: Region
    event_type: E
    state: str
    becomes: str

    def __str__(self) -> str:
        return f"{self.region}-{self.event_type}-{self.state}"


def cells() -> Iterator[Cell]:
    region, states = Region.REQUEST, []
    for line in SPECIFICATION.read_text().split("\n\n", 1)[1].splitlines():
        words = line.split()
        if line.startswith("# "):
            region = Region(words[1])
        elif line.startswith(" "):
            states = words
        elif words:
            event_type, *row = words
            for state, becomes in zip(states, row, strict=True):
                yield Cell(region, E(event_type), state, state if becomes == "=" else becomes)


CELLS = list(cells())


def accepted_state(region: Region, event_type: E) -> Any:
    """Return a state of a region in which the event is accepted."""
    table = STATE_TABLES[region].get(event_type)
    return next(iter(table)) if table else None


def case_in(cell: Cell) -> Case:
    """Return a case whose region is in the cell's state and whose other regions accept the event."""
    case = Case(case_id=CASE, seq=1, head_hash=GENESIS_HASH, opened_at=START, site_id=SiteId("roanne"))
    for region, name in FIELDS.items():
        state = STATES[region](cell.state) if region is cell.region else accepted_state(region, cell.event_type)
        if state is not None:
            case = replace(case, **{name: replace(getattr(case, name), state=state)})
    if cell.region is Region.CRITICAL and cell.state != "none":
        finding = CriticalFinding(
            critical_id="f1", state=CriticalState(cell.state), category=2, declared_at=START, finding="x",
            identified_at=START, radiologist=ANNE, recipient="x", received_at=START, method="phone", read_back="x",
        )  # fmt: skip
        case = replace(case, criticals=(finding,))
    if cell.region is Region.ESCALATION and cell.state != "none":
        chain = EscalationChain(chain_id="c1", state=EscalationState(cell.state), cause="silence", started_at=START)
        case = replace(case, escalations=(chain,))
    return consistent(case)


def consistent(case: Case) -> Case:
    """Fill in what the guards look at, so that only the state decides."""
    has_version = case.report.state in {ReportState.PRELIMINARY, ReportState.SIGNED, ReportState.RETRACTED}
    is_taken = case.reading.state in {ReadingState.CLAIMED, ReadingState.PARKED, ReadingState.DONE}
    reader = None if case.reading.state is ReadingState.QUEUED else ANNE
    return replace(
        case,
        report=replace(case.report, versions=(VERSION,) if has_version else ()),
        reading=replace(
            case.reading, assigned_to=reader, claimed_by=ANNE if is_taken else None, transaction_uid="2.25.1"
        ),
        images=replace(case.images, studies=(STUDY,), reopened_at=START),
        protocol=replace(case.protocol, version=1),
        second_reading=replace(case.second_reading, assigned_to="boris", done_by="boris"),
    )


def payload(case: Case, event_type: E) -> dict[str, Any]:
    """Return a payload that no guard objects to."""
    values: dict[str, Any] = {
        "person_id": ANNE, "transaction_uid": "2.25.1", "signer": ANNE, "issuer": STUDY.issuer,
        "study_instance_uid": STUDY.study_instance_uid, "version": 1, "deadline_at_us": us(60), "received_at_us": us(1),
        "identified_at_us": us(0), "due_at_us": us(60),
        "urgency": 2, "category": 2, "site_id": "roanne", "critical_id": "f1", "chain_id": "c1", "received": 1,
        "silent_s": 60.0, "patient_key": "k", "is_given": True, "kind": "mpps_list",
    }  # fmt: skip
    needed = {key: values.get(key, "x") for key in VOCABULARY[event_type].required}
    if event_type == E.REPORT_SIGNED:
        is_signed = case.report.state is ReportState.SIGNED
        needed |= {"version": case.report.version if is_signed else case.report.version + 1, "content_hash": "h1"}
    elif event_type in {E.REPORT_ADDENDUM, E.REPORT_REPLACED}:
        needed["version"] = case.report.version + 1
    elif event_type == E.PROTOCOL_SUPERSEDED:
        needed["version"] = 2
    elif event_type.startswith("report.double_read") and "person_id" in needed:
        needed["person_id"] = "boris"
    elif event_type == E.CASE_CLOSED:
        needed["reason"] = "test"
    return needed


def event_for(case: Case, event_type: E) -> Event:
    said = fact(event_type, **payload(case, event_type))
    return Event(event_id="e", case_id=CASE, seq=2, prev_hash=GENESIS_HASH, hash="1" * 64, recorded_at=START, fact=said)


def state_of(case: Case, region: Region) -> str:
    if region is Region.CRITICAL:
        return str(case.criticals[0].state)
    if region is Region.ESCALATION:
        return str(case.escalations[0].state)
    return str(getattr(case, FIELDS[region]).state)


def is_settled_by_a_guard(cell: Cell, case: Case) -> bool:
    """Say where more than the state decides although the table says yes; each has its own test."""
    return (
        # A study that is unlinked must leave others behind; the case here has one.
        cell.event_type == E.IMAGES_UNLINKED
        # What was retracted is read again before it is signed; what is signed is not queued.
        or (cell.event_type == E.REPORT_SIGNED and case.report.state is not ReportState.SIGNED
            and case.reading.state is ReadingState.DONE)
        or (cell.event_type == E.QUEUE_ENTERED and case.reading.state is ReadingState.DONE)
    )  # fmt: skip


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_a_case_moves_as_the_table_says_or_refuses_and_says_why(cell: Cell) -> None:
    case = case_in(cell)
    if is_settled_by_a_guard(cell, case):
        assert cell.becomes != "-"
        return
    event = event_for(case, cell.event_type)

    if cell.becomes == "-":
        with pytest.raises(TransitionRefused) as refused:
            apply(case, event)
        assert (refused.value.region, refused.value.state) == (cell.region, cell.state)
        assert str(refused.value).startswith(f"{cell.event_type} is refused while {cell.region} is {cell.state}")
    else:
        assert state_of(apply(case, event), cell.region) == cell.becomes


def test_the_specification_has_every_cell_of_every_table_and_no_other() -> None:
    tables = {
        (region, event_type, state.value): table[event_type].get(state)
        for region, table in STATE_TABLES.items()
        for event_type in table
        for state in STATES[region]
    }

    assert {(cell.region, cell.event_type, cell.state): cell.becomes for cell in CELLS} == {
        key: "-" if state is None else state.value for key, state in tables.items()
    }


def test_every_effect_belongs_to_an_event_that_moves_its_region() -> None:
    lost = [
        (region, event_type)
        for region, effects in EFFECTS.items()
        for event_type in effects
        if event_type not in STATE_TABLES[region]
    ]

    assert lost == []


@pytest.mark.parametrize("event_type", sorted(ADVICE))
def test_advice_is_given_for_events_that_can_be_refused(event_type: E) -> None:
    refused = [cell for cell in CELLS if cell.event_type == event_type and cell.becomes == "-"]

    case = case_in(refused[0])
    with pytest.raises(TransitionRefused, match=ADVICE[event_type].split("(")[0].strip()):
        apply(case, event_for(case, event_type))


@pytest.mark.parametrize("event_type", sorted(one for one in E if is_noted(one)))
def test_an_event_that_moves_nothing_is_welcome_in_a_closed_case_too(event_type: E) -> None:
    case = Case(case_id=CASE, seq=1, head_hash=GENESIS_HASH, opened_at=START, site_id=SiteId("roanne"))
    closed = replace(case, delivery=replace(case.delivery, state=DeliveryState.CLOSED))

    noted = apply(closed, event_for(closed, event_type))

    assert replace(noted, seq=1, head_hash=GENESIS_HASH) == closed
