"""Reports signed through the engine: one commit with their event, deliveries and draft; once; by whom; for whom."""

from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from foundation.errors import PeerError, Refused, Unavailable
from oncall.case.event import Actor, CaseId
from oncall.case.log import verify_chain
from oncall.case.regions import DeliveryState, ReadingState, ReportState
from oncall.case.vocabulary import EventType as E
from oncall.directory import PersonId
from oncall.engine import paging
from oncall.engine.deliveries import UNREAD
from oncall.engine.ports import Store
from oncall.engine.reporting import IDENTITY, NotTheSigner, retraction_notice
from oncall.report import states
from oncall.report.signing import verify
from oncall.report.version import Signature, VersionKind
from tests.harness import reports
from tests.harness.report_night import CASE, SEEN, ReportNight
from tests.harness.small_territory import at, directory, engine, in_force, ready_case

K = VersionKind
TEXT: Final = reports.content()
COORDINATOR: Final = Actor(who="coline", role="coordinator")


# Rules are the same on every store; what databases do is in test_stored_reports.py.
pytestmark = pytest.mark.parametrize("store", ["memory"], indirect=True)


@pytest.fixture
def night(store: Store, tmp_path: Path) -> ReportNight:
    return ReportNight(store, tmp_path / "keys")


def types_of(night: ReportNight) -> list[str]:
    return [event.type for event in night.store.events_of(CASE)]


def test_a_final_version_is_signed_stored_and_known_to_its_case(night: ReportNight) -> None:
    signed = night.sign()

    case = night.engine.case(CASE)
    assert night.store.versions_of(CASE) == (signed,)
    assert verify(signed.signature, signed.digest)
    version = signed.version
    assert (version.version, version.kind, version.patient_key, version.seen) == (1, K.FINAL, "key-north", SEEN)
    assert (version.author.name, version.author.organisation) == (night.reader.capitalize(), "Pool")
    assert case.report.versions[-1].content_hash == signed.digest
    assert (case.reading.state, case.report.signed_at) == (ReadingState.DONE, at(10))


def test_the_same_words_signed_again_are_the_same_version_whenever_asked(night: ReportNight) -> None:
    first = night.sign(words=TEXT)
    events = types_of(night)

    again = night.sign(minutes=12, words=TEXT)
    elsewhere = night.sign(minutes=13, words=TEXT, runner=engine(night.store, worker="two"))

    assert first == again == elsewhere
    assert types_of(night) == events


def test_other_words_are_refused_once_a_report_is_signed(night: ReportNight) -> None:
    night.sign()

    with pytest.raises(Refused, match="never changes"):
        night.sign(minutes=11)
    assert len(night.store.versions_of(CASE)) == 1


def test_versions_follow_each_other_in_one_chain(night: ReportNight) -> None:
    for minutes, kind in enumerate(
        (K.PRELIMINARY, K.PRELIMINARY, K.FINAL, K.ADDENDUM, K.REPLACEMENT, K.ADDENDUM, K.RETRACTION), start=10
    ):
        night.sign(kind, minutes)

    history = night.store.versions_of(CASE)
    states.ensure_history(history)
    case = night.engine.case(CASE)
    assert [one.version for one in case.report.versions] == [1, 2, 3, 4, 5, 6, 7]
    assert [one.content_hash for one in case.report.versions] == [one.digest for one in history]
    assert (case.report.state, case.report.retracted) == (ReportState.RETRACTED, (6,))
    verify_chain(CASE, night.store.events_of(CASE))


def test_a_preliminary_version_leaves_the_hour_running_and_the_case_claimed(night: ReportNight) -> None:
    night.sign(K.PRELIMINARY)

    case = night.engine.case(CASE)
    assert (case.report.signed_at, case.reading.state, case.is_ready) == (None, ReadingState.CLAIMED, True)
    assert night.sign(minutes=20).version.version == 2
    assert night.engine.case(CASE).report.signed_at == at(20)


@pytest.mark.parametrize("kind", [K.PRELIMINARY, K.FINAL])
def test_only_the_reader_who_has_opened_the_case_signs_what_they_read(night: ReportNight, kind: VersionKind) -> None:
    with pytest.raises(NotTheSigner, match="another reader"):
        night.sign(kind, by="boris" if night.reader != "boris" else "anna")
    for uid in ("", "2.25.1"):
        with pytest.raises(NotTheSigner, match="C301"):
            night.sign(kind, uid=uid)
    assert night.store.versions_of(CASE) == ()


def test_nobody_signs_what_nobody_has_opened(store: Store, tmp_path: Path) -> None:
    night = ReportNight(store, tmp_path / "keys")
    ready_case(night.engine, "C2", at(7))

    with pytest.raises(Refused, match="open the case first"):
        night.engine.sign_report(
            CaseId("C2"), PersonId("anna"), reports.content(), at(8), signer_port=night.keys, transaction_uid=""
        )


@pytest.mark.parametrize("who", ["emma", "coline", "nobody"])
def test_who_is_no_radiologist_signs_nothing(night: ReportNight, who: str) -> None:
    night.sign()

    with pytest.raises(NotTheSigner, match="only a radiologist"):
        night.sign(K.ADDENDUM, 20, by=who)


def test_a_reader_without_a_convention_with_the_hospital_adds_nothing(store: Store, tmp_path: Path) -> None:
    night = ReportNight(store, tmp_path / "keys")
    night.sign()
    known = directory()
    persons = {**known.persons, PersonId("serge"): replace(known.persons[PersonId("serge")], privileges=frozenset())}
    runner = engine(store, in_force(people=replace(known, persons=persons)), worker="two")

    with pytest.raises(NotTheSigner, match="no_privilege north"):
        night.sign(K.ADDENDUM, 20, by="serge", runner=runner)
    assert night.sign(K.ADDENDUM, 20, by="serge").version.author.person_id == "serge"


def test_a_retraction_is_a_notice_of_its_own_and_the_case_goes_to_a_reader_again(night: ReportNight) -> None:
    first = night.sign()
    notice = retraction_notice(first.version, "mauvais patient")

    signed = night.sign(K.RETRACTION, 20, words=notice, reason="mauvais patient")

    case = night.engine.case(CASE)
    assert (signed.version.version, signed.version.replaces, signed.version.content) == (2, 1, notice)
    assert night.store.versions_of(CASE) == (first, signed)
    assert case.is_ready
    assert case.reading.state in {ReadingState.QUEUED, ReadingState.ASSIGNED}
    assert case.report.signed_at is None
    assert night.store.timers_of(CASE) != ()


def test_a_retraction_of_a_closed_case_opens_it(night: ReportNight) -> None:
    night.sign()
    night.engine.execute(CASE, lambda case, context: (context.fact(E.CASE_CLOSED, reason="told by phone"),), at(15))

    night.sign(K.RETRACTION, 20)

    assert night.engine.case(CASE).is_open


def test_a_reason_is_wanted_where_the_hospital_must_know_why(night: ReportNight) -> None:
    night.sign()

    with pytest.raises(PeerError, match="says why"):
        night.sign(K.ADDENDUM, 20, reason="")


def test_words_no_document_can_hold_are_not_signed(night: ReportNight) -> None:
    with pytest.raises(PeerError, match="control character"):
        night.sign(words=reports.content(results="a\x00b"))
    assert night.engine.case(CASE).report.version == 0


def test_a_service_that_signs_something_else_signs_nothing(night: ReportNight) -> None:
    class Wrong:
        def sign(self, key_id: str, digest: str) -> Signature:
            return night.keys.sign(key_id, digest[::-1])

    with pytest.raises(Unavailable, match="not what was asked for"):
        night.sign(port=Wrong())
    assert night.store.versions_of(CASE) == ()
    assert night.engine.case(CASE).report.version == 0


def test_two_who_sign_at_once_make_one_version_and_one_signature_each(store: Store, tmp_path: Path) -> None:
    night = ReportNight(store, tmp_path / "keys")
    other = engine(store, worker="two")
    asked: list[str] = []

    class Slow:
        """Signs while somebody else commits, as a service does that asks its card holder."""

        def sign(self, key_id: str, digest: str) -> Signature:
            asked.append(digest)
            if len(asked) == 1:
                ready_case(other, "C2", at(9))
            return night.keys.sign(key_id, digest)

    signed = night.sign(port=Slow())

    assert asked == [signed.digest]
    assert night.store.versions_of(CASE) == (signed,)


def test_the_patient_of_a_signed_report_changes_and_everybody_is_told(night: ReportNight) -> None:
    signed = night.sign()
    night.engine.settle_identity(CASE, "key-2", at(30), actor=COORDINATOR, reason="bracelets were exchanged")

    case = night.engine.case(CASE)
    assert night.store.versions_of(CASE) == (signed,)
    assert (case.is_signed_for_another, case.report.versions[0].patient_key) == (True, "key-north")
    assert types_of(night).count(E.REPORT_IDENTITY_CHANGED) == 1
    assert (case.delivery.state, case.delivery.acknowledged_at) == (DeliveryState.SENT, None)
    assert all(paging.running_chain(case, mark) for mark in (UNREAD, IDENTITY))

    again = night.sign(K.REPLACEMENT, 40, words=signed.version.content, reason="identité corrigée")

    after = night.engine.case(CASE)
    assert again.version.patient_key == "key-2"
    assert not after.is_signed_for_another
    assert paging.running_chain(after, IDENTITY) is None
    assert paging.running_chain(after, UNREAD) is not None
    night.engine.run_due(at(50))
    assert types_of(night).count(E.REPORT_IDENTITY_CHANGED) == 1


def test_a_notice_of_retraction_is_for_the_patient_whose_record_has_the_report(night: ReportNight) -> None:
    night.sign()
    night.engine.settle_identity(CASE, "key-2", at(30), actor=COORDINATOR, reason="bracelets were exchanged")

    notice = night.sign(K.RETRACTION, 40)

    case = night.engine.case(CASE)
    assert notice.version.patient_key == "key-north"
    assert paging.running_chain(case, IDENTITY) is None
    assert case.is_ready


def test_nothing_is_signed_while_nobody_knows_whose_it_is(night: ReportNight) -> None:
    night.engine.execute(
        CASE, lambda case, context: (context.fact(E.IDENTITY_MISMATCH_BLOCKED, reason="two bracelets"),), at(7)
    )

    for kind in (K.PRELIMINARY, K.FINAL):
        with pytest.raises(Refused, match="identity"):
            night.sign(kind)
