"""Rows that were brought up to date in any steps are those that the log tells; on both databases."""

from datetime import timedelta
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select, update

import oncall.schema  # noqa: F401  # adds its tables to METADATA
from foundation.database import Database, sqlite_url
from foundation.errors import Refused
from foundation.instants import microseconds_or_none
from oncall.case import commands, commands_report
from oncall.case.event import CaseId, Fact
from oncall.case.matching import move_study
from oncall.case.regions import ReadingState, StudyKey
from oncall.case.sql_log import SqlCaseLog
from oncall.case.state import Case
from oncall.directory import Directory, Person, Provider, ProviderId, ProviderKind, Role, Site, SiteId
from oncall.documents_store import publish_directory
from oncall.engine.duty import DutyType
from oncall.engine.duty_rows import record_within
from oncall.figures.projection import catch_up, differences, rebuild
from oncall.schema import oncall_case_event, oncall_case_figure
from tests.unit.oncall.case.cases import ANNE, BRUNO, START, Story, at, numbered_ids, request, whole_story

STUDY = StudyKey("ROANNE", "1.2.3")


@pytest.fixture
def log(database: Database) -> SqlCaseLog:
    return SqlCaseLog(database, numbered_ids())


def rows_in(database: Database) -> list[dict[str, object]]:
    with database.read() as connection:
        wanted = select(oncall_case_figure).order_by(oncall_case_figure.c.case_id)
        return [dict(row) for row in connection.execute(wanted).mappings()]


def test_events_are_taken_in_once_and_a_changed_case_again(database: Database, log: SqlCaseLog) -> None:
    whole_story(log)
    assert catch_up(database) == 1
    assert catch_up(database) == 0
    first = rows_in(database)

    Story(log).append(commands.reopen(Story(log).case, at(60), reason="a question"), 60)
    Story(log, CaseId("case-2")).opened()

    assert catch_up(database) == 2
    assert [row["case_id"] for row in rows_in(database)] == ["case-1", "case-2"]
    assert rows_in(database)[0]["seq"] == int(str(first[0]["seq"])) + 1


def test_facts_of_the_night_are_no_cases(database: Database, log: SqlCaseLog) -> None:
    gone = Fact(type=DutyType.READER_UNAVAILABLE, occurred_at=START, payload={"person_id": "anne", "reason": "line"})
    with database.write(durable=True) as connection:
        record_within(connection, [gone], START)

    assert catch_up(database) == 0
    whole_story(log)
    assert catch_up(database) == 1


def test_a_row_that_was_touched_is_found_and_made_again(database: Database, log: SqlCaseLog) -> None:
    whole_story(log)
    catch_up(database)
    with database.write(durable=True) as connection:
        connection.execute(update(oncall_case_figure).values(c4_us=1))

    with database.read() as connection:
        assert differences(connection) == ("case-1",)
    assert rebuild(database) == 1
    with database.read() as connection:
        assert differences(connection) == ()


def test_rows_of_a_log_that_was_restored_from_an_older_copy_are_made_again(database: Database, log: SqlCaseLog) -> None:
    whole_story(log)
    Story(log, CaseId("case-2")).opened()
    catch_up(database)
    with database.write(durable=True) as connection:
        connection.execute(delete(oncall_case_event).where(oncall_case_event.c.case_id == "case-2"))

    catch_up(database)

    assert [row["case_id"] for row in rows_in(database)] == ["case-1"]
    assert catch_up(database) == 0


def test_a_directory_published_later_changes_no_figure_of_before(database: Database, log: SqlCaseLog) -> None:
    def publish(provider: str, zone: str, minutes: float) -> None:
        anne = Person(person_id=ANNE, name="Anne", role=Role.RADIOLOGIST, provider_id=ProviderId(provider))
        site = Site(site_id=SiteId("roanne"), name="Roanne", time_zone=zone, commune="42187")
        directory = Directory(sites={site.site_id: site}, persons={ANNE: anne}, providers=_providers())
        with database.write(durable=True) as connection:
            publish_directory(connection, directory, by="test", now=START + timedelta(minutes=minutes))

    publish("pool", "Europe/Paris", -60)
    whole_story(log)
    publish("company", "Indian/Reunion", 500)
    catch_up(database)
    row = rows_in(database)[0]

    # 22 November is a Sunday; at 19:10 UTC it is 20:10 in Paris and 23:10 in La Réunion.
    assert (row["provider_id"], row["period"]) == ("pool", "weekend")
    rebuild(database)
    assert rows_in(database)[0] == row


@pytest.mark.parametrize("seed", [1, 2])
def test_any_steps_lead_to_the_same_rows(database: Database, log: SqlCaseLog, seed: int) -> None:
    _wander(database, log, Random(seed), steps=60)
    catch_up(database)
    stepwise = rows_in(database)

    with database.read() as connection:
        assert differences(connection) == ()
    rebuild(database)
    assert rows_in(database) == stepwise
    assert len(stepwise) > 3


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_whatever_happens_the_rows_are_what_the_log_tells(seed: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    database = Database(sqlite_url(tmp_path_factory.mktemp("figures") / "cases.sqlite"))
    database.create_tables()
    log = SqlCaseLog(database, numbered_ids())
    _wander(database, log, Random(seed), steps=30)
    catch_up(database)
    with database.read() as connection:
        assert differences(connection) == ()
    for one in rows_in(database):
        case = log.case(CaseId(str(one["case_id"])))
        assert case is not None
        assert one["signed_at_us"] == microseconds_or_none(case.report.signed_at)
        assert (one["outcome"] == "reported") == (case.report.signed_at is not None)
        # A clock that has stopped does not run, and what runs has stopped nothing.
        stopped = [number for number in range(9) if one[f"c{number + 1}_us"] is not None]
        assert not any(int(str(one["running_clocks"])) >> number & 1 for number in stopped)
    database.close()


def _providers() -> dict[ProviderId, Provider]:
    return {
        ProviderId(name): Provider(
            provider_id=ProviderId(name), name=name, kind=ProviderKind.PUBLIC_POOL, time_zone="Europe/Paris"
        )
        for name in ("pool", "company")
    }


def _wander(database: Database, log: SqlCaseLog, dice: Random, *, steps: int) -> None:
    """Let random things happen to a few cases, and bring the rows up to date now and then."""
    stories = [Story(log, CaseId(f"case-{number}")) for number in range(6)]
    minutes = 0.0
    for step in range(steps):
        minutes += dice.random() * 10
        story, other = dice.sample(stories, 2)
        try:
            _happen(story, other, dice, minutes, step)
        except (Refused, AssertionError):
            continue
        if dice.random() < 0.3:
            catch_up(database)


_ANYTHING = (
    "silence", "acknowledge", "decline", "park", "resume", "release", "deliver", "arrive", "known", "addendum",
    "retract", "notice", "preliminary", "reopen", "close", "move", "late", "withdraw",
)  # fmt: skip


def _next(case: Case) -> str:
    """Return what usually happens next."""
    if case.images.complete_at is None:
        return "complete"
    state = case.reading.state
    if state is ReadingState.DONE:
        return "deliver" if case.delivery.sent_at is None else "known"
    return {ReadingState.QUEUED: "assign", ReadingState.CLAIMED: "sign", ReadingState.PARKED: "resume"}.get(
        state, "claim"
    )


def _happen(story: Story, other: Story, dice: Random, minutes: float, step: int) -> None:
    known = story.log.case(story.case_id)
    if known is None:
        if dice.random() < 0.5:
            story.opened(minutes, patient_key="")
        else:
            study = StudyKey("ROANNE", f"1.2.{step}")
            unannounced = request(patient_key="")
            story.append(commands.open_unannounced(unannounced, study, at(minutes), rule="r", received=1), minutes)
        return
    now, uid = at(minutes), known.reading.transaction_uid
    reader = dice.choice([ANNE, BRUNO])
    kind = dice.choice(_ANYTHING) if dice.random() < 0.5 else _next(known)
    mine = known.reading.assigned_to or reader
    if kind == "move" and known.images.studies and other.log.case(other.case_id) is not None:
        moved = move_study(known, other.case, known.images.studies[0], now, reason="r")
        story.append(moved.source, minutes)
        other.append(moved.target, minutes)
        return
    facts = {
        "complete": lambda: commands.complete_images(known, now, rule="r"),
        "assign": lambda: commands.assign(known, reader, now, reason="r"),
        "silence": lambda: commands.record_silence(known, mine, now, silent_s=60),
        "acknowledge": lambda: commands.acknowledge(known, mine, now),
        "decline": lambda: commands.decline(known, mine, now, reason="r"),
        "claim": lambda: commands.claim(known, mine, now, transaction_uid=f"2.25.{step + 1}"),
        "park": lambda: commands.park(known, now, transaction_uid=uid, reason="r"),
        "resume": lambda: commands.resume(known, now, transaction_uid=uid),
        "release": lambda: commands.release(known, now, transaction_uid=uid, reason="r"),
        "sign": lambda: commands_report.sign(known, mine, now, content_hash=f"h{step}"),
        "deliver": lambda: commands_report.send_report(known, now, channel="web"),
        "arrive": lambda: commands_report.record_delivery(known, now, channel="web"),
        "known": lambda: commands_report.acknowledge_report(known, "Dr Martin", now),
        "addendum": lambda: commands_report.add_addendum(known, mine, now, content_hash=f"h{step}", reason="r"),
        "notice": lambda: commands_report.withdraw(known, mine, now, content_hash=f"h{step}", reason="r"),
        "preliminary": lambda: commands_report.issue_preliminary(
            known, mine, now, content_hash=f"h{step}", transaction_uid=uid
        ),
        "retract": lambda: commands_report.retract(known, now, reason="r"),
        "reopen": lambda: commands.reopen(known, now, reason="r", read_again=True),
        "close": lambda: commands.close(known, now, reason="r"),
        "late": lambda: commands.receive_instances(known, STUDY, now, received=1),
        "withdraw": lambda: commands.withdraw(known, now, motive="r"),
        "move": lambda: (),
    }[kind]()
    story.append(facts, minutes)
