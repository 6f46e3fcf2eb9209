"""Facts of the conformance statement that are quantities: bounds, waits and identifiers, each taken from its constant.

For: `territory.conformance`. The words are written here; no number is.

References
----------
PS3.2 N.7.1, N.7.2; Annex C of the statement
"""

import ast
import inspect
from collections.abc import Mapping
from typing import Final

from foundation import database
from pacs import transcode, transcode_elements
from pacs.archive import commitment, file_meta, header, matching, query, query_rows, retrieval
from pacs.routing import stow_sender
from pacs.scp import (
    association,
    commitment_messages,
    find,
    find_identifier,
    read_ahead,
    retrieve_move,
    retrieve_progress,
    stall,
)
from pacs.scp import commitment as commitment_service
from pacs.scu import association as requestor
from pacs.scu import pipeline, send
from pacs.upper_layer.associate import APPLICATION_CONTEXT, DEFAULT_MAXIMUM_LENGTH
from pacs.upper_layer.limits import PRESENTATION_CONTEXTS_MAX, UpperLayerLimits
from pacs.worklist import attribute_list
from storage_tiers import pack
from territory import bootstrap, health, launch, settings_model
from territory.conformance_markdown import code, number, seconds, size, table
from territory.conformance_settings import wanted
from territory.settings_reader import keys_of, reader_of

_UPPER: Final = UpperLayerLimits()
_TIMEOUTS: Final = requestor.Timeouts()

# Reasons for which an established association is aborted by the node itself, as `pacs.scp.association` names them.
_OWN_ABORTS: Final[Mapping[str, str]] = {
    "idle": "Nothing came from the peer for `idle_s`",
    "no_progress": "A C-STORE data set brought less than the progress limit (Annex C) within `idle_s`",
    "identifier_too_long": "The data set of a request other than C-STORE is longer than its limit (Annex C)",
    "request_during_operation": "Another request came while one was being answered, though no asynchronous operations "
    "were negotiated (C-CANCEL excepted, and, crossing a request of the node, everything but queries and retrieves)",
    "response_without_request": "A response came that the node did not ask for",
    "node_stopping": "The node is being stopped; the message in hand has been answered",
}


def facts() -> dict[str, str]:
    """Return Markdown by the name that templates use."""
    return {
        "implementation_class_uid": code(file_meta.IMPLEMENTATION_CLASS_UID),
        "implementation_version_name": code(file_meta.IMPLEMENTATION_VERSION_NAME),
        "association_parameters": _association_parameters(),
        "own_aborts": _own_aborts(),
        "limits_network": _rows(_network()),
        "limits_storage": _rows(_storage()),
        "limits_queries": _rows(_queries()),
        "limits_retrieval": _rows(_retrieval()),
        "limits_commitment": _rows(_commitment()),
        "limits_mpps": _rows(
            {
                "Attribute list, inflated": size(attribute_list.ATTRIBUTE_LIST_BYTES_MAX),
                "Elements of an attribute list, in all its items": number(attribute_list.ELEMENTS_MAX),
            }
        ),
        "limits_node": _rows(_node()),
        "stow_instances_max": number(stow_sender.REQUEST_INSTANCES_MAX),
        "stow_bytes_max": size(stow_sender.REQUEST_BYTES_MAX),
        "send_parallel_max": number(send.PARALLEL_MAX),
        "send_tries_max": number(send.TRIES_MAX),
        "retry_first": seconds(commitment.RETRY_FIRST_S),
        "retry_longest": seconds(commitment.RETRY_S_MAX),
        "report_attempts_max": number(commitment.ATTEMPTS_MAX),
        "quiet_time": seconds(commitment_service.QUIET_S),
        "move_associations_max": number(requestor.ASSOCIATIONS_MAX_DEFAULT),
        "move_instances_min": number(retrieve_move.INSTANCES_PER_ASSOCIATION_MIN),
        "reconnects_max": number(retrieve_move.RECONNECTS_MAX),
        "pending_interval": seconds(retrieve_progress.PENDING_INTERVAL_S),
        "sender_timeouts": (
            f"connection {seconds(_TIMEOUTS.connect_s)}, answer to A-ASSOCIATE-RQ {seconds(_TIMEOUTS.associate_s)}, "
            f"response {seconds(_TIMEOUTS.response_s)}, release {seconds(_TIMEOUTS.release_s)}"
        ),
        "stop_grace": seconds(launch.STOP_GRACE_S),
    }


def _rows(limits: Mapping[str, str], heading: str = "Limit") -> str:
    return table([heading, "Value"], [[what, value] for what, value in limits.items()])


def _association_parameters() -> str:
    default, bounds = _offered_pdu_length()
    return _rows(
        {
            "Application Context Name": code(APPLICATION_CONTEXT),
            "Implementation Class UID": code(file_meta.IMPLEMENTATION_CLASS_UID),
            "Implementation Version Name": code(file_meta.IMPLEMENTATION_VERSION_NAME),
            "Maximum Length offered, as acceptor": f"{default}; set by `pdu_length_bytes_max`, {bounds}",
            "Maximum Length offered, as requestor": size(_UPPER.pdu_length_max),
            "Longest P-DATA-TF sent, whatever the peer offers": size(_UPPER.send_pdu_length_max),
            "Shortest Maximum Length of a peer that is accepted (0 is unlimited and accepted)": size(
                _UPPER.peer_pdu_length_min
            ),
            "Maximum Length assumed of a peer that leaves it out": size(DEFAULT_MAXIMUM_LENGTH),
            "Asynchronous operations": "1 invoked, 1 performed, when a peer proposes a window; never proposed",
            "Presentation contexts of one association": number(PRESENTATION_CONTEXTS_MAX),
        },
        heading="Parameter",
    )


def _offered_pdu_length() -> tuple[str, str]:
    reader = reader_of(keys_of(settings_model.Limits)["pdu_length_bytes_max"])
    return size(settings_model.PDU_LENGTH_BYTES_DEFAULT), wanted(reader)


def _own_aborts() -> str:
    """List why an association is aborted, checked against the reasons in the code."""
    tree = ast.parse(inspect.getsource(association))
    reasons = {
        call.args[0].value
        for call in ast.walk(tree)
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr == "_abort"
        and call.args
        and isinstance(call.args[0], ast.Constant)
    }
    if reasons != set(_OWN_ABORTS):
        differing = ", ".join(sorted(map(str, reasons ^ set(_OWN_ABORTS))))
        raise ValueError(f"the code and territory.conformance_limits differ in why they abort: {differing}")
    return table(["Situation", "In the log as"], [[what, code(name)] for name, what in _OWN_ABORTS.items()])


def _network() -> dict[str, str]:
    return {
        "Presentation contexts of one association": number(PRESENTATION_CONTEXTS_MAX),
        "A-ASSOCIATE-RQ or -AC taken": size(_UPPER.associate_pdu_bytes_max),
        "Command set taken": size(_UPPER.command_set_bytes_max),
        "Buffer into which an association receives": size(_UPPER.receive_buffer_bytes),
        "Data set of a request other than C-STORE, as sent": size(association.IDENTIFIER_BYTES_MAX),
        "Progress that a C-STORE data set must make within `idle_s`": size(stall.PROGRESS_BYTES_MIN),
        "Wait for the answer to an A-RELEASE-RQ of the node": seconds(_TIMEOUTS.release_s),
    }


def _storage() -> dict[str, str]:
    return {
        "One instance, with preamble and file meta information": size(pack.FILE_BYTES_MAX),
        "Sequences of undefined length inside each other, read through for the index": number(
            header.SEQUENCE_DEPTH_MAX
        ),
        "Deflated data set inflated to find its header": size(header.INFLATED_BYTES_MAX),
        "Further attributes kept for queries, of one patient, study or series, as DICOM JSON": (
            f"{number(header.ATTRIBUTES_JSON_CHARACTERS_MAX)} characters"
        ),
    }


def _queries() -> dict[str, str]:
    return {
        "Identifier, inflated": size(find_identifier.IDENTIFIER_BYTES_MAX),
        "Elements of an identifier, in all its items": number(find_identifier.ELEMENTS_MAX),
        "Sequences inside each other in an identifier": number(matching.KEY_DEPTH_MAX),
        "Characters of a key other than a list of UIDs": number(matching.KEY_CHARACTERS_MAX),
        "Stored headers read for one query": number(query.HEADERS_READ_MAX),
        "Sequences inside each other in a stored header that is answered from": number(query_rows.HEADER_DEPTH_MAX),
        "Answers between two looks for a C-CANCEL": number(find.ANSWERS_PER_CANCEL_CHECK),
        "Index rows looked at between two looks for a C-CANCEL": number(query.ROWS_PER_FETCH),
    }


def _retrieval() -> dict[str, str]:
    return {
        "Instances of one C-MOVE or C-GET": number(retrieval.INSTANCES_MAX),
        "Pending responses are due every": seconds(retrieve_progress.PENDING_INTERVAL_S),
        "Time between two looks for a C-CANCEL": seconds(retrieve_progress.CANCEL_POLL_INTERVAL_S),
        "Associations with one Move Destination at once, of one C-MOVE": number(requestor.ASSOCIATIONS_MAX_DEFAULT),
        "Associations with a Move Destination made again, of one C-MOVE": number(retrieve_move.RECONNECTS_MAX),
        "Instances read ahead of the one being sent, by C-GET": number(read_ahead.ITEMS_AHEAD_MAX),
        "Bytes read ahead, by C-GET": size(read_ahead.BYTES_AHEAD_MAX),
        "Longest instance that an association of a C-MOVE reads ahead": size(pipeline.AHEAD_BYTES_MAX),
        "Deflated data set inflated to be sent in another transfer syntax": size(transcode.INFLATED_BYTES_MAX),
        "Sequences inside each other in a data set that is sent in another transfer syntax": number(
            transcode_elements.NESTING_DEPTH_MAX
        ),
    }


def _commitment() -> dict[str, str]:
    return {
        "Instances of one request": number(commitment_messages.REFERENCES_MAX),
        "Action information, inflated": size(commitment_messages.ACTION_BYTES_MAX),
        "Attempts to deliver a report": number(commitment.ATTEMPTS_MAX),
        "Wait after the first attempt that failed; doubled after each": seconds(commitment.RETRY_FIRST_S),
        "Longest wait between attempts": seconds(commitment.RETRY_S_MAX),
        "Results that are due are looked for every": seconds(bootstrap.RELAY_EVERY_S),
        "A request in hand when the node was killed is taken up again after": seconds(commitment.LEASE_S),
        "A delivered result is remembered for": seconds(commitment.DELIVERED_KEPT_S),
    }


def _node() -> dict[str, str]:
    return {
        "Worker processes": number(settings_model.WORKERS_MAX),
        "Time that associations get to finish the message in hand when the node is stopped": seconds(
            launch.STOP_GRACE_S
        ),
        "Wait for the index, then the operation fails": seconds(database.LOCK_WAIT_S_MAX),
        "Health requests at once": number(health.REQUESTS_MAX),
    }
