"""Swap requests that wait are brought before those who can settle them: once for each reminder, whoever looks."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Final

import pytest

from foundation.database import Database, sqlite_url
from oncall.directory import LineId, PersonId
from oncall.engine.ports import Changes, HeadMoved, MemoryStore, SwapChange
from oncall.engine.sql_store import SqlStore
from oncall.rota import swap_store
from oncall.rota.swaps import SwapPart, SwapRequest, SwapState
from oncall.spans import Span
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
        swap_store.save(connection, taken, WEEK, was=SwapState.OPEN)
    late = Changes(swaps=(SwapChange(reminded, SwapState.OPEN),))
    with pytest.raises(HeadMoved, match="somebody else"):
        store.commit(late, head=store.head(), worker="one", now=WEEK)
    assert store.unsettled_swaps() == (taken,)
    database.close()
