"""Facts of the conformance statement about how associations are refused and ended.

For: `territory.conformance`. The reasons are not written down here: for each situation the code that judges it is asked
(the access policy, the negotiation, the upper layer fed with bytes, the reader of command sets), and its answer is
the row. Only the situations are described in words.

References
----------
PS3.2 N.7.3.1; PS3.8 Tables 9-21 (A-ASSOCIATE-RJ) and 9-26 (A-ABORT); PS3.7 Annex C
"""

import ipaddress
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from pacs.archive.file_meta import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from pacs.scp.access import AccessRules, Call, Load, PeerRule, Rejected, decide
from pacs.scp.presentation import MESSAGE_TRANSFER_SYNTAXES, VERIFICATION
from pacs.scp.services import Rights
from pacs.upper_layer.associate import (
    AssociateAccept,
    AssociateReject,
    AssociateRequest,
    PresentationContextProposal,
    RejectResult,
    RejectSource,
    UserInformation,
)
from pacs.upper_layer.connection import Role, UpperLayer
from pacs.upper_layer.dimse import NO_DATA_SET, CommandField, decode_command, encode_command
from pacs.upper_layer.errors import AbortReason, AbortSource
from pacs.upper_layer.events import AssociateRejected, Event
from pacs.upper_layer.limits import ASSOCIATE_FIXED_FIELDS_BYTES, PRESENTATION_CONTEXTS_MAX, UpperLayerLimits
from pacs.upper_layer.negotiation import Offer, negotiate, refusal
from pacs.upper_layer.pdu import COMMAND_BIT, LAST_BIT, PDU_HEADER, PDV_HEADER, PduType, with_header
from territory.conformance_markdown import code, table

_LIMITS: Final = UpperLayerLimits()
_CONTEXT_ID: Final = 1
_TRANSFER_SYNTAXES: Final = tuple(MESSAGE_TRANSFER_SYNTAXES)
_KNOWN: Final = "KNOWN"
_NETWORK: Final = ipaddress.ip_network("192.0.2.0/24")
_INSIDE: Final = "192.0.2.1"
_OUTSIDE: Final = "198.51.100.1"
_CERTIFICATE: Final = frozenset({"node.example"})

# PS3.8 Table 9-21.
_REASONS: Final[Mapping[tuple[int, int], str]] = {
    (RejectSource.SERVICE_USER, 1): "no reason given",
    (RejectSource.SERVICE_USER, 2): "application context name not supported",
    (RejectSource.SERVICE_USER, 3): "calling AE title not recognized",
    (RejectSource.SERVICE_USER, 7): "called AE title not recognized",
    (RejectSource.SERVICE_PROVIDER_ACSE, 1): "no reason given",
    (RejectSource.SERVICE_PROVIDER_ACSE, 2): "protocol version not supported",
    (RejectSource.SERVICE_PROVIDER_PRESENTATION, 1): "temporary congestion",
    (RejectSource.SERVICE_PROVIDER_PRESENTATION, 2): "local limit exceeded",
}
# PS3.8 9.3.1 defines 01H to 07H.
_NO_PDU_TYPE: Final = 0x7F
_LAST_COMMAND: Final = COMMAND_BIT | LAST_BIT


def facts() -> dict[str, str]:
    """Return Markdown by the name that templates use."""
    return {"rejections": _rejections(), "aborts": _aborts(), "command_errors": _command_errors()}


def request() -> AssociateRequest:
    """Return an association request with nothing wrong in it, for Verification."""
    return AssociateRequest(
        called_ae_title="TELEGARDE",
        calling_ae_title=_KNOWN,
        presentation_contexts=(
            PresentationContextProposal(
                context_id=_CONTEXT_ID, abstract_syntax=VERIFICATION, transfer_syntaxes=_TRANSFER_SYNTAXES
            ),
        ),
        user_information=UserInformation(
            maximum_length=_LIMITS.pdu_length_max,
            implementation_class_uid=IMPLEMENTATION_CLASS_UID,
            implementation_version_name=IMPLEMENTATION_VERSION_NAME,
        ),
    )


# --- A-ASSOCIATE-RJ ------------------------------------------------------------------------------


def _rejections() -> str:
    rows = []
    for situation, answer in (*_judged_by_access(), *_judged_by_negotiation(), _judged_by_upper_layer()):
        result, source = RejectResult(answer.result), RejectSource(answer.source)
        reason = _REASONS[answer.source, answer.reason]
        rows.append(
            [
                situation,
                f"{answer.result} ({_words(result.name)})",
                f"{answer.source} ({_words(source.name)})",
                f"{answer.reason} ({reason})",
            ]
        )
    return table(["Situation", "Result", "Source", "Reason"], rows)


def _rules(*, requires_tls: bool) -> AccessRules:
    rule = PeerRule(
        networks=(_NETWORK,),
        requires_tls=requires_tls,
        certificate_names=_CERTIFICATE if requires_tls else frozenset(),
        associations_max=1,
        rights=Rights(may_store=True, may_query=True, may_retrieve=True, move_destinations=None, issuer=""),
    )
    return AccessRules(called_aets=frozenset({"TELEGARDE"}), peers={_KNOWN: rule}, anyone=None, associations_max=2)


def _judged_by_access() -> list[tuple[str, AssociateReject]]:
    good = Call(called_aet="TELEGARDE", calling_aet=_KNOWN, address=_INSIDE, certificate_names=None)
    idle, plain, secured = Load(associations=0, associations_of_peer=0), False, True
    situations: list[tuple[str, Call, Load, bool]] = [
        ("The called AE title is none of this node", replace(good, called_aet="OTHER"), idle, plain),
        ("The calling AE title is not configured", replace(good, calling_aet="STRANGER"), idle, plain),
        ("The peer calls from another address than configured", replace(good, address=_OUTSIDE), idle, plain),
        ("The peer is configured with TLS and calls without it", good, idle, secured),
        (
            "The peer's certificate carries none of the names configured for it",
            replace(good, certificate_names=frozenset({"other.example"})),
            idle,
            secured,
        ),
        (
            "As many associations are open on the node as are allowed",
            good,
            Load(associations=2, associations_of_peer=0),
            plain,
        ),
        (
            "As many associations of this calling AE title are open as are allowed",
            good,
            Load(associations=1, associations_of_peer=1),
            plain,
        ),
    ]
    answers = []
    for situation, call, load, requires_tls in situations:
        decision = decide(_rules(requires_tls=requires_tls), call, load)
        if not isinstance(decision, Rejected):
            raise ValueError(f"no longer rejected: {situation}")
        answers.append((situation, decision.answer))
    return answers


def _judged_by_negotiation() -> list[tuple[str, AssociateReject]]:
    good = request()
    (context,) = good.presentation_contexts
    even = replace(context, context_id=2)
    situations = [
        ("The protocol version has no bit 0", replace(good, protocol_version=2)),
        ("Another application context name", replace(good, application_context="1.2.3")),
        ("The calling AE title is empty or no AE title", replace(good, calling_ae_title="")),
        ("The called AE title is empty or no AE title", replace(good, called_ae_title="A\\B")),
        ("No presentation context is proposed", replace(good, presentation_contexts=())),
        (
            f"More than {PRESENTATION_CONTEXTS_MAX} presentation contexts are proposed",
            replace(
                good,
                presentation_contexts=tuple(
                    replace(context, context_id=number) for number in range(PRESENTATION_CONTEXTS_MAX + 1)
                ),
            ),
        ),
        ("A presentation context ID is even", replace(good, presentation_contexts=(even,))),
        ("A presentation context ID is used twice", replace(good, presentation_contexts=(context, context))),
    ]
    answers = []
    for situation, asked in situations:
        answer = refusal(asked)
        if answer is None:
            raise ValueError(f"no longer rejected: {situation}")
        answers.append((situation, answer))
    return answers


def _judged_by_upper_layer() -> tuple[str, AssociateReject]:
    shortest = _LIMITS.peer_pdu_length_min
    good = request()
    too_small = replace(good, user_information=replace(good.user_information, maximum_length=shortest - 1))
    events = _receive(UpperLayer(Role.ACCEPTOR), UpperLayer(Role.REQUESTOR).associate_request(too_small))
    rejected = next(event for event in events if isinstance(event, AssociateRejected))
    answer = AssociateReject(result=rejected.result, source=rejected.source, reason=rejected.reason)
    return f"The Maximum Length offered is 1 to {shortest - 1} bytes", answer


# --- A-ABORT -------------------------------------------------------------------------------------


def _aborts() -> str:
    rows = []
    for situation, answered in _breaches().items():
        if len(answered) != PDU_HEADER.size + 4 or answered[0] != PduType.ABORT:
            raise ValueError(f"no longer answered with an A-ABORT: {situation}")
        source, reason = AbortSource(answered[-2]), AbortReason(answered[-1])
        # Table 9-26: the reason means nothing when the service user aborts.
        shown = "0" if source is AbortSource.SERVICE_USER else f"{int(reason)} ({_words(reason.name)})"
        rows.append([situation, f"{int(source)} ({_words(source.name)})", shown])
    return table(["What the peer sends", "Source", "Reason"], rows)


def _words(name: str) -> str:
    return name.lower().replace("_", " ").replace("pdu", "PDU").replace("acse", "ACSE")


def _breaches() -> Mapping[str, bytes]:
    """Send each breach to an upper layer of its own; return what it answers."""
    echo = encode_command(
        affected_sop_class_uid=VERIFICATION,
        command_field=CommandField.C_ECHO_RQ,
        message_id=1,
        data_set_type=NO_DATA_SET,
    )
    fixed = ASSOCIATE_FIXED_FIELDS_BYTES
    sent = _answer_in_association
    return {
        "Before the association: any PDU that is no A-ASSOCIATE-RQ": _answer(
            UpperLayer(Role.ACCEPTOR), with_header(PduType.RELEASE_RQ, bytes(4))
        ),
        "Before the association: an A-ASSOCIATE-RQ that is too long (Annex C) or whose items do not fit": _answer(
            UpperLayer(Role.ACCEPTOR), PDU_HEADER.pack(PduType.ASSOCIATE_RQ, _LIMITS.associate_pdu_bytes_max + 1)
        ),
        "A PDU of a type that PS3.8 does not define": sent(PDU_HEADER.pack(_NO_PDU_TYPE, 4)),
        "A second A-ASSOCIATE-RQ": sent(with_header(PduType.ASSOCIATE_RQ, bytes(fixed))),
        "A P-DATA-TF that is longer than the Maximum Length offered to the peer": sent(
            PDU_HEADER.pack(PduType.P_DATA_TF, _LIMITS.pdu_length_max + 1)
        ),
        "A fragment whose length does not fit its P-DATA-TF": sent(
            with_header(PduType.P_DATA_TF, PDV_HEADER.pack(1, _CONTEXT_ID, _LAST_COMMAND))
        ),
        "A fragment for a presentation context that was not accepted": sent(_pdata(_CONTEXT_ID + 2, COMMAND_BIT, echo)),
        "A command set that is no sequence of elements of group 0000, or that no answer could refer to": sent(
            _pdata(_CONTEXT_ID, _LAST_COMMAND, b"\xff" * 8)
        ),
        "A data set fragment that no command has announced": sent(_pdata(_CONTEXT_ID, LAST_BIT, bytes(2))),
    }


def _pdata(context_id: int, control: int, content: bytes) -> bytes:
    pdv = PDV_HEADER.pack(len(content) + 2, context_id, control) + content
    return with_header(PduType.P_DATA_TF, pdv)


def _answer_in_association(sent: bytes) -> bytes:
    """Return what the acceptor answers to bytes that come once Verification has been agreed on."""
    acceptor = UpperLayer(Role.ACCEPTOR)
    asked = request()
    _receive(acceptor, UpperLayer(Role.REQUESTOR).associate_request(asked))
    answer = negotiate(
        asked,
        Offer(
            transfer_syntaxes_for=lambda _uid: _TRANSFER_SYNTAXES,
            implementation_class_uid=IMPLEMENTATION_CLASS_UID,
            implementation_version_name=IMPLEMENTATION_VERSION_NAME,
            maximum_length=_LIMITS.pdu_length_max,
        ),
    )
    assert isinstance(answer, AssociateAccept)
    acceptor.associate_accept(answer)
    return _answer(acceptor, sent)


def _answer(upper: UpperLayer, sent: bytes) -> bytes:
    _receive(upper, sent)
    return upper.bytes_to_send()


def _receive(upper: UpperLayer, sent: bytes) -> list[Event]:
    upper.receive_buffer()[: len(sent)] = sent
    return upper.bytes_received(len(sent))


# --- command sets that are answered with a failure ------------------------------------------------


def command_errors() -> tuple[tuple[str, int], ...]:
    """Return what is wrong with a command set, and the status that answers it whatever the service."""
    head: dict[str, int | str] = {"message_id": 1, "affected_sop_class_uid": VERIFICATION}
    instance: dict[str, int | str] = {"affected_sop_instance_uid": "1.2.3.4"}
    data = 1
    commands = {
        "The command field is none of PS3.7": encode_command(command_field=0x0FF0, data_set_type=NO_DATA_SET, **head),
        "An element that the operation needs is missing": encode_command(
            command_field=CommandField.C_STORE_RQ, data_set_type=data, **head
        ),
        "The data set that the operation needs is not announced": encode_command(
            command_field=CommandField.C_STORE_RQ, data_set_type=NO_DATA_SET, **head, **instance
        ),
        "A UID is no UID, or a number has a wrong length": encode_command(
            command_field=CommandField.C_ECHO_RQ, data_set_type=NO_DATA_SET, **head
        ).replace(b"1.2.840", b"1.2.x40"),
        "Affected or Requested SOP Instance UID is no UID": encode_command(
            command_field=CommandField.C_STORE_RQ, data_set_type=data, **head, **instance
        ).replace(b"1.2.3.4", b"1.2.x.4"),
    }
    found = []
    for situation, command in commands.items():
        error = decode_command(command).error
        if error is None:
            raise ValueError(f"no longer a failure: {situation}")
        found.append((situation, error.status))
    return tuple(found)


def _command_errors() -> str:
    return table(["Command set", "Status Code"], [[what, code(f"{status:04X}H")] for what, status in command_errors()])
