"""A message as it came, looked into as far as the transport must: whose it is, and whether it can be read.

For: what is decided before a transaction is begun, so that none is held up by reading. Not for: rows
(`pacs.worklist.hl7.received`), or what a message means (`pacs.worklist.hl7.message.Handler`).

Invariants
----------
* Whatever the bytes are, they become an `Arrival`; nothing raises.
* A stranger's message never has the key of a known sender's: it cannot take its control id.
* What a parser is given is bounded in length and in its number of parts.

References
----------
HL7 2.5.1 2.5, 2.9.2.2 (what is looked at before the application), 2.10 (segments)
"""

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import hl7

from pacs.worklist.hl7 import characters
from pacs.worklist.hl7.framing import BEGINNING_BYTES, Block, BlockFault
from pacs.worklist.hl7.header import Header, read_header
from pacs.worklist.hl7.message import ErrorCode, FieldError, ReceivedMessage
from pacs.worklist.hl7.senders import Caller, SenderRule, SenderRules

PARTS_MAX: Final = 100_000
"""Delimiters in a message: each part costs the parser some hundred bytes, however short it is."""

MESSAGE_ID_CHARACTERS: Final = 32

_SEGMENT_NAME: Final = re.compile(r"[A-Z][A-Z0-9]{2}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """Why a message never reaches the handler.

    Attributes
    ----------
    reason : str
        One word for lists and logs.
    is_error : bool
        Whether its content is to blame (AE) and not its kind or its sender (AR).
    """

    reason: str
    is_error: bool
    errors: tuple[FieldError, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Arrival:
    """One message.

    Attributes
    ----------
    message_id, sender_control_key : str
        As in the table ``hl7_received``.
    content : bytes
        All of it, or its beginning.
    is_whole : bool
    site_id : str
        '' for a stranger's.
    received : ReceivedMessage or None
        None when there is a fault.
    fault : Fault or None
    """

    message_id: str
    sender_control_key: str
    header: Header
    content: bytes
    is_whole: bool
    site_id: str
    received_at: datetime
    received: ReceivedMessage | None
    fault: Fault | None

    @property
    def is_acknowledgement(self) -> bool:
        """Whether it is one itself: it is never answered, or two systems would thank each other for ever."""
        return self.header.code == "ACK"

    @property
    def is_of_stranger(self) -> bool:
        """Whether no configured sender sent it."""
        return not self.site_id


def examine(block: Block, caller: Caller, rules: SenderRules, *, processing_id: str, now: datetime) -> Arrival:
    """Look into a block that came.

    Parameters
    ----------
    processing_id : str
        MSH-11 of messages that may have an effect here: ``P`` on a node that serves patients.
    now : datetime
        When it came; UTC.
    """
    header = read_header(block.content)
    rule = rules.admitted(header.application, header.facility, caller)
    return _examined(block, header, rule, processing_id=processing_id, now=now)


def examine_again(content: bytes, rules: SenderRules, *, processing_id: str, received_at: datetime) -> Arrival:
    """Look into a message that is kept, by the rules of today; where it came from was looked at when it came."""
    header = read_header(content)
    rule = rules.named(header.application, header.facility)
    return _examined(Block(content=content), header, rule, processing_id=processing_id, now=received_at)


def _examined(block: Block, header: Header, rule: SenderRule | None, *, processing_id: str, now: datetime) -> Arrival:
    content = block.content
    # What has no control id, and what was cut, is known by its bytes alone.
    is_known = rule is not None and not header.errors and block.fault is None
    who = f"{header.application}\0{header.facility}\0{header.control_id}" if is_known else "stranger"
    digest = hashlib.sha256(f"{who}\0".encode() + content).hexdigest()
    message_id = digest[:MESSAGE_ID_CHARACTERS]
    fault = _fault_before_text(block, header, rule, processing_id)
    received: ReceivedMessage | None = None
    if fault is None:
        assert rule is not None
        received, fault = _read(content, header, rule, message_id, now)
    is_whole = block.fault is None and (rule is not None or len(content) <= BEGINNING_BYTES)
    return Arrival(
        message_id=message_id,
        sender_control_key=hashlib.sha256((who if is_known else message_id).encode()).hexdigest(),
        header=header,
        content=content if rule is not None else content[:BEGINNING_BYTES],
        is_whole=is_whole,
        site_id="" if rule is None else rule.identity.site_id,
        received_at=now,
        received=received,
        fault=fault,
    )


def _fault_before_text(block: Block, header: Header, rule: SenderRule | None, processing_id: str) -> Fault | None:
    match block.fault:
        case BlockFault.TOO_LONG:
            return _fault("too_long", ErrorCode.VALUE_TOO_LONG, "the message is longer than is taken here")
        case BlockFault.CUT_SHORT:
            return _fault("cut_short", ErrorCode.SEGMENT_SEQUENCE, "the message was cut before its end; send it again")
    if header.errors:
        return Fault(reason="header", is_error=False, errors=header.errors)
    if rule is None:
        text = "no application of this name may send from there; it must be configured here"
        return _fault("unknown_sender", ErrorCode.UNKNOWN_KEY_IDENTIFIER, text, field=3, is_error=False)
    if header.processing_id != processing_id:
        text = "messages of this processing id have no effect here"
        return _fault("processing_id", ErrorCode.UNSUPPORTED_PROCESSING_ID, text, field=11, is_error=False)
    return None


def _read(
    content: bytes, header: Header, rule: SenderRule, message_id: str, now: datetime
) -> tuple[ReceivedMessage | None, Fault | None]:
    try:
        text = characters.decode(content, header.character_set or rule.character_set)
    except characters.UnknownCharacterSet as error:
        return None, _fault("character_set", ErrorCode.TABLE_VALUE_NOT_FOUND, str(error), field=18)
    except characters.NotInCharacterSet as error:
        return None, _fault("character_set", ErrorCode.DATA_TYPE, str(error), field=18)
    segments = _segments(text)
    fault = _segment_fault(segments, header.delimiters)
    if fault is not None:
        return None, fault
    whole = "\r".join(segments) + "\r"
    try:
        parsed = hl7.parse(whole)
    except Exception:  # noqa: BLE001  # whatever a parser of somebody else's makes of a stranger's bytes is their fault
        return None, _fault("unreadable", ErrorCode.SEGMENT_SEQUENCE, "the message cannot be parsed")
    return (
        ReceivedMessage(
            message_id=message_id,
            control_id=header.control_id,
            code=header.code,
            event=header.event,
            structure=header.structure,
            version=header.version,
            processing_id=header.processing_id,
            sender=rule.identity,
            text=whole,
            parsed=parsed,
            received_at=now,
        ),
        None,
    )


def _segments(text: str) -> list[str]:
    # Segments end with a carriage return; files, and senders that were never told, have line feeds as well or instead.
    ended = text.replace("\r\n", "\r")
    if "\r" not in ended.strip("\r\n"):
        ended = ended.replace("\n", "\r")
    return [segment for segment in ended.split("\r") if segment.strip()]


def _segment_fault(segments: list[str], delimiters: str) -> Fault | None:
    if sum(segment.count(one) for segment in segments for one in delimiters) + len(segments) > PARTS_MAX:
        return _fault("too_complex", ErrorCode.VALUE_TOO_LONG, f"the message has more than {PARTS_MAX} parts")
    for number, segment in enumerate(segments, start=1):
        if "\0" in segment:
            return _fault("control_character", ErrorCode.DATA_TYPE, f"segment {number} holds a NUL character")
        # A line break inside a text that nobody escaped looks like this; the rest of the text would be lost.
        if not _SEGMENT_NAME.match(segment) or segment[3:4] not in ("", delimiters[0]):
            text = f"segment {number} has no name; line breaks inside a field must be escaped"
            return _fault("segments", ErrorCode.SEGMENT_SEQUENCE, text)
    return None


def _fault(reason: str, code: ErrorCode, text: str, *, field: int = 0, is_error: bool = True) -> Fault:
    error = FieldError(segment="MSH" if field else "", field=field, code=code, text=text)
    return Fault(reason=reason, is_error=is_error, errors=(error,))
