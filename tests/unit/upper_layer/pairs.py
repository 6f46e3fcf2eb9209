"""Two upper layers joined in memory, and the values that the tests of this folder share."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pacs.upper_layer.associate import (
    AssociateAccept,
    AssociateRequest,
    PresentationContextProposal,
    UserInformation,
)
from pacs.upper_layer.connection import Role, UpperLayer
from pacs.upper_layer.events import CommandReceived, DataFragment, Event
from pacs.upper_layer.limits import UpperLayerLimits
from pacs.upper_layer.negotiation import Offer, negotiate

CT_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.2"
MR_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.4"
VERIFICATION = "1.2.840.10008.1.1"
IMPLICIT_VR = "1.2.840.10008.1.2"
EXPLICIT_VR = "1.2.840.10008.1.2.1"
JPEG_LS = "1.2.840.10008.1.2.4.80"
OUR_CLASS_UID = "1.2.826.0.1.3680043.10.9999.1"
INSTANCE_UID = "1.2.826.0.1.3680043.10.9999.2.20260101.1"


def proposal(context_id: int, abstract_syntax: str, *transfer_syntaxes: str) -> PresentationContextProposal:
    return PresentationContextProposal(
        context_id=context_id,
        abstract_syntax=abstract_syntax,
        transfer_syntaxes=transfer_syntaxes or (EXPLICIT_VR, IMPLICIT_VR),
    )


def a_request(
    *contexts: PresentationContextProposal,
    maximum_length: int = 16_384,
    user_information: UserInformation | None = None,
) -> AssociateRequest:
    return AssociateRequest(
        called_ae_title="TELEGARDE",
        calling_ae_title="CT_ROANNE",
        presentation_contexts=contexts or (proposal(1, CT_IMAGE_STORAGE), proposal(3, VERIFICATION)),
        user_information=user_information
        or UserInformation(
            maximum_length=maximum_length,
            implementation_class_uid=OUR_CLASS_UID,
            implementation_version_name="TESTS",
        ),
    )


def an_offer(maximum_length: int = 131_072) -> Offer:
    supported = {
        CT_IMAGE_STORAGE: (EXPLICIT_VR, IMPLICIT_VR),
        MR_IMAGE_STORAGE: (EXPLICIT_VR, IMPLICIT_VR),
        VERIFICATION: (IMPLICIT_VR, EXPLICIT_VR),
    }
    return Offer(
        transfer_syntaxes_for=lambda uid: supported.get(uid, ()),
        implementation_class_uid=OUR_CLASS_UID,
        implementation_version_name="TELEGARDE",
        maximum_length=maximum_length,
    )


def accepted(request: AssociateRequest, maximum_length: int = 131_072) -> AssociateAccept:
    answer = negotiate(request, an_offer(maximum_length))
    assert isinstance(answer, AssociateAccept)
    return answer


def feed(upper_layer: UpperLayer, data: bytes, piece_bytes: int | None = None) -> list[Event]:
    """Deliver `data`, in pieces of at most `piece_bytes`, keeping the bytes of fragments alive."""
    events: list[Event] = []
    place = 0
    while place < len(data):
        buffer = upper_layer.receive_buffer()
        count = min(len(buffer), len(data) - place, piece_bytes or len(data))
        buffer[:count] = data[place : place + count]
        place += count
        for event in upper_layer.bytes_received(count):
            if isinstance(event, DataFragment):
                # The window is only valid now; the tests look later.
                event = event._replace(data=memoryview(bytes(event.data)))
            events.append(event)
    return events


@dataclass(frozen=True)
class Pair:
    """A requestor and an acceptor with an established association."""

    requestor: UpperLayer
    acceptor: UpperLayer


def associated(
    request: AssociateRequest | None = None,
    *,
    acceptor_maximum_length: int = 131_072,
    limits: UpperLayerLimits | None = None,
) -> Pair:
    request = request or a_request()
    requestor, acceptor = UpperLayer(Role.REQUESTOR, limits), UpperLayer(Role.ACCEPTOR, limits)
    feed(acceptor, requestor.associate_request(request))
    feed(requestor, acceptor.associate_accept(accepted(request, acceptor_maximum_length)))
    return Pair(requestor, acceptor)


def joined(buffers: Iterable[memoryview | bytes]) -> bytes:
    return b"".join(bytes(buffer) for buffer in buffers)


def message_view(events: list[Event]) -> list[object]:
    """Reduce events to what does not depend on how the bytes were cut on their way."""
    view: list[object] = []
    data = bytearray()
    for event in events:
        if isinstance(event, DataFragment):
            data += event.data
            if event.is_last:
                view.append(("data set", event.context_id, bytes(data)))
                data.clear()
            continue
        if data:
            view.append(("data set cut off", bytes(data)))
            data.clear()
        if isinstance(event, CommandReceived):
            view.append(("command", event.context_id, event.command.elements))
        else:
            view.append(repr(event))
    if data:
        view.append(("data set cut off", bytes(data)))
    return view
