"""Mutated messages have an outcome: whatever stands in their fields, nothing raises and no order is half there."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import hl7
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

import pacs.worklist.hl7.context_schema
import pacs.worklist.identity_schema
import pacs.worklist.schema  # noqa: F401  # adds its tables to METADATA
from foundation.database import Database, sqlite_url
from foundation.outbox import outbox
from pacs.worklist.hl7.message import Accepted, Parked, Rejected
from pacs.worklist.schema import worklist_order
from tests.harness.hospital_messages import (
    OWN_ID,
    Hospital,
    adt,
    emergency,
    flow_1,
    flow_2,
    flow_4,
    pid,
    plain_order,
    received,
)
from tests.harness.peers import PostgresqlServer

MESSAGES = (
    flow_1(*emergency()),
    flow_2(),
    flow_4("OBX|8|NM|NOMBRE_IMAGES^^TELEGARDE_URGENCE||412||||||F"),
    plain_order(more=["ZDS|1.2.3^^Application^DICOM"]),
    adt("A40", pid(("P7^^^NORTH^PI",)), "MRG|P1^^^NORTH^PI"),
    adt("A37", pid(("P7^^^NORTH^PI",)), pid((OWN_ID,))),
    adt("A08", pid()),
)
PIECES = st.one_of(
    st.text(st.sampled_from('|^~\\&"0189AZaz.-+\x00é日 '), max_size=12),
    st.sampled_from(['""', "\\X0D\\", "\\Z9\\", "\\", "9" * 400, "\rORC|NW|", "\rPID|", "\rOBX|1|", "\rMRG|"]),
)


@st.composite
def mutated(draw: st.DrawFn) -> str:
    text = draw(st.sampled_from(MESSAGES))
    body = text.index("\r") + 1
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(body, len(text)))
        until = draw(st.integers(at, min(len(text), at + 60)))
        text = text[:at] + draw(PIECES) + text[until:]
    return text


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def known(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """Yield a database that is filled as the examples go on; PostgreSQL refuses texts that SQLite takes."""
    path: Path = tmp_path_factory.mktemp("fuzz") / "index.sqlite"
    url = sqlite_url(path)
    if request.param == "postgresql":
        server: PostgresqlServer = request.getfixturevalue("postgresql_server")
        url = server.new_database(f"fuzz_{uuid4().hex}")
    database = Database(url)
    database.create_tables()
    yield database
    database.close()


@given(text=mutated())
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_mutated_message_has_an_outcome_and_its_effect_is_told(known: Database, text: str) -> None:
    try:
        received(text)
    except (hl7.HL7Exception, ValueError, KeyError, IndexError):
        # The transport does not hand over what cannot be parsed.
        return
    hospital = Hospital(known)
    before = _counts(known)

    outcome = hospital.sends(text)

    assert isinstance(outcome, Accepted | Rejected | Parked)
    after = _counts(known)
    if not isinstance(outcome, Accepted):
        assert after == before
        assert outcome.errors
        assert all(error.segment and error.text for error in outcome.errors)
    elif after[0] > before[0]:
        assert after[1] > before[1]


def _counts(database: Database) -> tuple[int, int]:
    with database.read() as connection:
        orders = connection.execute(select(func.count()).select_from(worklist_order)).scalar_one()
        told = connection.execute(select(func.count()).select_from(outbox)).scalar_one()
    return int(orders), int(told)
