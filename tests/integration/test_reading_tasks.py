"""Reading tasks as work items: they follow the case, and what clients ask of them the engine decides (UPS-RS)."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import requests
from websockets.sync.client import connect

from oncall.case import commands
from oncall.case.event import CaseId
from oncall.case.regions import ReadingState
from oncall.case.state import Case
from oncall.directory import PersonId, SiteId
from oncall.engine.in_force import InForce
from oncall.followers import Followers
from pacs.archive.query_values import Item
from pacs.worklist.attribute_list import to_json
from pacs.worklist.ups import attributes as tag
from territory.oncall_web.access import Access, Holder, May
from territory.reading_task_attributes import task_uid
from territory.reading_tasks import ReadingTaskProjection
from tests.harness.oncall_web import SECRET, SITES, Web, demo_in_force, open_case, served
from tests.harness.workitems import performed

JSON = "application/dicom+json"
LOCK = "1.2.3.4"
PERFORMERS = "00404034"


@cache
def rules() -> InForce:
    """Return what is in force: reckoned once, because half a year of shifts takes seconds."""
    return demo_in_force()


@dataclass(frozen=True)
class Night:
    """The pages and the worklist on one case, which has been opened and whose images are complete."""

    web: Web
    followers: Followers
    case_id: str

    @property
    def case(self) -> Case:
        self.web.engine.open_cases(self.web.clock.now())
        return self.web.engine.case(CaseId(self.case_id))

    @property
    def reader(self) -> PersonId:
        reader = self.case.reading.assigned_to
        assert reader is not None
        return reader

    def uid(self, number: int = 1) -> str:
        return task_uid(CaseId(self.case_id), number)

    def ask(self, method: str, path: str, sent: Item | None = None, who: str = "") -> requests.Response:
        body = None if sent is None else json.dumps([to_json(sent)])
        headers = {"Accept": JSON, "Content-Type": JSON, "Authorization": f"Bearer {who or self.reader}"}
        address = f"http://127.0.0.1:{self.web.port}/dicom-web/workitems{path}"
        return requests.request(method, address, data=body, headers=headers, timeout=20)

    def shown(self, number: int = 1, who: str = "desk") -> dict[str, Any]:
        self.followers.take()
        answer = self.ask("GET", f"/{self.uid(number)}", who=who)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()[0]
        return found

    def state(self, number: int = 1) -> str:
        return str(self.shown(number)["00741000"]["Value"][0])

    def change(self, state: str, lock: str = LOCK, number: int = 1, who: str = "") -> requests.Response:
        asked = {tag.PROCEDURE_STEP_STATE: tag.value("CS", state), tag.TRANSACTION_UID: tag.value("UI", lock)}
        return self.ask("PUT", f"/{self.uid(number)}/state", asked, who)


def holders() -> dict[str, Holder]:
    people = {person_id: Holder(who=person_id, may=frozenset({May.READ})) for person_id in rules().directory.persons}
    return {
        **people,
        "desk": Holder(who="desk", may=frozenset({May.COORDINATE})),
        "north": Holder(who="ris-north", may=frozenset({May.REQUEST}), sites=frozenset({SiteId(SITES[0])})),
        "south": Holder(who="ris-south", may=frozenset({May.REQUEST}), sites=frozenset({SiteId(SITES[1])})),
    }


@pytest.fixture
def night(tmp_path: Path) -> Iterator[Night]:
    known = {hashlib.sha256(token.encode()).hexdigest(): holder for token, holder in holders().items()}
    anybody = Holder(who="form", may=frozenset(May), authentication="open-loopback")
    with served(tmp_path, rules(), Access(holders=known, anybody=anybody)) as web:
        projection = ReadingTaskProjection(web.database, SECRET, lambda now: rules().directory, node_aet="TELEGARDE")
        followers = Followers(web.database, [projection], web.clock)
        yield Night(web=web, followers=followers, case_id=open_case(web))


def complete(night: Night) -> None:
    night.web.engine.complete_images(CaseId(night.case_id), night.web.clock.now(), rule="button")
    night.followers.take()


def test_a_request_is_a_task_that_waits_for_its_images(night: Night) -> None:
    shown = night.shown()

    assert shown["00741000"]["Value"] == ["SCHEDULED"]
    assert shown["00404041"]["Value"] == ["UNAVAILABLE"]
    assert shown["00741202"]["Value"] == ["ONCALL"]
    assert shown["00100020"]["Value"] == ["IPP-4711"], "as the order says, whose key is the case's"


def test_complete_images_make_it_ready_with_reader_and_deadline(night: Night) -> None:
    complete(night)

    shown, case = night.shown(), night.case
    performer = shown[PERFORMERS]["Value"][0]
    person = rules().directory.persons[night.reader]
    assert shown["00404041"]["Value"] == ["READY"]
    assert performer["00404009"]["Value"][0]["00080100"]["Value"] == [person.rpps or person.person_id]
    assert case.images.deadline_at is not None
    assert shown["00404011"]["Value"] == [f"{case.images.deadline_at:%Y%m%d%H%M%S}+0000"]
    assert shown["00741200"]["Value"] == ["MEDIUM"]
    assert shown["00404018"]["Value"][0]["00080100"]["Value"] == ["110005"]


def test_the_assigned_worklist_of_a_reader_is_one_query(night: Night) -> None:
    complete(night)
    person = rules().directory.persons[night.reader]
    code = person.rpps or person.person_id

    found = night.ask("GET", f"?00741000=SCHEDULED&00404041=READY&00404034.00404009.00080100={code}&00741202=ONCALL")
    nobody = night.ask("GET", "?00404034.00404009.00080100=99999999999")

    assert [one["00080018"]["Value"] for one in found.json()] == [[night.uid()]]
    assert nobody.status_code == 204


def test_a_claim_opens_the_case_for_who_holds_the_token(night: Night) -> None:
    complete(night)

    assert night.change("IN PROGRESS").status_code == 200

    reading = night.case.reading
    assert (reading.state, reading.claimed_by, reading.transaction_uid) == (ReadingState.CLAIMED, night.reader, LOCK)
    assert night.state() == "IN PROGRESS"
    again = night.change("IN PROGRESS", "1.2.3.5", who=next(one for one in holders() if one != night.reader))
    assert again.status_code == 409


def test_what_was_claimed_on_a_page_is_in_progress_at_once_and_locked(night: Night) -> None:
    complete(night)
    now = night.web.clock.now()
    night.web.engine.claim(CaseId(night.case_id), night.reader, now, transaction_uid="1.2.9")

    answer = night.change("IN PROGRESS")

    assert answer.status_code == 409, "the row is written before the request is decided, without the follower"
    assert night.state() == "IN PROGRESS"
    assert night.case.reading.transaction_uid == "1.2.9"


def test_who_is_not_on_duty_claims_nothing(night: Night) -> None:
    complete(night)
    duty = {one.person_id for one in rules().timeline.on_duty(night.web.clock.now())}
    directory = rules().directory
    off = next(one for one, person in sorted(directory.persons.items()) if one not in duty and person.privileges)

    assert night.change("IN PROGRESS", who=off).status_code == 403
    assert night.state() == "SCHEDULED"


def test_before_the_images_are_there_nobody_claims(night: Night) -> None:
    duty = {one.person_id for one in rules().timeline.on_duty(night.web.clock.now())}
    night.followers.take()

    answer = night.change("IN PROGRESS", who=sorted(duty)[0])

    assert answer.status_code == 403
    assert night.state() == "SCHEDULED"


def test_a_client_cannot_complete_what_was_not_signed_and_the_signature_completes_it(night: Night) -> None:
    complete(night)
    night.change("IN PROGRESS")
    assert night.ask("POST", f"/{night.uid()}?{LOCK}", performed()).status_code == 200

    refused = night.change("COMPLETED")
    assert refused.status_code == 409
    assert night.case.report.signed_at is None

    night.web.clock.advance(timedelta(minutes=12))
    night.web.engine.sign(CaseId(night.case_id), night.reader, night.web.clock.now(), transaction_uid=LOCK)
    answer = night.change("COMPLETED")

    assert answer.status_code == 200
    assert answer.headers["Warning"].endswith("The UPS is already in the requested state of COMPLETED.")
    item = night.shown()["00741216"]["Value"][0]
    assert item["00404028"]["Value"][0]["00080100"]["Value"] == ["WS1"], "what the performer reported stays"
    assert item["00404035"]["Value"][0]["00404037"]["Value"]


def test_giving_back_cancels_the_work_item_and_another_replaces_it(night: Night) -> None:
    complete(night)
    night.change("IN PROGRESS")
    reason = tag.sequence({tag.REASON_FOR_CANCELLATION: tag.value("LT", "called to theatre")})
    night.ask("POST", f"/{night.uid()}?{LOCK}", {tag.PROGRESS_INFORMATION_SEQUENCE: reason})

    assert night.change("CANCELED").status_code == 200

    assert night.case.reading.work_item == 2
    assert (night.state(1), night.state(2)) == ("CANCELED", "SCHEDULED")
    replaced = night.shown(2)["00741224"]["Value"][0]
    assert replaced["00081155"]["Value"] == [night.uid(1)]
    progress = night.shown(1)["00741002"]["Value"][0]
    assert progress["00741238"]["Value"] == ["called to theatre"]
    assert night.change("IN PROGRESS", "1.2.3.6", 1).status_code == 409, "it has another lock, and has ended"


def test_a_case_that_is_reopened_after_its_end_has_another_work_item(night: Night) -> None:
    complete(night)
    now, case_id = night.web.clock.now(), CaseId(night.case_id)
    night.web.engine.execute(case_id, lambda case, context: commands.withdraw(case, context, motive="moved"), now)
    assert night.state(1) == "CANCELED"
    night.web.engine.execute(case_id, lambda case, context: commands.close(case, context, reason="moved"), now)
    night.web.engine.execute(case_id, lambda case, context: commands.reopen(case, context, reason="back"), now)

    assert (night.state(1), night.state(night.case.reading.work_item)) == ("CANCELED", "SCHEDULED")
    assert night.case.reading.work_item > 1


def test_only_the_requesting_hospital_withdraws(night: Night) -> None:
    complete(night)
    path = f"/{night.uid()}/cancelrequest"
    said = {tag.REASON_FOR_CANCELLATION: tag.value("LT", "patient transferred")}

    assert night.ask("POST", path, said, who="south").status_code == 404
    assert night.ask("POST", path, said, who="desk").status_code == 409
    assert night.ask("POST", path, said, who="north").status_code == 202

    assert night.case.reading.state is ReadingState.CANCELLED
    assert night.state() == "CANCELED"


def test_a_coordinator_names_another_reader_who_may_read(night: Night) -> None:
    complete(night)
    first = night.reader
    directory = rules().directory
    duty = [one.person_id for one in rules().timeline.on_duty(night.web.clock.now())]

    def name(code: str, who: str = "desk") -> requests.Response:
        performer = {tag.HUMAN_PERFORMER_CODE_SEQUENCE: tag.sequence({tag.CODE_VALUE: tag.value("SH", code)})}
        sent = {tag.SCHEDULED_HUMAN_PERFORMERS_SEQUENCE: tag.sequence(performer)}
        return night.ask("POST", f"/{night.uid()}", sent, who)

    assert name("99999999999").status_code == 400
    assert name(str(first), who=str(first)).status_code == 403
    others = [one for one in duty if one != first]
    given = [name(directory.persons[one].rpps or str(one)).status_code for one in others]

    assert set(given) <= {200, 403}
    assert 200 in given, "somebody else on duty may read it"
    assert night.case.reading.assigned_to == others[max(at for at, status in enumerate(given) if status == 200)]


def test_the_case_alone_says_what_a_task_is(night: Night) -> None:
    complete(night)

    answer = night.ask("POST", f"/{night.uid()}", {tag.PRIORITY: tag.value("CS", "LOW")}, who="desk")

    assert answer.status_code == 400
    assert night.shown()["00741200"]["Value"] == ["MEDIUM"]


def test_a_reader_hears_that_a_case_is_assigned(night: Night) -> None:
    night.followers.take()
    base = f"http://127.0.0.1:{night.web.port}/dicom-web/workitems/1.2.840.10008.5.1.4.34.5.1/subscribers/READER"
    headers = {"Authorization": "Bearer desk"}
    address = requests.post(f"{base}?filter=00741202=ONCALL", headers=headers, timeout=20).headers["Content-Location"]

    with connect(address, additional_headers=headers) as channel:
        complete(night)
        heard = [json.loads(channel.recv(timeout=10)) for _ in range(2)]

    assert [one["00001002"]["Value"] for one in heard] == [[1], [5]]
    assert heard[0]["00404041"]["Value"] == ["READY"]
    assert heard[1][PERFORMERS]["Value"]


def test_a_case_as_it_was_before_never_leads_a_work_item_back(night: Night) -> None:
    complete(night)
    before_the_claim = night.case
    night.change("IN PROGRESS")
    projection = ReadingTaskProjection(night.web.database, SECRET, lambda now: rules().directory, node_aet="TELEGARDE")

    with night.web.database.write(durable=True) as connection:
        projection.write(connection, before_the_claim, night.web.clock.now())

    assert night.state() == "IN PROGRESS"


def test_following_again_changes_and_tells_nothing(night: Night) -> None:
    complete(night)
    before = night.shown()
    projection = ReadingTaskProjection(night.web.database, SECRET, lambda now: rules().directory, node_aet="TELEGARDE")
    night.web.clock.advance(timedelta(minutes=1))

    with night.web.database.write(durable=True) as connection:
        projection.write(connection, night.case, night.web.clock.now())

    assert night.shown() == before
