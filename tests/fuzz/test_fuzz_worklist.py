"""Worklist queries that no console should send: each has its answer, and the listener goes on."""

import random
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foundation.database import Database
from pacs.archive.matching import InvalidKey
from pacs.archive.query_values import Element
from pacs.scu.association import PeerAddress, RequestorAssociation
from pacs.upper_layer.associate import PresentationContextProposal
from pacs.upper_layer.dimse import CommandField, encode_command
from pacs.worklist import item as worklist
from pacs.worklist.find_service import MODALITY_WORKLIST, WorklistFindService
from pacs.worklist.item import worklist_item
from pacs.worklist.matching import plan_worklist
from tests.fuzz.fuzz_worklist import FINAL_STATUSES, filled_database, mutant, run_seed, sound_query
from tests.harness.orders import NOW, full_order
from tests.harness.worklist import (
    EXPLICIT_LITTLE,
    ROANNE_CONSOLE,
    running_worklist,
    service_of,
    zone_of,
)

SEED = 20261122
MUTANTS = 1600
MUTANTS_OVER_A_SOCKET = 60
#: Keys that the database is asked with.
NARROWED = (0x00100010, worklist.PATIENT_ID, worklist.ACCESSION_NUMBER)
NARROWED_OF_STEP = (worklist.MODALITY, worklist.START_DATE, worklist.START_TIME, worklist.STATION_AET)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    with filled_database(tmp_path_factory.mktemp("fuzz")) as filled:
        yield filled


@pytest.fixture(scope="module")
def service(database: Database) -> WorklistFindService:
    return service_of(database)


def test_every_mutated_query_has_an_answer_that_the_standard_knows(service: WorklistFindService) -> None:
    statuses = {run_seed(service, seed) for seed in range(MUTANTS)}
    # The mutants are neither all sound nor all broken.
    assert {0x0000, 0xC001} <= statuses


KEY_TEXTS = st.one_of(
    st.text(max_size=40),
    st.text(alphabet='0123456789-+*?.\\^=" ', max_size=30),
    st.sampled_from(["*", "-", '""', "20261121-", "-", "20261121-20261120", "2300-0100", "\0", "+0100", "1.2.3"]),
)


@settings(max_examples=300)
@given(
    top=st.dictionaries(st.sampled_from([*worklist.ATTRIBUTES, 0x00080005, 0x00180015, 0x00091001]), KEY_TEXTS),
    step=st.dictionaries(st.sampled_from([*worklist.STEP_ATTRIBUTES, 0x00180015]), KEY_TEXTS),
    fuzzy=st.booleans(),
)
def test_every_set_of_keys_is_understood_or_refused_by_name(
    top: dict[int, str], step: dict[int, str], *, fuzzy: bool
) -> None:
    keys = {number: Element(vr=worklist.ATTRIBUTES.get(number, "LO"), text=text) for number, text in top.items()}
    keys = {number: key for number, key in keys.items() if key.vr != "SQ"}
    nested = {
        number: Element(vr=worklist.STEP_ATTRIBUTES.get(number, "LO"), text=text) for number, text in step.items()
    }
    nested = {number: key for number, key in nested.items() if key.vr != "SQ"}
    keys[worklist.STEP_SEQUENCE] = Element(vr="SQ", items=(nested,))
    item = worklist_item(full_order(), zone=zone_of("roanne"), now=NOW)
    try:
        plan = plan_worklist(keys, fuzzy_names=fuzzy)
    except InvalidKey:
        return
    assert plan.matches(item) in (True, False)


@given(
    top=st.dictionaries(st.sampled_from(NARROWED), KEY_TEXTS),
    step=st.dictionaries(st.sampled_from(NARROWED_OF_STEP), KEY_TEXTS),
)
@settings(max_examples=150, deadline=None)
def test_what_the_database_leaves_out_would_not_have_matched(
    database: Database, top: dict[int, str], step: dict[int, str]
) -> None:
    nested = {number: Element(vr=worklist.STEP_ATTRIBUTES[number], text=text) for number, text in step.items()}
    keys = {number: Element(vr=worklist.ATTRIBUTES[number], text=text) for number, text in top.items()}
    keys[worklist.STEP_SEQUENCE] = Element(vr="SQ", items=(nested,))
    try:
        plan = plan_worklist(keys)
    except InvalidKey:
        return
    query = service_of(database)._query  # the service's own, on the same clock
    everything = query.find("roanne", plan_worklist({worklist.PATIENT_ID: Element(vr="LO")}))
    wanted = [found.order.order_id for found in everything if plan.matches(found.item)]
    assert [found.order.order_id for found in query.find("roanne", plan)] == wanted


def test_a_listener_that_was_sent_broken_queries_still_answers(
    database: Database, tmp_path_factory: pytest.TempPathFactory
) -> None:
    draw = random.Random(SEED)
    seed = sound_query(EXPLICIT_LITTLE)
    with running_worklist(database, tmp_path_factory.mktemp("node")) as node:
        for _ in range(MUTANTS_OVER_A_SOCKET):
            assert _status(node.port, mutant(draw, seed)) in FINAL_STATUSES
        assert _status(node.port, seed) == 0x0000


def _status(port: int, dataset: bytes) -> int:
    """Ask over a socket and return the final status."""
    context = PresentationContextProposal(
        context_id=1, abstract_syntax=MODALITY_WORKLIST, transfer_syntaxes=(EXPLICIT_LITTLE,)
    )
    address = PeerAddress(host="127.0.0.1", port=port, ae_title="TELEGARDE")
    with RequestorAssociation(address, calling_aet=ROANNE_CONSOLE, contexts=(context,)) as association:
        message_id = association.next_message_id()
        command = encode_command(
            affected_sop_class_uid=MODALITY_WORKLIST,
            command_field=CommandField.C_FIND_RQ,
            message_id=message_id,
            priority=0,
            data_set_type=1,
        )
        association.send(1, command, dataset + b"\0" * (len(dataset) % 2))
        while True:
            status = association.receive_response(message_id).status
            assert status is not None
            if status not in (0xFF00, 0xFF01):
                return status
