"""Chains of pages within the engine: whose ladder a chain climbs, and whom the hospital is told to call."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from oncall.case import commands
from oncall.case.event import CaseId
from oncall.case.regions import StudyKey
from oncall.directory import ChannelKind, ContactDuty, Directory, LineId, PersonId, Role, SiteId
from oncall.engine.engine import Engine
from oncall.engine.in_force import FixedRules, InForce
from oncall.engine.ports import Store
from oncall.ladder import Ladder, Purpose, Step, Target
from oncall.reading.board import ExamKind, Urgency
from oncall.rota.model import Roster
from tests.harness.small_territory import (
    BEGIN,
    SENDER,
    at,
    directory,
    engine,
    in_force,
    person,
    ready_case,
    request,
    roster,
    run_until,
    without_contacts,
)

_MINUTE_S: Final = dict.fromkeys(Urgency, 60.0)
SHORT: Final = Ladder(
    ladder_id="short",
    version="7",
    steps=tuple(
        Step(level=level, target=target, wait_s=_MINUTE_S, repage_after_s=_MINUTE_S, pages_max=1)
        for level, target in enumerate((Target.ASSIGNED_READER, Target.COORDINATOR))
    ),
)


def with_ladder(planned: Roster, *line_ids: str, ladder: Ladder = SHORT) -> Roster:
    """Return a roster some of whose lines name a ladder."""
    lines = tuple(
        replace(line, ladder_id=ladder.ladder_id) if line.line_id in map(LineId, line_ids) else line
        for line in planned.lines
    )
    return replace(planned, lines=lines, ladders=(ladder,))


def told(store: Store, case_id: str) -> list[str]:
    """Return who the chain that looks for a reader has told, in order, each once."""
    return list(
        dict.fromkeys(
            event.fact.payload["person_id"]
            for event in store.events_of(CaseId(case_id))
            if event.type == "escalation.notified" and event.fact.payload["chain_id"].split("/")[1].startswith("r")
        )
    )


def ladders(store: Store, case_id: str) -> set[str]:
    events = [event for event in store.events_of(CaseId(case_id)) if event.type == "escalation.notified"]
    return {event.fact.payload["ladder_version"] for event in events}


def paged_for(store: Store, mark: str) -> list[tuple[str, str]]:
    """Return whom the first case's chain of one kind has told, and by which ladder."""
    said = [event.fact.payload for event in store.events_of(CaseId("C1")) if event.type == "escalation.notified"]
    theirs = [one for one in said if one["chain_id"].startswith(f"C1/{mark}")]
    return [(one["person_id"], one["ladder_version"]) for one in theirs]


def stalled_case(runner: Engine, now: datetime) -> None:
    """Open a case some of whose images come, and no more."""
    run_until(runner, now)
    case_id, study = CaseId("C1"), StudyKey("NORTH", "1.2.3")
    runner.open_case(case_id, request(), now)
    runner.execute(
        case_id, lambda case, context: commands.receive_instances(case, study, context, received=3, expected=10), now
    )


def alarm(store: Store, case_id: str) -> str:
    """Return the text of the hospital's first alarm."""
    with store.queue() as queue:
        waiting = queue.lease(ChannelKind.SMS, at(2), worker="sender", limit=99).messages
    return next(one.text for one in waiting if one.case_id == case_id and one.text.startswith("ALERTE"))


def number_of(known: Directory, person_id: str) -> str:
    return known.persons[PersonId(person_id)].contact_methods[0].address


def restarted(store: Store, rules: InForce) -> Engine:
    return Engine(store, FixedRules(rules), SENDER, worker="two")


def with_neurologist(known: Directory) -> Directory:
    """Return the territory with a neurologist at the north."""
    nora = person("nora", Role.NEUROLOGIST)
    north = known.sites[SiteId("north")]
    north = replace(north, contacts={**north.contacts, ContactDuty.NEUROLOGIST: (nora.person_id,)})
    return replace(
        known,
        persons={**known.persons, nora.person_id: nora},
        sites={**known.sites, north.site_id: north},
    )


def silent_stroke(store: Store, known: Directory) -> Engine:
    """Open a stroke whose readers answer nothing, and stop when the third level is due."""
    runner = engine(store, in_force(people=known))
    ready_case(runner, "c", at(0), exam=ExamKind.STROKE, urgency=Urgency.P1)
    run_until(runner, at(0) + timedelta(seconds=260))
    return runner


def test_the_neurologist_of_a_stroke_is_told_before_the_neuroradiologist(store: Store) -> None:
    runner = silent_stroke(store, with_neurologist(directory()))
    assert told(store, "c")[2:] == ["nora"]

    run_until(runner, at(0) + timedelta(seconds=400))

    assert told(store, "c")[2:4] == ["nora", "serge"]


def test_a_neurologist_who_answers_ends_nothing_and_the_neuroradiologist_is_asked_at_once(store: Store) -> None:
    runner = silent_stroke(store, with_neurologist(directory()))
    now = at(0) + timedelta(seconds=261)

    runner.acknowledge(CaseId("c"), PersonId("nora"), now)

    assert told(store, "c")[2:4] == ["nora", "serge"]
    assert runner.case(CaseId("c")).reading.acknowledged_at is None
    # A second yes, when the chain is elsewhere, changes nothing.
    runner.acknowledge(CaseId("c"), PersonId("nora"), now)
    assert told(store, "c")[2:] == ["nora", "serge"]


def test_a_hospital_without_neurologist_does_not_wait_for_one(store: Store) -> None:
    silent_stroke(store, directory())

    assert told(store, "c")[2:3] == ["serge"]


def test_only_a_stroke_goes_by_the_neurologist(store: Store) -> None:
    runner = engine(store, in_force(people=with_neurologist(directory())))
    ready_case(runner, "c", at(0), urgency=Urgency.P1)
    run_until(runner, at(0) + timedelta(seconds=400))

    assert "nora" not in told(store, "c")


def test_a_line_with_a_ladder_of_its_own_climbs_that_one(store: Store) -> None:
    # Only boris reads for the east: he is on reader2.
    runner = engine(store, in_force(with_ladder(roster(), "reader2")))
    ready_case(runner, "C1", BEGIN, site_id="east")

    run_until(runner, at(2))

    assert told(store, "C1") == ["boris", "coline", "elsa"]
    assert ladders(store, "C1") == {"short/7"}


def test_a_line_without_one_climbs_the_ladder_of_everybody(store: Store) -> None:
    runner = engine(store, in_force(with_ladder(roster(), "reader1")))
    ready_case(runner, "C1", BEGIN, site_id="east")

    run_until(runner, at(2))

    assert told(store, "C1") == ["boris"]
    assert ladders(store, "C1") == {"default/1"}


def test_a_ladder_published_in_the_night_changes_no_chain_that_has_begun(store: Store) -> None:
    runner = engine(store, in_force(with_ladder(roster(), "reader2")))
    ready_case(runner, "C1", BEGIN, site_id="east")

    run_until(restarted(store, in_force()), at(2))

    assert told(store, "C1") == ["boris", "coline", "elsa"]
    assert ladders(store, "C1") == {"short/7"}


def test_the_hospital_is_told_the_coordinators_number_when_nobody_answered(store: Store) -> None:
    runner = engine(store, in_force(with_ladder(roster(), "reader2")))
    ready_case(runner, "C1", BEGIN, site_id="east")

    run_until(runner, at(2))

    assert f"Appelez {number_of(directory(), 'coline')}." in alarm(store, "C1")


def test_without_a_coordinators_number_it_is_told_the_readers(store: Store) -> None:
    runner = engine(store, in_force(with_ladder(roster(), "reader2"), without_contacts(directory(), "coline")))
    ready_case(runner, "C1", BEGIN, site_id="east")

    run_until(runner, at(2))

    assert f"Appelez {number_of(directory(), 'boris')}." in alarm(store, "C1")


def test_who_hears_of_a_late_report_is_published_with_the_roster(store: Store) -> None:
    only_the_coordinator = replace(SHORT, ladder_id="late", purpose=Purpose.LATE, steps=SHORT.steps[1:])
    runner = engine(store, in_force(replace(roster(), ladders=(only_the_coordinator,))))

    case_id = ready_case(runner, "C1", at(5))
    runner.acknowledge(case_id, runner.case(case_id).reading.assigned_to or PersonId(""), at(6))
    run_until(runner, at(66))

    assert paged_for(store, "d")[:1] == [("coline", "late/7")]


def test_who_hears_of_a_transfer_that_stopped_is_published_with_the_roster(store: Store) -> None:
    asks_the_senior = replace(SHORT.steps[1], target=Target.SENIOR)
    ladder = replace(SHORT, ladder_id="network", purpose=Purpose.TECHNICAL, steps=(asks_the_senior,))
    runner = engine(store, in_force(replace(roster(), ladders=(ladder,))))

    stalled_case(runner, at(5))
    run_until(runner, at(10))

    assert paged_for(store, "t")[:1] == [("serge", "network/7")]
