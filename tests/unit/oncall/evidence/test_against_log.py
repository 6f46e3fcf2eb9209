"""A dossier compared with the node that made it: which field, which document, which of the two was changed."""

import copy
import json
from collections.abc import Callable

import pytest
from sqlalchemy import Connection, delete, func, update

from oncall.evidence.against_log import log_differences, node_keys
from oncall.evidence.dossier import Sealed
from oncall.report.signing import NODE
from oncall.schema import oncall_anchor, oncall_case_event, oncall_report_document, oncall_report_version
from tests.harness.evidence_case import CASE, Place
from tests.harness.small_territory import at, ready_case
from tests.unit.oncall.evidence.conftest import BOTH

EVENT = oncall_case_event.c


def compared(here: Place, dossier: Sealed) -> list[str]:
    with here.database.read() as connection:
        return [f"{one.what.value} {one.where}" for one in log_differences(connection, dossier.sections)]


@BOTH
def test_a_dossier_agrees_with_its_log_also_when_that_went_on(here: Place) -> None:
    dossier = here.dossier()
    ready_case(here.engine, CASE, at(70))
    here.dossier()

    assert compared(here, dossier) == []


def test_the_nodes_key_is_known_from_what_it_sealed(here: Place) -> None:
    with here.database.read() as connection:
        assert node_keys(connection) == frozenset({here.keys.public_key_of(NODE)})


def test_an_event_changed_in_the_log_is_named_with_its_field(here: Place) -> None:
    dossier = here.dossier()
    with here.database.write(durable=True) as connection:
        connection.execute(
            update(oncall_case_event).values(body=func.replace(EVENT.body, '"volume_ml":80', '"volume_ml":90'))
        )

    assert compared(here, dossier) == ["altered event 8 of case C1, payload.volume_ml"]


def drop_event(connection: Connection) -> None:
    connection.execute(delete(oncall_case_event).where(EVENT.case_id == CASE, EVENT.seq == 8))


def spoil_event(connection: Connection) -> None:
    connection.execute(update(oncall_case_event).where(EVENT.case_id == CASE, EVENT.seq == 8).values(body="{"))


def spoil_document(connection: Connection) -> None:
    document = oncall_report_document.c
    connection.execute(update(oncall_report_document).where(document.kind == "pdf").values(body=b"%PDF-1.7 forged"))


def drop_version(connection: Connection) -> None:
    connection.execute(delete(oncall_report_version))


def spoil_version(connection: Connection) -> None:
    body = func.replace(oncall_report_version.c.body, "Chute", "Chut")
    connection.execute(update(oncall_report_version).values(body=body))


def spoil_anchor(connection: Connection) -> None:
    body = func.replace(oncall_anchor.c.body, '"leaves":1', '"leaves":2')
    connection.execute(update(oncall_anchor).where(oncall_anchor.c.number == 1).values(body=body))


def forget_sealing(connection: Connection) -> None:
    connection.execute(delete(oncall_case_event).where(EVENT.type == "evidence.sealed"))


@pytest.mark.parametrize(
    ("spoil", "found"),
    [
        (drop_event, "added event 8 of case C1"),
        (spoil_event, "event 8 of case C1"),
        (spoil_document, "altered document pdf of version 1"),
        (drop_version, "missing version 1 of the report of case C1"),
        (spoil_version, "altered version 1 of the report of case C1"),
        (spoil_anchor, "altered anchor 1"),
        (forget_sealing, "not_recorded evidence.sealed"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_what_was_changed_in_the_database_is_named(
    here: Place, spoil: Callable[[Connection], None], found: str
) -> None:
    dossier = here.dossier()
    with here.database.write(durable=True) as connection:
        spoil(connection)

    differences = compared(here, dossier)

    assert [one for one in differences if found in one] != []
    assert all(found.split(" ", 1)[-1] in one or "event 8" in one for one in differences)


def test_a_dossier_that_this_node_never_sealed_is_not_recorded(here: Place) -> None:
    dossier = here.dossier()
    other = json.loads(json.dumps(copy.deepcopy(dict(dossier.sections))))
    other["seal"]["digest"] = "0" * 64

    with here.database.read() as connection:
        found = [one.what.value for one in log_differences(connection, other)]

    assert found == ["not_recorded"]
