"""Every bound of the upper layer, with its unit and its reason.

A peer decides what it sends; these numbers decide what it can make us hold or do.

References
----------
PS3.8 9.3 (PDU structure), Annex D.1 (Maximum Length); PS3.7 6.3 (command set).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = [
    "AE_TITLE_BYTES_MAX",
    "ASSOCIATE_FIXED_FIELDS_BYTES",
    "PDU_HEADER_BYTES",
    "PDV_HEADER_BYTES",
    "PRESENTATION_CONTEXTS_MAX",
    "UID_BYTES_MAX",
    "UpperLayerLimits",
]

PDU_HEADER_BYTES: Final = 6
"""Type, reserved byte and a length of four bytes before each PDU (PS3.8 9.3.1)."""

PDV_HEADER_BYTES: Final = 6
"""Length of four bytes, context ID and message control header before each fragment (PS3.8 9.3.5)."""

ASSOCIATE_FIXED_FIELDS_BYTES: Final = 68
"""What every A-ASSOCIATE-RQ and -AC begins with: version, two AE titles, reserved bytes (PS3.8 9.3.2)."""

PRESENTATION_CONTEXTS_MAX: Final = 128
"""Context IDs are the odd numbers 1 to 255 (PS3.8 9.3.2.2), so an association has no more."""

UID_BYTES_MAX: Final = 64
"""PS3.5 9.1."""

AE_TITLE_BYTES_MAX: Final = 16
"""PS3.5 6.2, VR AE; also the fixed field of A-ASSOCIATE (PS3.8 9.3.2)."""


@dataclass(frozen=True, kw_only=True)
class UpperLayerLimits:
    """What one association may make this side hold, in bytes.

    Attributes
    ----------
    pdu_length_max : int
        Longest P-DATA-TF that may be offered to a peer (0: no bound); the driver offers it in `Offer` or
        `UserInformation`. 128 KiB: five PDUs for a CT image instead of 33, and nothing is held per PDU, so
        larger gains nothing.
    send_pdu_length_max : int
        Longest P-DATA-TF we send, whatever the peer offers (0 is "unlimited"). Larger PDUs gain nothing
        measurable and some peers reserve the whole length.
    peer_pdu_length_min : int
        A peer that offers less is refused: fragments of a few bytes cost us more than they carry.
    associate_pdu_bytes_max : int
        Longest A-ASSOCIATE-RQ or -AC taken. 128 contexts with 30 transfer syntaxes are 110 KB; a SAML
        assertion may add 64 KB.
    command_set_bytes_max : int
        Longest command set taken. The longest in use (N-GET-RQ with an attribute list) is a few KB.
    receive_buffer_bytes : int
        The one buffer bytes are received into. Two PDUs of 128 KiB; must hold a whole A-ASSOCIATE.
    """

    pdu_length_max: int = 131_072
    send_pdu_length_max: int = 131_072
    peer_pdu_length_min: int = 128
    associate_pdu_bytes_max: int = 196_608
    command_set_bytes_max: int = 65_536
    receive_buffer_bytes: int = 262_144

    def __post_init__(self) -> None:
        if self.peer_pdu_length_min < PDV_HEADER_BYTES + 2:
            raise ValueError("peer_pdu_length_min must leave room for two bytes of data")
        if self.send_pdu_length_max < self.peer_pdu_length_min:
            raise ValueError("send_pdu_length_max must be at least peer_pdu_length_min")
        if self.pdu_length_max != 0 and self.pdu_length_max < PDV_HEADER_BYTES + 2:
            raise ValueError("pdu_length_max must be 0 (unlimited) or leave room for two bytes")
        if self.receive_buffer_bytes < self.associate_pdu_bytes_max + PDU_HEADER_BYTES + 1:
            raise ValueError("receive_buffer_bytes must exceed a whole A-ASSOCIATE PDU")
