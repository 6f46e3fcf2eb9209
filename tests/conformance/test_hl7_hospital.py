"""What a hospital's system gets by HL7, by a real MLLP server of another library: answers, status, orders, reports."""

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import hl7
import hl7.mllp
import pytest
from sqlalchemy import select

import oncall.schema  # noqa: F401  # adds its tables to METADATA
import pacs.worklist.hl7.context_schema  # adds its tables to METADATA
import pacs.worklist.hl7.schema  # adds its tables to METADATA
import pacs.worklist.identity_schema  # adds its tables to METADATA
import pacs.worklist.schema  # noqa: F401  # adds its tables to METADATA
from foundation.clock import ManualClock
from foundation.database import Database
from oncall.case import commands
from oncall.case.commands import NewRequest
from oncall.case.event import Actor, CaseId
from oncall.delivery.channels.hl7 import Hl7Report, Hl7Way, NoDestination
from oncall.delivery.channels.port import Parcel
from oncall.delivery.documents import DocumentKind, NotDescribed
from oncall.delivery.model import Delivery, DeliveryChannel, RecipientKind
from oncall.delivery.queue import Arrived, NotArrived
from oncall.directory import PersonId, SiteId
from oncall.engine.sql_store import SqlStore
from oncall.followers import Followers
from oncall.reading.board import ExamKind, Urgency
from oncall.report.version import VersionKind
from pacs.worklist import orders
from pacs.worklist.hl7.destinations import Destination
from pacs.worklist.hl7.schema import hl7_outgoing
from pacs.worklist.hl7.sender import Sender
from pacs.worklist.hl7.validation import is_good, validate
from pacs.worklist.order import order_id
from territory.hl7_follower import HospitalNews
from territory.hl7_report_port import MllpReports
from territory.settings_hl7 import Hl7, Hl7Destination, Hl7Traffic
from tests.harness.deliveries import describe
from tests.harness.hospital_messages import NIGHT, Hospital, flow_1
from tests.harness.report_night import CASE, ReportNight
from tests.harness.small_territory import at, directory, engine

REQUESTED = order_id("north", "OPN101")
REQUEST_CASE = CaseId(f"order-{REQUESTED}")


class HospitalSystem:
    """A hospital's system: the MLLP server of the library ``hl7``, which acknowledges what it takes."""

    def __init__(self) -> None:
        self.taken: list[Any] = []
        self.code = "AA"
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._server: Any = None
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        self._ready.wait()

    @property
    def port(self) -> int:
        return int(self._server.sockets[0].getsockname()[1])

    def close(self) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        start = hl7.mllp.start_hl7_server(self._take, host="127.0.0.1", port=0, encoding="utf-8")
        self._server = self._loop.run_until_complete(start)
        self._ready.set()
        self._loop.run_forever()
        self._server.close()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.close()

    async def _take(self, reader: Any, writer: Any) -> None:
        try:
            while not writer.is_closing():
                message = await reader.readmessage()
                self.taken.append(message)
                writer.writemessage(message.create_ack(ack_code=self.code))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            writer.close()


@pytest.fixture
def system() -> Iterator[HospitalSystem]:
    running = HospitalSystem()
    yield running
    running.close()


def settings(port: int, *sends: Hl7Traffic) -> tuple[Hl7, dict[str, Destination]]:
    one = Hl7Destination(name="ris", site="north", host="127.0.0.1", port=port, application="RIS", facility="HNORD",
                         sends=sends)  # fmt: skip
    hl7 = Hl7(application="TELEGARDE", facility="GIE", organisation="GIE de téléradiologie", finess="420000002",
              destinations=(one,))  # fmt: skip
    there = Destination(
        name="ris", site_id="north", host=one.host, port=one.port, application="RIS", facility="HNORD", answer_s=10.0
    )
    return hl7, {"ris": there}


class Night:
    """An order by flow 1, its case, and what follows by HL7."""

    def __init__(self, database: Database, system: HospitalSystem, *sends: Hl7Traffic) -> None:
        self.database = database
        self.engine = engine(SqlStore(database))
        clock = ManualClock(at(0))
        hl7_settings, there = settings(system.port, *sends)
        follower = HospitalNews(hl7_settings, there, lambda _: directory())
        self.followers = Followers(database, [follower], clock)
        self.sender = Sender(database, there, clock, worker="one")

    def request(self) -> None:
        Hospital(self.database).sends(flow_1(), at=NIGHT)
        asked = NewRequest(
            site_id=SiteId("north"), exam=ExamKind.HEAD, urgency=Urgency.P2, request_id=REQUESTED, modality="CT"
        )
        self.engine.open_case(REQUEST_CASE, asked, at(0))

    def tell(self) -> None:
        self.followers.take()
        self.sender.drain()

    def queued(self) -> list[str]:
        with self.database.read() as connection:
            return list(connection.execute(select(hl7_outgoing.c.control_id)).scalars())


def text_of(message: Any) -> str:
    return str(message)


def test_an_answer_with_its_protocol_reaches_the_hospital_as_conformant_flow_3(
    database: Database, system: HospitalSystem
) -> None:
    night = Night(database, system, Hl7Traffic.ANSWERS)
    night.request()
    night.engine.execute(
        REQUEST_CASE,
        lambda case, context: commands.send_protocol(
            case, context, author=PersonId("anna"), protocol_id="", text="Sans injection | 5 mm"
        ),
        at(3),
    )

    night.tell()

    (taken,) = system.taken
    assert taken.extract_field("ORC", 1, 1) == "OK"
    assert taken.extract_field("ORC", 1, 2, 1, 1) == "OPN101"
    assert taken.extract_field("ORC", 1, 2, 1, 3) == "1.2.250.1.748.12345678.12"
    assert "Sans injection | 5 mm" in taken.unescape(str(taken.segment("OBX")[5]))
    # Of the directory of this test nobody has a number of the register.
    assert {one.place for one in validate(text_of(taken))} <= {
        "ORC[1]-12", "ORC[1]-12.3", "ORC[1]-12.9.2", "ORC[1]-12.9.3", "ORC[1]-12.13", "OBR[1]-16",
    }  # fmt: skip


def test_a_refusal_reaches_the_hospital_with_its_motive(database: Database, system: HospitalSystem) -> None:
    night = Night(database, system, Hl7Traffic.ANSWERS)
    night.request()
    night.engine.execute(
        REQUEST_CASE,
        lambda case, context: commands.refuse(case, context, motive="IRM préférable", alternative="IRM à 22 h"),
        at(3), actor=Actor(who="anna", role="reader"),
    )  # fmt: skip

    night.tell()

    (taken,) = system.taken
    assert taken.extract_field("ORC", 1, 1) == "OC"
    assert taken.extract_field("ORC", 1, 16, 1, 2) == "IRM préférable\rIRM à 22 h"


def test_each_event_is_one_message_however_often_it_is_followed(database: Database, system: HospitalSystem) -> None:
    night = Night(database, system, Hl7Traffic.ORDER_STATUS)
    night.request()
    night.engine.execute(REQUEST_CASE, lambda case, context: commands.withdraw(case, context, motive="erreur"), at(3))

    night.tell()
    night.tell()

    (taken,) = system.taken
    assert (taken.extract_field("ORC", 1, 1), taken.extract_field("ORC", 1, 5)) == ("SC", "CA")
    assert taken.extract_field("ORC", 1, 16, 1, 1) == "request.withdrawn"
    assert is_good(validate(text_of(taken)))
    assert len(night.queued()) == 1


def test_an_order_of_the_form_is_told_to_the_hospitals_ris(database: Database, system: HospitalSystem) -> None:
    night = Night(database, system, Hl7Traffic.ORDERS)
    Hospital(database).sends(flow_1(), at=NIGHT)
    with database.write(durable=True) as connection:
        found = orders.find(connection, REQUESTED)
        assert found is not None
        orders.place(connection, replace(found, source="web", description="CT tête"), NIGHT + timedelta(minutes=1))
    asked = NewRequest(site_id=SiteId("north"), exam=ExamKind.HEAD, urgency=Urgency.P2, request_id=REQUESTED)
    night.engine.open_case(REQUEST_CASE, asked, at(0))

    night.tell()

    (taken,) = system.taken
    assert (taken.extract_field("ORC", 1, 1), taken.extract_field("OBR", 1, 24)) == ("NW", "CT")
    assert is_good(validate(text_of(taken)))


def test_a_hospital_is_told_only_what_its_entry_asks_for(database: Database, system: HospitalSystem) -> None:
    night = Night(database, system)
    night.request()

    night.tell()

    assert night.queued() == []


# Reports


def delivery(database: Database, address: str = "ris") -> Delivery:
    return Delivery(
        delivery_id="d" * 32, case_id=CASE, version=1, kind=VersionKind.FINAL,
        recipient_kind=RecipientKind.EMERGENCY_DEPARTMENT, recipient="north", channel=DeliveryChannel.HL7,
        address=address, planned_at=at(10),
    )  # fmt: skip


def way(database: Database, system: HospitalSystem, described: Any = describe) -> Hl7Way:
    hl7_settings, there = settings(system.port)
    return Hl7Way(MllpReports(database, hl7_settings, there, described))


def parcel(database: Database, address: str = "ris") -> Parcel:
    documents = {DocumentKind.PLAIN_TEXT: b"Pas d'h\xc3\xa9morragie.\n", DocumentKind.PDF: b"%PDF-1.7"}
    return Parcel(delivery=delivery(database, address), documents=lambda: documents)


def signed(database: Database, tmp_path: Any) -> None:
    ReportNight(SqlStore(database), tmp_path / "keys").sign()


def test_a_report_has_arrived_when_the_hospitals_system_has_acknowledged_it(
    database: Database, system: HospitalSystem, tmp_path: Any
) -> None:
    signed(database, tmp_path)

    outcome = way(database, system).deliver(parcel(database))

    assert outcome == Arrived(reference="d" * 20)
    (taken,) = system.taken
    assert (taken.extract_field("OBR", 1, 25), str(taken.segment("MSH")[10])) == ("F", "d" * 20)
    assert [str(obx[2]) for obx in taken.segments("OBX")] == ["ST", "FT", "ED"]
    assert is_good(validate(text_of(taken)))


@pytest.mark.parametrize("code", ["AE", "AR"])
def test_a_report_that_was_not_accepted_has_not_arrived(
    database: Database, system: HospitalSystem, tmp_path: Any, code: str
) -> None:
    signed(database, tmp_path)
    system.code = code

    assert way(database, system).deliver(parcel(database)) == NotArrived(reason=f"refused_{code}")


def test_nobody_who_answers_and_no_destination_are_told_apart(
    database: Database, system: HospitalSystem, tmp_path: Any
) -> None:
    signed(database, tmp_path)
    to_nobody = way(database, system)
    system.close()

    assert to_nobody.deliver(parcel(database)) == NotArrived(reason="no_answer")
    assert to_nobody.deliver(parcel(database, "elsewhere")) == NotArrived(reason="unknown_destination")


def test_a_report_whose_patient_is_not_certain_is_not_sent(
    database: Database, system: HospitalSystem, tmp_path: Any
) -> None:
    signed(database, tmp_path)

    def uncertain(_: Any) -> Any:
        raise NotDescribed("two_patients")

    assert way(database, system, uncertain).deliver(parcel(database)) == NotArrived(reason="two_patients")
    assert system.taken == []


def test_an_unknown_destination_is_said_by_its_own_name(database: Database, system: HospitalSystem) -> None:
    hl7_settings, _ = settings(system.port)
    port = MllpReports(database, hl7_settings, {}, describe)

    with pytest.raises(NoDestination):
        port.hand_over(
            Hl7Report(
                destination="x", control_id="c", case_id=CASE, version=1, kind=VersionKind.FINAL, text="", pdf=b""
            )
        )
