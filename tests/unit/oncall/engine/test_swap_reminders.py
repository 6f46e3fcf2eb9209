"""Swap requests that wait are brought before those who can settle them: once for each reminder, whoever looks."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Final

import pytest

from foundation.database import Database, sqlite_url
from oncall.directory import ChannelKind, LineId, PersonId
from oncall.engine.ports import Changes, HeadMoved, MemoryStore, SwapChange
from oncall.engine.sql_store import SqlStore
from oncall.roster_publication import SWAP_CHANGED
from oncall.rota import swap_store
from oncall.rota.swaps import SwapPart, SwapRequest, SwapState
from oncall.spans import Span
from oncall.timers import Timer
from tests.harness.small_territory import BEGIN, CHANGE, engine, memory_store

ANNA: Final = PersonId("anna")
ASKED: Final = BEGIN - timedelta(days=10)
WEEK: Final = BEGIN - timedelta(weeks=1)

DIANES: Final = SwapPart(
    line_id=LineId("reader1"), person_id=PersonId("diane"), span=Span(start=CHANGE, end=CHANGE + timedelta(hours=9))
)


def request(**changes: object) -> SwapRequest:
    given = SwapPart(line_id=LineId("reader1"), person_id=ANNA, span=Span(start=BEGIN, end=CHANGE))
    return replace(SwapRequest(swap_id="s1", given=given, created_at=ASKED), **changes)  # type: ignore[arg-type]  # fields


def kept(asked: SwapRequest) -> MemoryStore:
    store = memory_store()
    store.swaps[asked.swap_id] = asked
    return store


def told(store: MemoryStore) -> list[str]:
    """Return who had a first message of each reminder, in order."""
    keys = [one.message_key for one in store.messages.events if one.happened == "queued" and "/" not in one.message_key]
    return [key.split(":")[2] for key in keys if key.startswith("swap:")]


def test_everybody_who_may_take_a_shift_is_reminded_once_a_week_before_it() -> None:
    store = kept(request())
    first, second = engine(store), engine(store, worker="two")

    first.run_due(WEEK - timedelta(minutes=1))
    assert told(store) == []
    for minutes in (14, 29, 44):
        first.run_due(WEEK + timedelta(minutes=minutes))
        second.run_due(WEEK + timedelta(minutes=minutes))

    assert told(store) == ["basile", "boris", "bruno", "diane", "serge"]
    assert store.swaps["s1"].reminded_at == WEEK + timedelta(minutes=14)


@pytest.mark.parametrize(
    ("asked", "who"),
    [
        (request(offered_to=frozenset({PersonId("boris")})), ["boris"]),
        (request(wanted=DIANES), ["diane"]),
        (request(state=SwapState.TAKEN, taken_by=PersonId("boris"), needs_approval=True), ["coline"]),
    ],
    ids=["those it is offered to", "whose shift is wanted", "managers when it waits for approval"],
)
def test_a_reminder_goes_to(asked: SwapRequest, who: list[str]) -> None:
    store = kept(asked)

    engine(store).run_due(WEEK + timedelta(minutes=1))

    assert told(store) == who


def test_a_request_whose_shift_has_begun_is_past_due_and_reminds_nobody() -> None:
    store = kept(request())

    engine(store).run_due(BEGIN + timedelta(minutes=1))

    assert store.swaps["s1"].state is SwapState.PAST_DUE
    assert told(store) == []


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        (request(state=SwapState.TAKEN, taken_by=PersonId("boris")), "suit la garde, déplacée: reader1 24/10 18:30"),
        (request(state=SwapState.WITHDRAWN, taken_by=PersonId("boris")), "reader1 24/10 18:30 est close"),
    ],
    ids=["moved", "closed"],
)
def test_who_asked_and_who_took_it_are_told_once_what_became_of_a_request(changed: SwapRequest, says: str) -> None:
    store = memory_store()
    store.timers.put(
        Timer(timer_key="swap_changed:s1", kind=SWAP_CHANGED, due_at=WEEK, payload=swap_store.values_of(changed))
    )

    engine(store).run_due(WEEK)
    engine(store, worker="two").run_due(WEEK + timedelta(minutes=1))

    assert told(store) == ["anna", "boris"]
    waiting = store.messages.lease(ChannelKind.SMS, WEEK, worker="w", limit=9).messages
    assert [says in message.text for message in waiting] == [True, True]


def test_a_reminder_never_puts_a_request_back_to_where_its_shift_was() -> None:
    seen = request()
    store = kept(replace(seen, given=replace(seen.given, span=Span(start=BEGIN + timedelta(hours=1), end=CHANGE))))

    with pytest.raises(HeadMoved, match="somebody else"):
        store.commit(Changes(swaps=(SwapChange(seen, seen),)), head=0, worker="one", now=WEEK)


def test_in_a_database_a_reminder_is_saved_with_its_messages_and_a_request_taken_meanwhile_is_decided_on_again(
    tmp_path: Path,
) -> None:
    database = Database(sqlite_url(tmp_path / "oncall.sqlite"))
    database.create_tables()
    store, asked = SqlStore(database), request(offered_to=frozenset({PersonId("boris")}))
    with database.write(durable=True) as connection:
        swap_store.add(connection, asked, ASKED)

    engine(store).run_due(WEEK)

    (reminded,) = store.unsettled_swaps()
    assert reminded.reminded_at == WEEK
    taken = replace(reminded, state=SwapState.TAKEN, taken_by=PersonId("boris"))
    with database.write(durable=True) as connection:
        swap_store.save(connection, taken, WEEK, before=reminded)
    late = Changes(swaps=(SwapChange(reminded, reminded),))
    with pytest.raises(HeadMoved, match="somebody else"):
        store.commit(late, head=store.head(), worker="one", now=WEEK)
    assert store.unsettled_swaps() == (taken,)
    database.close()
