"""The Modality Worklist as a console meets it, on both databases, judged by pydicom."""

import dataclasses
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from pydicom.dataset import Dataset
from sqlalchemy import Connection, event, select

from foundation import outbox
from foundation.clock import ManualClock
from foundation.database import Database, sqlite_url
from pacs.contracts import TOPIC_WORKLIST_DELIVERED
from pacs.worklist import orders
from pacs.worklist.find_service import agree_worklist
from pacs.worklist.order import OrderPriority, OrderState
from pacs.worklist.schema import worklist_delivery
from tests.harness.association import PeerGone, RecordedAssociation
from tests.harness.identifiers import DEFLATED, EXPLICIT_BIG, IMPLICIT_LITTLE
from tests.harness.orders import NOW, STROKE_PROTOCOL, full_order, order
from tests.harness.worklist import (
    EXPLICIT_LITTLE,
    FEURS_CONSOLE,
    RIGHTS,
    ROANNE_CONSOLE,
    Answers,
    ask,
    asked,
    place_all,
    service_of,
)

SUCCESS, WARNING, PENDING = 0x0000, 0xFF01, 0xFF00


@contextmanager
def statements(database: Database) -> Iterator[list[str]]:
    """Yield the list of statements that a database is sent meanwhile."""
    seen: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        seen.append(statement)

    event.listen(database.engine, "before_cursor_execute", note)
    yield seen
    event.remove(database.engine, "before_cursor_execute", note)


def placers(answers: Answers) -> list[str]:
    """Return whose items were answered, by the number in the Patient ID."""
    assert answers.final == SUCCESS, answers.comment
    return [str(item.PatientID).rpartition("-")[2] for item in answers.items]


def fill(database: Database) -> None:
    """Place four orders at Roanne and one at Feurs, on an evening."""
    place_all(
        database,
        [
            order(1, modality="CT", scheduled_at=NOW, accession_number="A1"),
            order(2, modality="MR", scheduled_at=NOW - timedelta(hours=2), station_aet="MR1_ROANNE"),
            order(3, modality="CT", scheduled_at=NOW + timedelta(days=3)),
            order(4, modality="CT", scheduled_at=NOW + timedelta(hours=1), priority=OrderPriority.STAT),
            order(5, site_id="feurs", modality="CT", scheduled_at=NOW, accession_number="A5"),
        ],
    )


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def filled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """A worklist that no test changes; those that use it run once for each kind of database."""
    if request.param == "sqlite":
        url = sqlite_url(tmp_path_factory.mktemp("worklist") / "index.sqlite")
    else:
        url = request.getfixturevalue("postgresql_server").new_database(f"test_{uuid4().hex}")
    database = Database(url)
    database.create_tables()
    fill(database)
    yield database
    database.close()


@pytest.fixture
def small_database(tmp_path: Path) -> Iterator[Database]:
    """A database for what has nothing to do with its kind."""
    database = Database(sqlite_url(tmp_path / "index.sqlite"))
    database.create_tables()
    yield database
    database.close()


@pytest.fixture
def worklist(database: Database) -> Database:
    """The same worklist, for tests that change it."""
    fill(database)
    return database


def test_a_console_is_given_its_own_hospitals_orders_emergencies_first_then_by_time(filled: Database) -> None:
    service = service_of(filled)
    assert placers(ask(service, asked())) == ["4", "2", "1", "3"]
    assert placers(ask(service, asked(), calling_aet=FEURS_CONSOLE)) == ["5"]


@pytest.mark.parametrize(
    "keys", [{"PatientID": "feurs-5"}, {"AccessionNumber": "A5"}, {"PatientName": "Durand5*"}], ids=str
)
def test_no_key_finds_an_order_of_another_hospital(filled: Database, keys: Mapping[str, str]) -> None:
    assert placers(ask(service_of(filled), asked(keys))) == []


@pytest.mark.parametrize(
    ("keys", "step", "found"),
    [
        ({}, {"Modality": "CT"}, ["4", "1", "3"]),
        ({}, {"Modality": "CT\\MR"}, ["4", "2", "1", "3"]),
        ({}, {"ScheduledProcedureStepStartDate": "20261121"}, ["2", "1"]),
        ({}, {"ScheduledProcedureStepStartDate": "20261121-20261122"}, ["4", "2", "1"]),
        ({}, {"ScheduledProcedureStepStartDate": "20261122-"}, ["4", "3"]),
        ({}, {"ScheduledProcedureStepStartDate": "-20261121"}, ["2", "1"]),
        ({}, {"ScheduledProcedureStepStartDate": "19000101-20991231"}, ["4", "2", "1", "3"]),
        ({}, {"ScheduledProcedureStepStartTime": "2315"}, ["1", "3"]),
        ({}, {"ScheduledProcedureStepStartTime": "2100-2330"}, ["2", "1", "3"]),
        # One span from the first moment to the last, and not the same hours of each day.
        (
            {},
            {
                "ScheduledProcedureStepStartDate": "20261121-20261122",
                "ScheduledProcedureStepStartTime": "2300-0100",
            },
            ["4", "1"],
        ),
        ({}, {"ScheduledStationAETitle": "MR1_ROANNE"}, ["4", "2", "1", "3"]),
        ({}, {"ScheduledStationAETitle": "CT9"}, ["4", "1", "3"]),
        ({}, {"ScheduledStationAETitle": "CT*"}, ["4", "1", "3"]),
        ({}, {"ScheduledPerformingPhysicianName": "Nobody"}, []),
        ({}, {"ScheduledPerformingPhysicianName": "*"}, ["4", "2", "1", "3"]),
        ({"PatientName": "durand2^zoe"}, {}, ["2"]),
        ({"PatientName": "Durand*"}, {}, ["4", "2", "1", "3"]),
        ({"PatientID": "roanne-3"}, {}, ["3"]),
        ({"PatientID": "roanne-?"}, {}, ["4", "2", "1", "3"]),
        ({"AccessionNumber": "A1"}, {}, ["1"]),
        ({"RequestedProcedurePriority": "STAT"}, {}, ["4"]),
        ({"PatientID": "roanne-1"}, {"Modality": "MR"}, []),
        ({}, {"ScheduledProcedureStepStatus": "STARTED"}, []),
    ],
    ids=lambda value: str(value)[:60],
)
def test_required_and_other_keys_match_as_the_standard_says(
    filled: Database, keys: Mapping[str, Any], step: Mapping[str, Any], found: list[str]
) -> None:
    assert placers(ask(service_of(filled), asked(keys, step))) == found


def test_an_answer_holds_what_was_asked_for_and_nothing_else(filled: Database) -> None:
    request = Dataset()
    request.PatientID = "roanne-2"
    request.ContentDate = ""
    step = Dataset()
    step.Modality = ""
    step.ScheduledStationAETitle = ""
    request.ScheduledProcedureStepSequence = [step]
    (item,) = ask(service_of(filled), request).items
    assert [element.keyword for element in item] == ["PatientID", "ScheduledProcedureStepSequence"]
    (answered,) = item.ScheduledProcedureStepSequence
    assert [(e.keyword, e.value) for e in answered] == [("Modality", "MR"), ("ScheduledStationAETitle", "MR1_ROANNE")]


def test_a_sequence_without_keys_asks_for_all_of_it(filled: Database) -> None:
    request = Dataset()
    request.PatientID = "roanne-2"
    request.ScheduledProcedureStepSequence = []
    (item,) = ask(service_of(filled), request).items
    assert item.ScheduledProcedureStepSequence[0].ScheduledProcedureStepDescription == "CT head"


@pytest.mark.parametrize(("key", "shown"), [("CT9", "CT9"), ("", ROANNE_CONSOLE), ("CT*", ROANNE_CONSOLE)])
def test_an_order_for_any_scanner_is_one_for_the_scanner_that_asks(filled: Database, key: str, shown: str) -> None:
    answers = ask(service_of(filled), asked({"PatientID": "roanne-1"}, {"ScheduledStationAETitle": key}))
    assert answers.items[0].ScheduledProcedureStepSequence[0].ScheduledStationAETitle == shown


def test_orders_that_are_done_or_cancelled_are_not_on_the_list(worklist: Database) -> None:
    with worklist.write(durable=True) as connection:
        orders.cancel(connection, order(1).order_id, NOW)
        orders.set_state(connection, order(2).order_id, OrderState.COMPLETED, NOW)
        orders.set_state(connection, order(3).order_id, OrderState.IN_PROGRESS, NOW)
    service = service_of(worklist)
    assert placers(ask(service, asked())) == ["4", "3"]
    assert placers(ask(service, asked({}, {"ScheduledProcedureStepStatus": "STARTED"}))) == ["3"]


def test_what_was_answered_before_is_never_shown_after_a_change(worklist: Database) -> None:
    service = service_of(worklist)
    request = asked({"PatientID": "roanne-1"})
    ask(service, request)
    with worklist.write(durable=True) as connection:
        orders.place(connection, order(1, scheduled_at=NOW, accession_number="A1", description="CT neck"), NOW)
        orders.set_protocol(connection, order(1).order_id, STROKE_PROTOCOL, NOW)
    (item,) = ask(service, request).items
    step = item.ScheduledProcedureStepSequence[0]
    assert step.ScheduledProcedureStepDescription == STROKE_PROTOCOL.title
    assert step.ScheduledProtocolCodeSequence[0].CodeValue == "CTSTROKE"


def test_an_emergency_stays_on_todays_list_when_midnight_passes(small_database: Database) -> None:
    clock = ManualClock(datetime(2026, 11, 21, 22, 50, tzinfo=UTC))
    place_all(small_database, [order(1, scheduled_at=clock.now(), priority=OrderPriority.STAT)])
    service = service_of(small_database, clock)
    today, tomorrow = (asked({}, {"ScheduledProcedureStepStartDate": day}) for day in ("20261121", "20261122"))
    assert placers(ask(service, today)) == ["1"]
    clock.advance(timedelta(minutes=20))
    (item,) = ask(service, tomorrow).items
    step = item.ScheduledProcedureStepSequence[0]
    assert (step.ScheduledProcedureStepStartDate, step.ScheduledProcedureStepStartTime) == ("20261122", "000000")
    assert placers(ask(service, today)) == []


def test_the_hour_that_october_shows_twice_is_told_apart_by_its_offset(small_database: Database) -> None:
    first, second = (datetime(2026, 10, 25, hour, 30, tzinfo=UTC) for hour in (0, 1))
    place_all(small_database, [order(2, scheduled_at=second), order(1, scheduled_at=first)])
    service = service_of(small_database, ManualClock(first))
    keys = {"ScheduledProcedureStepStartDate": "20261025", "ScheduledProcedureStepStartTime": "0230"}
    answers = ask(service, asked({"TimezoneOffsetFromUTC": ""}, keys))
    assert placers(answers) == ["1", "2"]
    assert [item.TimezoneOffsetFromUTC for item in answers.items] == ["+0200", "+0100"]
    # A console that names an offset is asked and answered by it.
    utc = ask(service, asked({"TimezoneOffsetFromUTC": "+0000"}, {**keys, "ScheduledProcedureStepStartTime": "0130"}))
    assert placers(utc) == ["2"]
    assert utc.items[0].TimezoneOffsetFromUTC == "+0000"
    assert utc.items[0].ScheduledProcedureStepSequence[0].ScheduledProcedureStepStartTime == "013000"


def test_the_same_step_is_answered_by_the_clocks_that_each_query_names(filled: Database) -> None:
    service = service_of(filled)
    shown = []
    for offset in ("", "+0000", ""):
        (item,) = ask(service, asked({"PatientID": "roanne-1", "TimezoneOffsetFromUTC": offset})).items
        step = item.ScheduledProcedureStepSequence[0]
        shown.append((step.ScheduledProcedureStepStartTime, item.TimezoneOffsetFromUTC))
    assert shown == [("231500", "+0100"), ("221500", "+0000"), ("231500", "+0100")]


@pytest.mark.parametrize(
    ("character_set", "name", "answered_in"),
    [
        ("ISO_IR 100", "Lefèvre^Zoë", "ISO_IR 100"),
        ("ISO_IR 192", "Lefèvre^Zoë", "ISO_IR 192"),
        ("ISO_IR 126", "Διονυσιος", "ISO_IR 126"),
        ("ISO_IR 144", "Люкceмбypг", "ISO_IR 144"),
        ("\\ISO 2022 IR 87", "Yamada^Tarou=山田^太郎=やまだ^たろう", "\\ISO 2022 IR 87"),
        ("\\ISO 2022 IR 149", "Hong^Gildong=洪^吉洞=홍^길동", "\\ISO 2022 IR 149"),
        ("GB18030", "Wang^XiaoDong=王^小东", "GB18030"),
        # What the asked set has no code for, and what no set was named for.
        ("ISO_IR 100", "Διονυσιος", "ISO_IR 192"),
        (None, "Lefèvre^Zoë", "ISO_IR 192"),
        ("ISO_IR 999", "Lefèvre^Zoë", "ISO_IR 192"),
    ],
)
def test_names_are_answered_in_the_asked_character_set_if_it_can_say_them(
    small_database: Database, character_set: str | None, name: str, answered_in: str
) -> None:
    patient = dataclasses.replace(order(1).patient, name=name)
    place_all(small_database, [order(1, patient=patient, description="CT")])
    request = asked({}, character_set=None)
    if character_set is not None:
        request.SpecificCharacterSet = character_set.split("\\") if "\\" in character_set else character_set
    (item,) = ask(service_of(small_database), request).items
    assert "\\".join(_values(item.SpecificCharacterSet)) == answered_in
    assert str(item.PatientName) == name


def _values(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else [str(one) for one in value]


@pytest.mark.parametrize("syntax", [EXPLICIT_LITTLE, IMPLICIT_LITTLE, EXPLICIT_BIG, DEFLATED])
def test_items_with_everything_are_read_in_each_transfer_syntax(small_database: Database, syntax: str) -> None:
    place_all(small_database, [full_order()])
    with small_database.write(durable=True) as connection:
        orders.set_protocol(connection, full_order().order_id, STROKE_PROTOCOL, NOW)
    request = asked({"Allergies": "", "PregnancyStatus": None, "PatientWeight": "", "OtherPatientIDsSequence": []})
    (item,) = ask(service_of(small_database), request, transfer_syntax=syntax).items
    assert (item.Allergies, item.PregnancyStatus, item.PatientWeight) == ("Iode", 4, 61.5)
    protocol = item.ScheduledProcedureStepSequence[0].ScheduledProtocolCodeSequence[0]
    assert protocol.ProtocolContextSequence[0].NumericValue == 50
    assert len(item.OtherPatientIDsSequence) == 2


def test_a_key_on_an_attribute_that_no_item_has_is_a_warning_and_not_nothing_found(filled: Database) -> None:
    answers = ask(service_of(filled), asked({"BodyPartExamined": "HEAD"}))
    assert set(answers.pending) == {WARNING}
    assert len(answers.items) == 4
    assert set(ask(service_of(filled), asked({"BodyPartExamined": ""})).pending) == {PENDING}


@pytest.mark.parametrize(
    ("keys", "step"),
    [
        ({}, {"ScheduledProcedureStepStartDate": "tomorrow"}),
        ({}, {"ScheduledProcedureStepStartDate": "20261122-20261121"}),
        ({}, {"ScheduledProcedureStepStartTime": "99"}),
        ({"TimezoneOffsetFromUTC": "CET"}, {}),
        ({"StudyInstanceUID": "1.2.x"}, {}),
    ],
    ids=str,
)
def test_a_key_without_meaning_fails_the_query(
    filled: Database, keys: Mapping[str, Any], step: Mapping[str, Any]
) -> None:
    answers = ask(service_of(filled), asked(keys, step))
    assert (answers.final, answers.items) == (0xC001, [])
    assert not any(value in answers.comment for value in [*keys.values(), *step.values()])


def test_an_identifier_that_asks_for_nothing_of_a_worklist_does_not_match_the_sop_class(filled: Database) -> None:
    request = Dataset()
    request.ContentDate = "20261121"
    assert ask(service_of(filled), request).final == 0xA900
    assert ask(service_of(filled), b"").final == 0xA900


def test_bytes_that_are_no_data_set_fail_the_query(filled: Database) -> None:
    assert ask(service_of(filled), b"\x10\x00\x10\x00PN\xff\xff").final == 0xC001


def test_a_step_sequence_with_two_items_is_no_key(filled: Database) -> None:
    request = asked()
    request.ScheduledProcedureStepSequence = [Dataset(), Dataset()]
    assert ask(service_of(filled), request).final == 0xC001


@pytest.mark.parametrize(
    "rights",
    [dataclasses.replace(RIGHTS, site=""), dataclasses.replace(RIGHTS, may_worklist=False)],
    ids=["no hospital", "no right"],
)
def test_a_caller_without_hospital_or_right_is_refused_and_given_nothing(filled: Database, rights: Any) -> None:
    answers = ask(service_of(filled), asked(), rights=rights)
    assert (answers.final, answers.items) == (0x0124, [])


def test_more_orders_than_the_cap_are_said_and_never_silently_cut(filled: Database) -> None:
    answers = ask(service_of(filled, answers_max=3), asked())
    assert len(answers.items) == 3
    assert answers.final == 0xA700


def test_a_search_that_cannot_be_made_fails_and_does_not_find_nothing(tmp_path: Path) -> None:
    without_tables = Database(sqlite_url(tmp_path / "empty.sqlite"))
    assert ask(service_of(without_tables), asked()).final == 0xA700
    without_tables.close()


def test_a_hospital_whose_clocks_are_not_known_is_no_empty_list(filled: Database) -> None:
    answers = ask(service_of(filled), asked(), rights=dataclasses.replace(RIGHTS, site="elsewhere"))
    assert (answers.final, answers.items) == (0xA700, [])


def test_a_cancelled_query_ends_with_cancel_after_what_was_in_hand(small_database: Database) -> None:
    place_all(small_database, [order(number) for number in range(40)])
    association = RecordedAssociation(rights=RIGHTS, cancel_after=5, calling_aet=ROANNE_CONSOLE)
    answers = ask(service_of(small_database), asked(), association=association)
    assert answers.final == 0xFE00
    assert len(answers.items) == 10


def test_a_node_that_is_stopped_says_so_and_not_that_this_was_all(small_database: Database) -> None:
    place_all(small_database, [order(number) for number in range(40)])
    association = RecordedAssociation(rights=RIGHTS, calling_aet=ROANNE_CONSOLE)
    association.stopping = True
    answers = ask(service_of(small_database), asked(), association=association)
    assert (len(answers.items), answers.final) == (10, 0xA700)


# --- what a console was given --------------------------------------------------------------------


def deliveries(database: Database) -> list[tuple[str, int, str]]:
    with database.read() as connection:
        events = outbox.read_after(connection, 0, topics=[TOPIC_WORKLIST_DELIVERED])
    return [(e.payload["site_id"], e.payload["protocol_version"], e.payload["calling_aet"]) for e in events]


def with_protocol(database: Database, version: int) -> None:
    with database.write(durable=True) as connection:
        orders.set_protocol(connection, order(1).order_id, dataclasses.replace(STROKE_PROTOCOL, version=version), NOW)


def test_a_protocol_that_a_console_was_given_is_told_once_for_each_version_and_console(database: Database) -> None:
    place_all(database, [order(1), order(2)])
    service = service_of(database)
    ask(service, asked())
    assert deliveries(database) == []
    with_protocol(database, 1)
    ask(service, asked())
    ask(service, asked())
    # Another worker of the same node remembers nothing.
    ask(service_of(database), asked())
    assert deliveries(database) == [("roanne", 1, ROANNE_CONSOLE)]
    with_protocol(database, 2)
    ask(service, asked())
    ask(service, asked(), calling_aet="CT2_ROANNE", rights=RIGHTS)
    assert deliveries(database)[1:] == [("roanne", 2, ROANNE_CONSOLE), ("roanne", 2, "CT2_ROANNE")]
    with database.read() as connection:
        assert len(connection.execute(select(worklist_delivery)).all()) == 2


def test_what_was_told_is_not_looked_up_again(small_database: Database) -> None:
    place_all(small_database, [order(1)])
    with_protocol(small_database, 1)
    service = service_of(small_database)
    ask(service, asked())
    with statements(small_database) as seen:
        ask(service, asked())
    assert [one for one in seen if "worklist_delivery" in one] == []


class Overtaken(Database):
    """A database in which somebody else commits just before our first write."""

    def __init__(self, url: str, overtake: Callable[[], object]) -> None:
        super().__init__(url)
        self._overtake: Callable[[], object] | None = overtake

    @contextmanager
    def write(self, *, durable: bool = False) -> Iterator[Connection]:
        overtake, self._overtake = self._overtake, None
        if overtake is not None:
            overtake()
        with super().write(durable=durable) as connection:
            yield connection


def test_two_workers_that_give_the_same_at_once_tell_it_once(database: Database) -> None:
    place_all(database, [order(1)])
    with_protocol(database, 1)
    other = service_of(database)
    ours = Overtaken(database.url.render_as_string(hide_password=False), lambda: ask(other, asked()))
    assert len(ask(service_of(ours), asked()).items) == 1
    ours.close()
    assert deliveries(database) == [("roanne", 1, ROANNE_CONSOLE)]


def test_a_first_list_tells_every_order_in_the_order_of_the_list(database: Database) -> None:
    place_all(database, [order(number) for number in range(12)])
    with database.write(durable=True) as connection:
        for number in range(12):
            orders.set_protocol(connection, order(number).order_id, STROKE_PROTOCOL, NOW)
    with statements(database) as seen:
        listed = [order(int(number)).order_id for number in placers(ask(service_of(database), asked()))]
    with database.read() as connection:
        events = outbox.read_after(connection, 0, topics=[TOPIC_WORKLIST_DELIVERED])
    assert [one.payload["order_id"] for one in events] == listed
    # One statement for all rows, one for all facts.
    assert len([one for one in seen if one.startswith("INSERT")]) == 2


def test_an_answer_without_the_protocol_is_no_delivery_of_it(database: Database) -> None:
    place_all(database, [order(1)])
    with_protocol(database, 1)
    request = Dataset()
    request.PatientName = ""
    ask(service_of(database), request)
    assert deliveries(database) == []
    request.RequestedProcedureComments = ""
    ask(service_of(database), request)
    assert deliveries(database) == [("roanne", 1, ROANNE_CONSOLE)]


def test_a_console_that_is_gone_before_its_answer_was_given_no_protocol(small_database: Database) -> None:
    place_all(small_database, [order(1)])
    with_protocol(small_database, 1)
    association = RecordedAssociation(rights=RIGHTS, gone_after=0, calling_aet=ROANNE_CONSOLE)
    with pytest.raises(PeerGone):
        ask(service_of(small_database), asked(), association=association)
    assert deliveries(small_database) == []


# --- negotiation ---------------------------------------------------------------------------------


def test_fuzzy_names_find_what_sounds_alike_only_when_negotiated(filled: Database) -> None:
    service = service_of(filled)
    request = asked({"PatientName": "Durant1"})
    assert placers(ask(service, request)) == []
    assert "1" in placers(ask(service, asked({"PatientName": "Zoe"}), extended=b"\1\1\1\1"))
    assert placers(ask(service, asked({"PatientName": "Zoe"}))) == []


@pytest.mark.parametrize(
    ("proposed", "agreed"),
    [
        (b"", b""),
        (b"\1\1\1", b"\1\1\1"),
        (b"\0\0\0\0", b"\0\0\0\0"),
        (b"\1\1\1\1\1", b"\1\1\1\1"),
        (b"\1\1\2", b"\1\1\0"),
    ],
)
def test_only_what_is_understood_is_agreed(proposed: bytes, agreed: bytes) -> None:
    assert agree_worklist(proposed) == agreed


def test_statements_of_a_query_do_not_grow_with_what_it_finds(small_database: Database) -> None:

    counts = []
    for most in (5, 60):
        place_all(small_database, [order(number) for number in range(most)])
        service = service_of(small_database)
        with statements(small_database) as seen:
            assert len(ask(service, asked()).items) == most
        counts.append(len([one for one in seen if "worklist" in one]))
    assert counts == [1, 1]


def test_a_length_is_even_in_every_element(small_database: Database) -> None:
    place_all(small_database, [full_order()])
    for raw in ask(service_of(small_database), asked({"Allergies": "", "RequestedProcedureComments": ""})).raw:
        assert len(raw) % 2 == 0
        assert struct.unpack("<HH", raw[:4]) == (0x0008, 0x0005)
