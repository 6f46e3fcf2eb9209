"""Workers deliver over real SMTP and HTTP, fail visibly, and never forget; the clock is moved by hand."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from benchmarks.peers.message_gateway import message_gateway
from foundation.clock import ManualClock
from foundation.database import Database
from foundation.errors import Unavailable
from oncall.channels.email import Security, SmtpChannel, SmtpRelay
from oncall.channels.http_gateway import HttpChannel, HttpGateway
from oncall.delivery.channels.email import EmailWay, mail
from oncall.delivery.channels.hl7 import Hl7Report, Hl7Way
from oncall.delivery.channels.port import Parcel
from oncall.delivery.documents import DICOM_KINDS, DocumentKind, Documents, DocumentStore, find
from oncall.delivery.model import DeliveryChannel, DeliveryState
from oncall.delivery.queue import Arrived, NotArrived, Outcome
from oncall.directory import ChannelKind
from oncall.report.version import VersionKind
from oncall.report_documents.source import DocumentSource
from tests.harness.deliveries import (
    STUDY,
    KeepingDoor,
    describe,
    happened,
    of_channel,
    small_documents,
    states,
    statuses,
    tell_case,
    worker,
)
from tests.harness.mail_relay import mail_relay
from tests.harness.report_night import CASE, ReportNight
from tests.harness.small_territory import at

C = DeliveryChannel
LINK = "https://oncall.example/oncall/reports/"


def mail_way(port: int) -> EmailWay:
    relay = SmtpRelay(host="127.0.0.1", port=port, sender="garde@telegarde.example", security=Security.NONE)
    return EmailWay(SmtpChannel(relay), LINK)


def test_a_mailbox_that_refuses_for_an_hour_gets_the_mail_once_when_it_accepts(
    database: Database, night: ReportNight
) -> None:
    night.sign()
    clock = ManualClock(at(10))
    with mail_relay() as relay:
        relay.is_closed = True
        sender = worker(database, clock, mail_way(relay.port))
        while clock.now() < at(70):
            sender.drain()
            clock.advance(timedelta(seconds=30))
        tried = of_channel(statuses(database, CASE), C.EMAIL)
        assert (tried.state, tried.reason, relay.taken) == (DeliveryState.FAILED, "refused_451", [])
        # Every 5 min at the end, and more often before: neither silent for long, nor a flood.
        assert 10 <= tried.attempts <= 30

        relay.is_closed = False
        clock.advance(timedelta(minutes=5))
        sender.drain()
        clock.advance(timedelta(hours=1))
        sender.drain()

        assert relay.recipients() == ["emma@oncall.example"]
    record = happened(database, tried.delivery.delivery_id)
    assert record.count("sending") == tried.attempts + 1
    assert record[-1] == "sent"
    tell_case(night, database, 140)
    assert night.engine.case(CASE).delivery.failures == 1


def test_a_mail_has_a_link_and_nothing_of_the_patient_or_the_report(database: Database, night: ReportNight) -> None:
    signed = night.sign()
    with mail_relay() as relay:
        worker(database, ManualClock(at(11)), mail_way(relay.port)).drain()
        ((_, taken),) = relay.taken
    text = f"{taken['Subject']}\n{taken.get_content()}"

    assert f"{LINK}{CASE}" in text
    content = signed.version.content
    secrets = (content.conclusion, content.title, content.results, "Doe", "P1", "key-north", STUDY)
    assert not [secret for secret in secrets if secret in text]


def test_each_kind_of_version_has_words_of_its_own_and_a_retraction_the_loudest(
    database: Database, night: ReportNight
) -> None:
    night.sign()
    delivery = of_channel(statuses(database, CASE), C.EMAIL).delivery
    said = {one: mail(replace(delivery, kind=one), LINK) for one in VersionKind}

    assert len({message.subject for message in said.values()}) == len(VersionKind)
    assert len({message.text for message in said.values()}) == len(VersionKind)
    assert [kind for kind in VersionKind if "DO NOT USE" in said[kind].subject] == [VersionKind.RETRACTION]


def test_a_gateway_over_http_carries_the_mail_where_it_is_configured(
    database: Database, night: ReportNight, tmp_path: Path
) -> None:
    night.sign()
    with message_gateway(tmp_path / "requests") as gateway:
        described = HttpGateway(
            kind=ChannelKind.EMAIL,
            url=gateway.url,
            body={"to": "{to}", "text": "{text}"},
            id_path=("messages", 0, "id"),
        )
        worker(database, ManualClock(at(11)), EmailWay(HttpChannel(described), LINK)).drain()
        rung = gateway.rung()

    assert len(rung) == 1
    assert states(database, CASE)[1, "email"] == "sent"


def test_a_channel_that_is_not_configured_fails_visibly_and_is_tried_again(
    database: Database, night: ReportNight
) -> None:
    night.sign()
    clock = ManualClock(at(11))
    sender = worker(database, clock)
    sender.drain()
    clock.advance(timedelta(minutes=1))
    sender.drain()

    mail_status = of_channel(statuses(database, CASE), C.EMAIL)
    assert (mail_status.state, mail_status.reason, mail_status.attempts) == (DeliveryState.FAILED, "no_channel", 2)


def test_the_page_has_the_version_although_no_document_can_be_made(database: Database, night: ReportNight) -> None:
    night.sign()
    worker(database, ManualClock(at(11)), door=KeepingDoor(failure="no_connection")).drain()
    tell_case(night, database, 12)

    assert (states(database, CASE)[1, "web"], states(database, CASE)[1, "archive"]) == ("delivered", "failed")
    assert night.engine.case(CASE).delivery.delivered_at == at(11)


def test_documents_are_made_once_and_every_repetition_sends_the_same_bytes(
    database: Database, night: ReportNight
) -> None:
    night.sign()
    door, clock = KeepingDoor(failure="rejected"), ManualClock(at(11))
    first = worker(database, clock, door=door)
    first.drain()
    door.failure = ""
    clock.advance(timedelta(minutes=1))
    worker(database, clock, door=door, name="two").drain()

    assert len(door.kept) == 3
    with database.read() as connection:
        kept = find(connection, CASE, 1)
    assert set(door.kept) == {kept[kind] for kind in DICOM_KINDS}


def test_documents_of_a_later_version_know_those_that_were_made_before(database: Database, night: ReportNight) -> None:
    night.sign()
    worker(database, ManualClock(at(11))).drain()
    night.sign(VersionKind.ADDENDUM, 20)
    seen: list[DocumentSource] = []

    def make(source: DocumentSource) -> Documents:
        seen.append(source)
        return small_documents(source)

    DocumentStore(database, describe, make, ManualClock(at(21))).of_version(CASE, 2)

    (source,) = seen
    assert [(one.version, one.kind) for one in source.stored_documents] == [(1, "sr"), (1, "pdf"), (1, "kos")]
    assert [one.version.version for one in source.history] == [1]


class AnsweringPort:
    """A hospital's interface that answers as it is told; the contract of `Hl7Port`."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.taken: list[Hl7Report] = []

    def hand_over(self, report: Hl7Report) -> str:
        self.taken.append(report)
        answer = self.answers.pop(0)
        if not answer:
            raise Unavailable("nobody answered")
        return answer


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        ("AA", Arrived), ("CA", Arrived),
        ("AE", NotArrived(reason="refused_AE")), ("AR", NotArrived(reason="refused_AR")),
        ("", NotArrived(reason="no_answer")), ("??", NotArrived(reason="not_understood")),
    ],
)  # fmt: skip
def test_only_an_accepting_acknowledgement_of_the_hospitals_system_is_delivery(
    database: Database, night: ReportNight, answer: str, outcome: Outcome | type[Outcome]
) -> None:
    night.sign()
    delivery = of_channel(statuses(database, CASE), C.WEB).delivery
    port = AnsweringPort(answer, answer)
    parcel = Parcel(delivery=delivery, documents=lambda: {DocumentKind.PLAIN_TEXT: b"text", DocumentKind.PDF: b"%PDF"})

    got = [Hl7Way(port).deliver(parcel) for _ in range(2)]

    assert got[0] == outcome if not isinstance(outcome, type) else isinstance(got[0], outcome)
    # What is handed over again has the id that it had.
    assert len({one.control_id for one in port.taken}) == 1
