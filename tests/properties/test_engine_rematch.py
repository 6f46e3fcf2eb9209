"""Studies and requests that are joined, parted and moved all night: none is lost or in two cases, no hour moves.

The night of `tests.properties.test_engine_night` with its happenings and invariants, and the happenings of matching;
and a shorter night on both databases that must come out as in memory.
"""

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

import oncall.schema  # noqa: F401  # adds its tables to METADATA
from foundation.database import Database, sqlite_url
from foundation.errors import Refused
from foundation.outbox import OutboxEvent
from oncall.case import commands
from oncall.case.commands import Context
from oncall.case.event import Actor, CaseId
from oncall.case.intake_values import StudyDescription
from oncall.case.log import body_of, verify_chain
from oncall.case.regions import IdentityState, ImagesState, StudyKey
from oncall.case.state import Case, fold
from oncall.engine.engine import Engine
from oncall.engine.ports import MemoryStore, Store
from oncall.engine.sql_store import SqlStore
from oncall.reading.board import Urgency
from pacs.contracts import TOPIC_INSTANCES_STORED
from tests.harness.peers import PostgresqlServer
from tests.harness.small_territory import BEGIN, SITES, memory_store, request, run_until
from tests.properties.test_engine_night import OPEN, NightMachine, numbered, started

PHYSICIAN: Final = Actor(who="emma", role="physician")
PATIENTS: Final = ("", "key-1", "key-2")
SEEDS: Final = (8, 21)
ACCESSIONS: Final = ("", "A1", "A2")
KINDS: Final = ("CT", "US")
"""The first is an emergency at night, the other is not."""


class RematchMachine(NightMachine):
    """Beside everything else of a night, people find out what belongs together."""

    def __init__(self) -> None:
        super().__init__()
        self.studies: set[StudyKey] = set()
        self.described: dict[StudyKey, StudyDescription] = {}
        self.deadlines: dict[CaseId, datetime] = {}

    @initialize(
        patient=st.sampled_from(PATIENTS), accession=st.sampled_from(ACCESSIONS), modality=st.sampled_from(KINDS)
    )
    def there_is_something_to_match(self, patient: str, accession: str, modality: str) -> None:
        for key in ("", patient):
            self.images_come("north", "CT", key, accession, is_new=True, late_s=300)
            self.a_request_comes("north", patient, "A2")
        self.images_come("north", modality, patient, "", is_new=True, late_s=0)
        self.time_passes(2)

    def open_cases(self) -> list[Case]:
        return self.engine.open_cases(self.now)

    def describe(self, study: StudyKey, _study_pk: int | None) -> StudyDescription:
        return self.described[study]

    @rule(
        site=st.sampled_from(SITES), modality=st.sampled_from(KINDS), patient=st.sampled_from(PATIENTS),
        accession=st.sampled_from(ACCESSIONS), is_new=st.booleans(), late_s=st.sampled_from([0, 300]),
    )  # fmt: skip
    def images_come(self, site: str, modality: str, patient: str, accession: str, *, is_new: bool, late_s: int) -> None:
        """Images come, of a new study or the last one of the hospital; a relay may bring them late."""
        known = sorted(study for study in self.studies if study.issuer == site.upper())
        study = StudyKey(site.upper(), f"1.2.{len(self.studies)}") if is_new or not known else known[-1]
        self.studies.add(study)
        self.described.setdefault(study, StudyDescription(patient_key=patient, accession_number=accession))
        series = [{"series_instance_uid": "1.9", "modality": modality, "sop_instance_uids": ["1.9.1", "1.9.2"]}]
        payload = {
            "issuer": study.issuer,
            "study_instance_uid": study.study_instance_uid,
            "series": series,
            "calling_aet": f"CT_{study.issuer}",
        }
        stated_at_s = self.now.timestamp() - late_s
        event_id = len(self.store.stated) + 1
        self.store.stated.append(
            OutboxEvent(event_id=event_id, topic=TOPIC_INSTANCES_STORED, payload=payload, created_at_s=stated_at_s)
        )
        self.engine.take_outbox(self.now, self.describe)

    @rule(site=st.sampled_from(SITES), patient=st.sampled_from(PATIENTS), accession=st.sampled_from(ACCESSIONS))
    def a_request_comes(self, site: str, patient: str, accession: str) -> None:
        asked = replace(request(site), patient_key=patient, accession_number=accession)
        self.engine.open_case(CaseId(f"R{len(self.store.log)}"), asked, self.now, actor=PHYSICIAN)

    @rule(site=st.sampled_from(SITES), minutes=st.sampled_from([5, 90]))
    def a_patient_is_announced(self, site: str, minutes: int) -> None:
        expected = replace(request(site), patient_key="", expected_at=self.now + timedelta(minutes=minutes))
        self.engine.open_pre_alert(CaseId(f"P{len(self.store.log)}"), expected, self.now, actor=PHYSICIAN)

    @precondition(lambda self: self.studies)
    @rule(number=st.integers(0, 9), other=st.integers(0, 9), is_settled=st.booleans())
    def a_study_is_moved(self, number: int, other: int, *, is_settled: bool) -> None:
        study = sorted(self.studies)[number % len(self.studies)]
        case_id, cases = self.store.case_of_study(study), self.open_cases()
        if case_id is None or not cases:
            return
        target = cases[other % len(cases)]
        source = self.engine.case(case_id)
        try:
            after = self.engine.move_study(
                case_id, study, target.case_id, self.now, actor=PHYSICIAN, reason="r", is_patient_settled=is_settled
            )
        except Refused:
            return
        if target.images.deadline_at is None and source.images.state is ImagesState.COMPLETE:
            assert after.images.complete_at == source.images.complete_at
            assert after.images.deadline_at == source.images.deadline_at
        for case_id in {source.case_id, target.case_id} & self.claims.keys():
            if self.engine.case(case_id).reading.state not in OPEN:
                del self.claims[case_id]

    @precondition(lambda self: self.claims)
    @rule(number=st.integers(0, 9), is_given_back=st.booleans())
    def the_reader_signs_or_gives_back(self, number: int, is_given_back: bool) -> None:
        """A contradiction about the patient keeps everybody from signing until it is settled."""
        case_id = sorted(self.claims)[number % len(self.claims)]
        case = self.engine.case(case_id)
        if case.identity.state is IdentityState.BLOCKED and case.reading.state in OPEN:
            person, uid = self.claims[case_id]
            with pytest.raises(Refused, match="blocked"):
                self.engine.sign(case_id, person, self.now, transaction_uid=uid)
            return
        super().the_reader_signs_or_gives_back(number, is_given_back)

    @precondition(lambda self: self.open_cases())
    @rule(number=st.integers(0, 9), other=st.integers(0, 9), is_parted=st.booleans())
    def a_request_is_joined_or_parted(self, number: int, other: int, *, is_parted: bool) -> None:
        cases = self.open_cases()
        one, two = cases[number % len(cases)], cases[other % len(cases)]
        try:
            if is_parted and one.request.matched_from:
                request_id = CaseId(one.request.matched_from[-1])
                self.engine.part_request(one.case_id, request_id, self.now, actor=PHYSICIAN, reason="r")
            elif one.case_id != two.case_id and one.images.studies:
                self.engine.join_request(one.case_id, two.case_id, self.now, actor=PHYSICIAN, reason="r")
        except Refused:
            return

    @precondition(lambda self: self.open_cases())
    @rule(number=st.integers(0, 9), patient=st.sampled_from(PATIENTS[1:]), is_proven=st.booleans())
    def it_is_settled_who_it_is(self, number: int, patient: str, *, is_proven: bool) -> None:
        cases = self.open_cases()
        case = cases[number % len(cases)]
        try:
            if is_proven:
                self.engine.qualify_identity(case.case_id, patient, self.now, actor=PHYSICIAN, method="INS")
            else:
                self.engine.settle_identity(case.case_id, patient, self.now, actor=PHYSICIAN, reason="r")
        except Refused:
            return

    @rule(number=st.integers(0, 9), is_linked=st.booleans())
    def a_person_takes_an_unclaimed_study(self, number: int, *, is_linked: bool) -> None:
        kept, cases = self.engine.unclaimed_studies(self.now), self.open_cases()
        if not kept:
            return
        study = kept[number % len(kept)]
        try:
            if is_linked and cases:
                case_id = cases[number % len(cases)].case_id
                self.engine.link_study(case_id, study.study, self.now, actor=PHYSICIAN, reason="r")
            else:
                case_id = CaseId(f"U{len(self.store.log)}")
                said = request(str(study.site_id), urgency=Urgency.P1)
                self.engine.open_for_study(study.study, said, self.now, actor=PHYSICIAN, case_id=case_id)
        except Refused:
            return
        assert self.store.case_of_study(study.study) == case_id

    @invariant()
    def every_study_is_in_one_case_or_kept_without_one(self) -> None:
        held = Counter(study for case in self.engine.night.cases.values() for study in case.images.studies)
        unclaimed = {kept.study for kept in self.store.unclaimed_since(BEGIN)}
        for study in self.studies:
            key_is_apart = [one for one in held.keys() | unclaimed if one.issuer.startswith(f"{study.issuer}#")]
            assert held[study] + (study in unclaimed) == 1, (study, held[study], key_is_apart)
            assert (self.store.case_of_study(study) is None) == (study in unclaimed)

    @invariant()
    def no_deadline_has_moved(self) -> None:
        for case in self.engine.night.cases.values():
            if case.images.deadline_at is not None:
                assert self.deadlines.setdefault(case.case_id, case.images.deadline_at) == case.images.deadline_at

    @invariant()
    def nobody_is_paged_twice_for_one_step(self) -> None:
        keys = [event.fact.payload["message_key"] for _, event in self.store.log if event.type == "escalation.notified"]
        assert len(keys) == len(set(keys))


TestRematch = RematchMachine.TestCase
TestRematch.settings = settings(
    max_examples=30, stateful_step_count=30, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)  # fmt: skip


# The same short night in memory and in both databases


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    url = sqlite_url(tmp_path / "oncall.sqlite")
    if request.param == "postgresql":
        server: PostgresqlServer = request.getfixturevalue("postgresql_server")
        url = server.new_database(f"rematch_{uuid4().hex}")
    database = Database(url)
    database.create_tables()
    yield SqlStore(database)
    database.close()


def lived(store: Store, seed: int) -> list[str]:
    """Live through a night of matching; return its log."""
    dice = random.Random(seed)  # a seed, no secret
    runner: Engine = started(store, "one", numbered())  # type: ignore[arg-type]  # any store does
    now = BEGIN
    runner.run_due(now)
    for turn in range(40):
        now += timedelta(minutes=dice.choice([1, 3]))
        run_until(runner, now)
        patient, accession = dice.choice(PATIENTS), dice.choice(ACCESSIONS)
        asked = replace(request(), patient_key=patient, accession_number=accession)
        cases = runner.open_cases(now)
        one, two = dice.choice(cases or [None]), dice.choice(cases or [None])
        happening = dice.choice(["scan", "order", "order", "move", "join", "part", "settle", "read"])
        try:
            if happening == "scan":
                study = StudyKey("NORTH", f"1.2.{turn}")
                facts = commands.open_unannounced(asked, study, Context(now=now), rule="night", received=9)
                runner.record_opening(CaseId(f"S{turn}"), facts, now)
                runner.complete_images(CaseId(f"S{turn}"), now, rule="button")
            elif happening == "order":
                runner.open_case(CaseId(f"R{turn}"), asked, now)
            elif one is None or two is None:
                continue
            elif happening == "move" and one.images.studies:
                study = one.images.studies[0]
                runner.move_study(one.case_id, study, two.case_id, now, actor=PHYSICIAN, reason="r")
            elif happening == "join":
                runner.join_request(one.case_id, two.case_id, now, actor=PHYSICIAN, reason="r")
            elif happening == "part" and one.request.matched_from:
                gone = CaseId(one.request.matched_from[0])
                runner.part_request(one.case_id, gone, now, actor=PHYSICIAN, reason="r")
            elif happening == "read" and one.reading.assigned_to is not None:
                runner.claim(one.case_id, one.reading.assigned_to, now, transaction_uid=f"1.9.{turn}")
                runner.sign(one.case_id, one.reading.assigned_to, now, transaction_uid=f"1.9.{turn}")
            elif happening == "settle" and patient:
                runner.settle_identity(one.case_id, patient, now, actor=PHYSICIAN, reason="r")
        except Refused:
            continue
    prove(store, runner)
    return [body_of(event) for _, event in store.events_after(0)]


def prove(store: Store, runner: Engine) -> None:
    """Check that every log proves itself, folds to what the engine holds, and every study is where the store says."""
    for case_id, case in runner.night.cases.items():
        events = store.events_of(case_id)
        verify_chain(case_id, events)
        assert fold(events) == case
        for study in case.images.studies:
            assert store.case_of_study(study) == case_id
        assert bool(store.timers_of(case_id)) == case.is_open


@pytest.mark.parametrize("seed", SEEDS)
def test_a_night_of_matching_is_the_same_in_memory_and_in_a_database(store: Store, seed: int) -> None:
    in_memory: MemoryStore = memory_store()

    log = lived(store, seed)

    assert log == lived(in_memory, seed)
    assert any('"type":"images.last_unlinked"' in body for body in log)
    assert any('"type":"request.unmatched"' in body for body in log)
