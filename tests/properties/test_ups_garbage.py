"""Whatever clients send, a request about work items ends in an answer: never in a crash, never in silence."""

import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

import pacs.worklist.ups.schema  # noqa: F401  # adds its tables to METADATA
from foundation.database import Database, sqlite_url
from foundation.errors import PeerError
from pacs.scp.services import Buffer, Context, Peer, Rights
from pacs.upper_layer.dimse import Command, CommandField, decode_command, encode_command
from pacs.worklist.attribute_list import encode_attribute_list
from pacs.worklist.ups.model import PULL, PUSH, WATCH, Caller
from pacs.worklist.ups.scp import UpsService
from pacs.worklist.ups.store import Subscriber
from territory.ups_web.payloads import filter_of, keys_of, read_dataset
from tests.harness.workitems import UID, new_step, worklist

EXPLICIT = "1.2.840.10008.1.2.1"
SOUND = encode_attribute_list(new_step(), EXPLICIT)
OPERATIONS = (
    (PUSH, CommandField.N_CREATE_RQ, {"affected_sop_class_uid": PUSH, "affected_sop_instance_uid": UID}),
    (PULL, CommandField.N_SET_RQ, {"requested_sop_class_uid": PUSH, "requested_sop_instance_uid": UID}),
    (PULL, CommandField.N_ACTION_RQ,
     {"requested_sop_class_uid": PUSH, "requested_sop_instance_uid": UID, "action_type_id": 1}),
    (WATCH, CommandField.N_ACTION_RQ,
     {"requested_sop_class_uid": PUSH, "requested_sop_instance_uid": UID, "action_type_id": 3}),
    (PULL, CommandField.C_FIND_RQ, {"affected_sop_class_uid": PULL}),
)  # fmt: skip


class Answers:
    """An association that keeps what it is sent."""

    def __init__(self) -> None:
        rights = Rights(
            may_store=False, may_query=False, may_retrieve=False, may_workitems=True, move_destinations=None, issuer=""
        )
        self.peer = Peer(calling_aet="FUZZER", called_aet="TELEGARDE", address="127.0.0.1", rights=rights)
        self.contexts: Mapping[int, Context] = {}
        self.is_stopping = False
        self.statuses: list[int] = []

    def send(self, context_id: int, command: bytes, dataset: Iterable[Buffer] | Buffer | None = None) -> None:
        del context_id, dataset
        self.statuses.append(decode_command(command).status)

    def is_cancelled(self, message_id: int) -> bool:
        del message_id
        return False

    def request(self, context_id: int, command: bytes, dataset: Buffer) -> Command:
        raise AssertionError("a UPS service asks nothing")

    def is_quiet(self, wait_s: float) -> bool:
        del wait_s
        return True


@contextmanager
def service() -> Iterator[UpsService]:
    with (
        tempfile.TemporaryDirectory() as directory,
        closing(Database(sqlite_url(Path(directory) / "index.sqlite"))) as database,
    ):
        database.create_tables()
        yield UpsService(
            worklist(database), lambda peer: Caller(name=peer.calling_aet, sites=None), lambda aet: Subscriber(aet=aet)
        )


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """Draw a sound data set with some bytes changed, removed or added."""
    data = bytearray(SOUND)
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, len(data) - 1))
        match draw(st.integers(0, 2)):
            case 0:
                data[at] = draw(st.integers(0, 255))
            case 1:
                del data[at : at + draw(st.integers(1, 40))]
            case _:
                data[at:at] = draw(st.binary(min_size=1, max_size=12))
        if not data:
            break
    return bytes(data)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(OPERATIONS), mutated()), min_size=1, max_size=8))
def test_every_mutated_request_gets_a_final_status(asked: list[tuple[Any, bytes]]) -> None:
    with service() as ups:
        for (syntax, field, elements), dataset in asked:
            context = Context(
                context_id=1, abstract_syntax=syntax, transfer_syntax=EXPLICIT,
                peer_is_scu=True, peer_is_scp=False, extended=b"",
            )  # fmt: skip
            command = decode_command(encode_command(command_field=field, message_id=7, data_set_type=1, **elements))
            answers = Answers()

            ups.handle(answers, context, command, dataset)

            assert answers.statuses
            assert answers.statuses[-1] not in {0xFF00, 0xFF01}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["00741000", "00404041", "vr", "Value", "SQ", "zz"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=120, deadline=None)
@given(JSON | st.dictionaries(st.sampled_from(["00741000", "00404034"]), JSON, max_size=2))
def test_any_json_is_a_data_set_or_refused(sent: Any) -> None:
    try:
        read_dataset(json.dumps(sent).encode(), "application/dicom+json")
    except PeerError:
        return


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.text(max_size=30), st.text(max_size=20)), max_size=4),
    st.lists(st.text(max_size=30), max_size=2),
)
def test_any_query_is_keys_or_refused(parameters: list[tuple[str, str]], filters: list[str]) -> None:
    for read in (lambda: keys_of(parameters), lambda: filter_of(filters)):
        try:
            read()
        except PeerError:
            continue
