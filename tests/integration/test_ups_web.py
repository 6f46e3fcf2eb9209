"""UPS-RS by independent clients: `requests` for the transactions, `websockets` for the channel (PS3.18 11)."""

import hashlib
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import requests
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

from oncall.directory import SiteId
from pacs.archive.query_values import Item
from pacs.worklist.attribute_list import to_json
from pacs.worklist.ups import attributes as tag
from pacs.worklist.ups import store
from territory.oncall_web.access import Access, Holder, May
from tests.harness.oncall_web import SITES, Web, demo_in_force, served
from tests.harness.workitems import discontinued, new_step, performed

JSON = "application/dicom+json"
GLOBAL = "1.2.840.10008.5.1.4.34.5"
FILTERED = "1.2.840.10008.5.1.4.34.5.1"
HOLDERS = {
    "reader": Holder(who="anna", may=frozenset({May.READ, May.REQUEST})),
    "north": Holder(who="ris-north", may=frozenset({May.REQUEST}), sites=frozenset({SiteId(SITES[0])})),
    "south": Holder(who="ris-south", may=frozenset({May.REQUEST}), sites=frozenset({SiteId(SITES[1])})),
    "wall": Holder(who="wall", may=frozenset({May.WATCH})),
}


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    holders = {hashlib.sha256(token.encode()).hexdigest(): holder for token, holder in HOLDERS.items()}
    place: Path = tmp_path_factory.mktemp("web")
    with served(place, demo_in_force(), Access(holders=holders)) as running:
        yield running


class Client:
    """One holder of a token, by `requests`."""

    def __init__(self, web: Web, who: str = "reader") -> None:
        self.base = f"http://127.0.0.1:{web.port}/dicom-web"
        self.token = who

    def ask(self, method: str, path: str, sent: Item | list[Item] | None = None, **headers: str) -> requests.Response:
        given = {"Accept": JSON, "Content-Type": JSON, "Authorization": f"Bearer {self.token}"}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        body = None
        if sent is not None:
            body = json.dumps([to_json(one) for one in sent] if isinstance(sent, list) else to_json(sent))
        return requests.request(method, f"{self.base}{path}", data=body, headers=given, timeout=20)

    def create(self, **changes: str) -> str:
        uid = f"2.25.{uuid4().int}"
        answer = self.ask("POST", f"/workitems?{uid}", [new_step(**changes)])
        assert answer.status_code == 201, answer.text
        return uid

    def change(self, uid: str, state: str, lock: str = "1.2.3.4") -> requests.Response:
        asked = {tag.PROCEDURE_STEP_STATE: tag.value("CS", state)}
        if lock:
            asked[tag.TRANSACTION_UID] = tag.value("UI", lock)
        return self.ask("PUT", f"/workitems/{uid}/state", asked)

    def state_of(self, uid: str) -> str:
        found: str = self.ask("GET", f"/workitems/{uid}").json()[0]["00741000"]["Value"][0]
        return found

    def channel(self, address: str) -> ClientConnection:
        return connect(address, additional_headers={"Authorization": f"Bearer {self.token}"})


@pytest.fixture
def client(web: Web) -> Client:
    return Client(web)


def told(channel: ClientConnection) -> tuple[str, int, str]:
    """Return the next event of a channel: work item, event type, state."""
    event: dict[str, Any] = json.loads(channel.recv(timeout=10))
    return (
        event["00001000"]["Value"][0],
        event["00001002"]["Value"][0],
        event.get("00741000", {}).get("Value", [""])[0],
    )


# The life of a work item


def test_a_work_item_is_created_claimed_updated_and_completed(client: Client) -> None:
    uid = client.create()

    assert client.change(uid, "IN PROGRESS").status_code == 200
    assert client.ask("POST", f"/workitems/{uid}?1.2.3.4", performed()).status_code == 200
    assert client.change(uid, "COMPLETED").status_code == 200

    again = client.change(uid, "COMPLETED")
    assert (again.status_code, client.state_of(uid)) == (200, "COMPLETED")
    assert again.headers["Warning"].endswith("The UPS is already in the requested state of COMPLETED.")


def test_a_new_work_item_says_where_it_is(client: Client) -> None:
    answer = client.ask("POST", "/workitems", [new_step()])

    assert answer.status_code == 201
    assert answer.headers["Location"] == answer.headers["Content-Location"]
    found = requests.get(
        answer.headers["Location"], headers={"Authorization": "Bearer reader", "Accept": JSON}, timeout=20
    )
    assert found.json()[0]["00100010"]["Value"] == [{"Alphabetic": "DUPONT^MARIE"}]
    assert "00081195" not in found.json()[0]


def test_what_is_filled_in_is_warned_of(client: Client) -> None:
    step = new_step()
    del step[tag.ADMISSION_ID]

    answer = client.ask("POST", "/workitems", [step])

    assert answer.status_code == 201
    assert answer.headers["Warning"].startswith("299 http://127.0.0.1")
    assert answer.headers["Warning"].endswith(": The Workitem was created with modifications.")


def test_of_two_who_claim_the_second_gets_a_conflict(client: Client) -> None:
    uid = client.create()
    client.change(uid, "IN PROGRESS", "1.2.3.4")

    second = client.change(uid, "IN PROGRESS", "1.2.3.5")

    assert second.status_code == 409
    assert second.headers["Warning"].endswith("The Transaction UID is incorrect.")


@pytest.mark.parametrize(
    ("state", "lock", "status", "warning"),
    [
        ("COMPLETED", "1.2.3.5", 400, "The Transaction UID is incorrect."),
        ("COMPLETED", "", 400, "The Transaction UID is missing."),
        (
            "IN PROGRESS",
            "1.2.3.4",
            409,
            "The submitted request is inconsistent with the current state of the Workitem.",
        ),
        ("COMPLETED", "1.2.3.4", 409, "The submitted request is inconsistent with the current state of the Workitem."),
        ("SCHEDULED", "1.2.3.4", 400, "a work item becomes SCHEDULED by its creation only."),
    ],
    ids=["another lock", "no lock", "claimed already", "no results yet", "back to scheduled"],
)
def test_each_refused_change_of_a_claimed_work_item_has_its_answer(
    client: Client, state: str, lock: str, status: int, warning: str
) -> None:
    uid = client.create()
    client.change(uid, "IN PROGRESS")

    answer = client.change(uid, state, lock)

    assert (answer.status_code, client.state_of(uid)) == (status, "IN PROGRESS")
    assert answer.headers["Warning"].endswith(warning)


def test_an_update_of_what_nobody_has_claimed_takes_no_transaction_uid(client: Client) -> None:
    uid = client.create()

    wrong = client.ask("POST", f"/workitems/{uid}?1.2.3.4", {tag.PRIORITY: tag.value("CS", "LOW")})
    right = client.ask("POST", f"/workitems/{uid}", {tag.PRIORITY: tag.value("CS", "LOW")})

    assert wrong.status_code == 409
    assert wrong.headers["Warning"].endswith("The target URI did not reference a claimed Workitem.")
    assert right.status_code == 200


def test_a_work_item_that_ended_is_updated_no_more(client: Client) -> None:
    uid = client.create()
    client.change(uid, "IN PROGRESS")
    client.ask("POST", f"/workitems/{uid}?transaction-uid=1.2.3.4", discontinued())
    assert client.change(uid, "CANCELED").status_code == 200

    assert client.ask("POST", f"/workitems/{uid}?1.2.3.4", performed()).status_code == 400


def test_a_cancel_request_is_accepted_and_cancels_what_nobody_has_claimed(client: Client) -> None:
    uid = client.create()

    answer = client.ask("POST", f"/workitems/{uid}/cancelrequest")

    assert (answer.status_code, client.state_of(uid)) == (202, "CANCELED")
    again = client.ask("POST", f"/workitems/{uid}/cancelrequest")
    assert again.headers["Warning"].endswith("The UPS is already in the requested state of CANCELED.")


def test_a_cancel_request_about_a_claimed_work_item_that_nobody_follows_is_a_conflict(client: Client) -> None:
    uid = client.create()
    client.change(uid, "IN PROGRESS")

    assert client.ask("POST", f"/workitems/{uid}/cancelrequest").status_code == 409


def test_an_unknown_work_item_is_not_found_and_a_taken_uid_is_a_conflict(client: Client) -> None:
    uid = client.create()

    assert client.ask("GET", "/workitems/1.2.3.99").status_code == 404
    assert client.change("1.2.3.99", "IN PROGRESS").status_code == 404
    assert client.ask("POST", f"/workitems?workitem={uid}", [new_step()]).status_code == 409


def test_what_was_here_and_has_been_removed_is_gone(web: Web, client: Client) -> None:
    uid = client.create()
    client.ask("POST", f"/workitems/{uid}/cancelrequest")

    with web.database.write(durable=True) as connection:
        store.purge(connection, web.clock.now() + store.FINAL_KEPT_FOR + timedelta(minutes=1))

    assert client.ask("GET", f"/workitems/{uid}").status_code == 410
    assert client.change(uid, "IN PROGRESS").status_code == 410
    assert client.ask("POST", f"/workitems?{uid}", [new_step()]).status_code == 409


# Searching


def test_the_assigned_worklist_is_one_query(client: Client) -> None:
    label = uuid4().hex[:16]
    performer = {tag.HUMAN_PERFORMER_CODE_SEQUENCE: tag.sequence({tag.CODE_VALUE: tag.value("SH", "10001234567")})}
    step = {**new_step(worklist=label), tag.SCHEDULED_HUMAN_PERFORMERS_SEQUENCE: tag.sequence(performer)}
    assert client.ask("POST", "/workitems", [step]).status_code == 201
    client.create(worklist=label)

    found = client.ask(
        "GET",
        f"/workitems?00741000=SCHEDULED&InputReadinessState=READY&00741202={label}"
        "&00404034.00404009.00080100=10001234567&includefield=PatientName",
    )

    assert (found.status_code, found.headers["Content-Type"]) == (200, JSON)
    assert [one["00741202"]["Value"] for one in found.json()] == [[label]]


def test_pages_of_an_answer_follow_each_other(client: Client) -> None:
    label = uuid4().hex[:16]
    uids = [client.create(worklist=label, due=f"2026102500{number:02d}00+0000") for number in range(5)]

    pages = [client.ask("GET", f"/workitems?WorklistLabel={label}&limit=2&offset={at}").json() for at in (0, 2, 4)]

    assert [one["00080018"]["Value"][0] for page in pages for one in page] == uids


@pytest.mark.parametrize(
    ("query", "status"),
    [("WorklistLabel=nobody", 204), ("NoSuchThing=1", 400), ("limit=many", 400), ("00404005=yesterday", 400)],
)
def test_a_query_without_meaning_is_refused_and_one_without_matches_is_empty(
    client: Client, query: str, status: int
) -> None:
    assert client.ask("GET", f"/workitems?{query}").status_code == status


# Who and what is let in


def test_without_a_token_or_with_one_for_watching_nothing_is_shown(web: Web) -> None:
    assert Client(web, "nobody").ask("GET", "/workitems").status_code == 401
    assert Client(web, "wall").ask("GET", "/workitems").status_code == 403


def test_a_hospital_sees_its_own_and_performs_nothing(web: Web) -> None:
    north, south = Client(web, "north"), Client(web, "south")
    uid = north.create()

    assert north.state_of(uid) == "SCHEDULED"
    assert south.ask("GET", f"/workitems/{uid}").status_code == 404
    assert north.change(uid, "IN PROGRESS").status_code == 403


def test_only_json_is_spoken(client: Client) -> None:
    uid = client.create()

    assert client.ask("GET", f"/workitems/{uid}", Accept="application/dicom+xml").status_code == 406
    xml = client.ask("POST", "/workitems", [new_step()], Content_Type="application/dicom+xml")
    assert xml.status_code == 415


@pytest.mark.parametrize("body", ["{", "[]", "[1]", '{"00741000": 1}', '{"zz": {"vr": "CS"}}', "[" * 200 + "]" * 200])
def test_what_is_no_data_set_is_refused(client: Client, body: str) -> None:
    headers = {"Content-Type": JSON, "Authorization": "Bearer reader"}

    answer = requests.post(f"{client.base}/workitems", data=body, headers=headers, timeout=20)

    assert answer.status_code == 400


def test_a_wrong_vr_is_put_right_and_one_that_hides_a_value_is_refused(client: Client) -> None:
    step = {**new_step(), tag.INPUT_READINESS_STATE: tag.value("LO", "READY")}
    made = client.ask("POST", "/workitems", [step])
    hidden = client.ask("POST", "/workitems", [{**new_step(), tag.PATIENT_NAME: tag.value("LO", "DUPONT")}])

    found = requests.get(
        made.headers["Location"], headers={"Authorization": "Bearer reader", "Accept": JSON}, timeout=20
    )
    assert found.json()[0]["00404041"] == {"vr": "CS", "Value": ["READY"]}
    assert hidden.status_code == 400


def test_a_page_of_another_site_changes_nothing(client: Client) -> None:
    uid = client.create()

    answer = client.ask("POST", f"/workitems/{uid}/cancelrequest", Sec_Fetch_Site="cross-site")

    assert (answer.status_code, client.state_of(uid)) == (403, "SCHEDULED")


# Subscriptions and the channel


def test_a_subscriber_hears_each_state_over_the_websocket(client: Client) -> None:
    uid, aet = client.create(), f"WS{uuid4().hex[:8]}"
    subscribed = client.ask("POST", f"/workitems/{uid}/subscribers/{aet}?deletionlock=false")
    assert subscribed.status_code == 201

    with client.channel(subscribed.headers["Content-Location"]) as channel:
        assert told(channel) == (uid, 1, "SCHEDULED")
        client.change(uid, "IN PROGRESS")
        assert told(channel) == (uid, 1, "IN PROGRESS")
        client.ask("POST", f"/workitems/{uid}/cancelrequest", {tag.REASON_FOR_CANCELLATION: tag.value("LT", "moved")})
        assert told(channel)[:2] == (uid, 2)


def test_a_filtered_subscription_hears_what_is_assigned_later(client: Client) -> None:
    label, aet = uuid4().hex[:16], f"WS{uuid4().hex[:8]}"
    assert client.ask("POST", f"/workitems/{FILTERED}/subscribers/{aet}").status_code == 400, "a filter is needed"
    subscribed = client.ask("POST", f"/workitems/{FILTERED}/subscribers/{aet}?filter=00741202={label}")

    with client.channel(subscribed.headers["Content-Location"]) as channel:
        client.create()
        uid = client.create(worklist=label)
        assert told(channel) == (uid, 1, "SCHEDULED")
        performer = {tag.HUMAN_PERFORMER_NAME: tag.value("PN", "MARTIN^ANNA")}
        client.ask("POST", f"/workitems/{uid}", {tag.SCHEDULED_HUMAN_PERFORMERS_SEQUENCE: tag.sequence(performer)})
        assert told(channel)[:2] == (uid, 5)
    assert client.ask("DELETE", f"/workitems/{FILTERED}/subscribers/{aet}").status_code == 200
    assert client.ask("DELETE", f"/workitems/{FILTERED}/subscribers/{aet}").status_code == 404


def test_a_connection_that_broke_goes_on_where_it_ended(client: Client) -> None:
    uid, aet = client.create(), f"WS{uuid4().hex[:8]}"
    address = client.ask("POST", f"/workitems/{uid}/subscribers/{aet}").headers["Content-Location"]
    with client.channel(address) as channel:
        assert told(channel) == (uid, 1, "SCHEDULED")
        client.change(uid, "IN PROGRESS")
        assert told(channel) == (uid, 1, "IN PROGRESS")

    client.ask("POST", f"/workitems/{uid}?1.2.3.4", performed())
    client.change(uid, "COMPLETED")

    with client.channel(address) as channel:
        heard = told(channel)
        # What was told just before the end may come twice; nothing is missed.
        assert told(channel) == (uid, 1, "COMPLETED") if heard[2] == "IN PROGRESS" else heard == (uid, 1, "COMPLETED")


def test_a_suspended_subscription_hears_of_nothing_new(client: Client) -> None:
    aet = f"WS{uuid4().hex[:8]}"
    address = client.ask("POST", f"/workitems/{GLOBAL}/subscribers/{aet}").headers["Content-Location"]
    with client.channel(address) as channel:
        first = client.create()
        assert told(channel) == (first, 1, "SCHEDULED")
        assert client.ask("POST", f"/workitems/{GLOBAL}/subscribers/{aet}/suspend").status_code == 200
        client.create()
        client.change(first, "IN PROGRESS")
        assert told(channel) == (first, 1, "IN PROGRESS")
    client.ask("DELETE", f"/workitems/{GLOBAL}/subscribers/{aet}")


def test_a_hospital_does_not_hear_of_another(web: Web) -> None:
    north, south, aet = Client(web, "north"), Client(web, "south"), f"WS{uuid4().hex[:8]}"
    address = north.ask("POST", f"/workitems/{GLOBAL}/subscribers/{aet}").headers["Content-Location"]

    south.create()
    uid = north.create()

    with north.channel(address) as channel:
        assert told(channel)[0] == uid
    north.ask("DELETE", f"/workitems/{GLOBAL}/subscribers/{aet}")


def test_a_channel_is_refused_to_strangers_other_holders_and_other_sites(web: Web, client: Client) -> None:
    uid, aet = client.create(), f"WS{uuid4().hex[:8]}"
    address = client.ask("POST", f"/workitems/{uid}/subscribers/{aet}").headers["Content-Location"]

    for who in ("nobody", "wall", "north"):
        with pytest.raises(InvalidStatus) as refused, Client(web, who).channel(address):
            pass
        assert refused.value.response.status_code == 403
    with (
        pytest.raises(InvalidStatus),
        connect(address, origin="http://evil.example", additional_headers={"Authorization": "Bearer reader"}),
    ):
        pass


def test_nobody_subscribes_under_the_title_of_a_dicom_peer_or_of_another(web: Web, client: Client) -> None:
    uid, aet = client.create(), f"WS{uuid4().hex[:8]}"
    client.ask("POST", f"/workitems/{uid}/subscribers/{aet}")

    assert client.ask("POST", f"/workitems/{uid}/subscribers/CT1").status_code == 403
    assert Client(web, "north").ask("POST", f"/workitems/{GLOBAL}/subscribers/{aet}").status_code == 403
    assert client.ask("POST", f"/workitems/{uid}/subscribers/a%5Cb").status_code == 400
