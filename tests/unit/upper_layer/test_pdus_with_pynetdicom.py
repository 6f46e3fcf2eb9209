"""P-DATA-TF and the fixed PDUs: golden bytes, and pynetdicom as writer and as reader of them."""

from __future__ import annotations

import pynetdicom.pdu as theirs
import pytest
from pynetdicom.pdu_primitives import A_ABORT, A_ASSOCIATE, A_P_ABORT, A_RELEASE, P_DATA

from pacs.upper_layer.associate import AssociateReject
from pacs.upper_layer.connection import Role, UpperLayer
from pacs.upper_layer.events import Aborted, AssociateRejected, ReleaseRequested
from pacs.upper_layer.pdu import (
    encode_abort,
    encode_associate_reject,
    encode_release_request,
    encode_release_response,
    fragment_command,
    fragment_dataset,
)
from tests.unit.upper_layer.golden import annotated
from tests.unit.upper_layer.pairs import a_request, associated, feed, joined, message_view
from tests.unit.upper_layer.test_pdata import STORE

DATASET_PDUS = annotated("""
    04 00 0000000A                # P-DATA-TF, 10 bytes follow
      00000006 05 00 'abcd'       #   fragment: 6 bytes, context 5, data set, more follows
    04 00 00000008                # P-DATA-TF, 8 bytes follow
      00000004 05 02 'ef'         #   fragment: 4 bytes, context 5, data set, last
""")

COMMAND_PDUS = annotated("""
    04 00 0000000A                # P-DATA-TF, 10 bytes follow
      00000006 05 01 'abcd'       #   fragment: 6 bytes, context 5, command, more follows
    04 00 00000008                # P-DATA-TF, 8 bytes follow
      00000004 05 03 'ef'         #   fragment: 4 bytes, context 5, command, last
""")


def test_a_data_set_is_cut_as_the_standard_lays_it_out() -> None:
    assert joined(fragment_dataset(5, memoryview(b"abcdef"), 4, is_last=True)) == DATASET_PDUS


def test_a_command_is_cut_as_the_standard_lays_it_out() -> None:
    assert fragment_command(5, b"abcdef", 4) == COMMAND_PDUS


def test_the_fixed_pdus_are_written_as_the_standard_lays_them_out() -> None:
    assert encode_release_request() == annotated("05 00 00000004 00000000")
    assert encode_release_response() == annotated("06 00 00000004 00000000")
    assert encode_abort(2, 6) == annotated("07 00 00000004 0000 02 06")


def test_pynetdicom_reads_our_fragments() -> None:
    first, last = theirs.P_DATA_TF(), theirs.P_DATA_TF()
    first.decode(DATASET_PDUS[:16])
    last.decode(DATASET_PDUS[16:])
    values = [
        (one.presentation_context_id, one.presentation_data_value)
        for pdu in (first, last)
        for one in pdu.presentation_data_value_items
    ]
    assert values == [(5, b"\0abcd"), (5, b"\2ef")]


def test_we_read_the_fragments_of_pynetdicom() -> None:
    primitive = P_DATA()
    primitive.presentation_data_value_list = [[1, b"\3" + STORE], [1, b"\0" + b"abcd"], [1, b"\2" + b"ef"]]
    pdu = theirs.P_DATA_TF()
    pdu.from_primitive(primitive)
    assert message_view(feed(associated().acceptor, pdu.encode()))[1:] == [("data set", 1, b"abcdef")]


@pytest.mark.parametrize(
    ("pdu_class", "encoded"),
    [
        (theirs.A_RELEASE_RQ, encode_release_request()),
        (theirs.A_RELEASE_RP, encode_release_response()),
        (theirs.A_ABORT_RQ, encode_abort(2, 1)),
        (theirs.A_ASSOCIATE_RJ, encode_associate_reject(AssociateReject(result=1, source=2, reason=2))),
    ],
    ids=["release request", "release response", "abort", "rejection"],
)
def test_pynetdicom_reads_and_writes_our_fixed_pdus_unchanged(pdu_class: type[theirs.PDU], encoded: bytes) -> None:
    pdu = pdu_class()
    pdu.decode(encoded)
    assert pdu.encode() == encoded


def written(pdu: theirs.PDU, primitive: object) -> bytes:
    pdu.from_primitive(primitive)
    encoded: bytes = pdu.encode()
    return encoded


def test_we_read_the_end_of_an_association_as_pynetdicom_writes_it() -> None:
    abort = A_ABORT()
    abort.abort_source = 0
    assert feed(associated().acceptor, written(theirs.A_ABORT_RQ(), abort)) == [Aborted(0, 0)]
    provider_abort = A_P_ABORT()
    provider_abort.provider_reason = 4
    assert feed(associated().acceptor, written(theirs.A_ABORT_RQ(), provider_abort)) == [Aborted(2, 4)]
    assert feed(associated().acceptor, written(theirs.A_RELEASE_RQ(), A_RELEASE())) == [ReleaseRequested()]
    rejection = A_ASSOCIATE()
    rejection.result, rejection.result_source, rejection.diagnostic = 2, 3, 1
    requestor = UpperLayer(Role.REQUESTOR)
    requestor.associate_request(a_request())
    assert feed(requestor, written(theirs.A_ASSOCIATE_RJ(), rejection)) == [AssociateRejected(2, 3, 1)]
