"""Acknowledgements: which are owed for a message, what they say, and what those that we get mean.

For: pure text from pure values, in both directions. Not for: deciding what became of a message.

Original mode has one answer (AA, AE, AR). In enhanced mode the sender says with MSH-15 when it wants the accept
acknowledgement (CA: kept safely; CE, CR: not), and with MSH-16 when the application acknowledgement; both go out on the
connection that the message came by, in this order.

Invariants
----------
* An answer says AA only for `Accepted`, and CA only for what is kept.
* No answer holds a value of the message beside what its MSH says of sender, receiver, control id, processing id,
  version and character set.

References
----------
HL7 2.5.1 2.9.2 (original), 2.9.3 (enhanced), 2.15.8 (MSA), 2.15.5 (ERR), tables 0008, 0155, 0357, 0516
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from foundation.errors import PeerError
from pacs.worklist.hl7.header import Header
from pacs.worklist.hl7.message import Accepted, ErrorCode, FieldError, Outcome, Parked, Rejected

OUR_NAME: Final = "TELEGARDE"
"""MSH-3 of answers to messages that name no receiver."""

ERRORS_MAX: Final = 20
"""ERR segments of one answer; a message with more is wrong as a whole."""

VERSION_UNKNOWN: Final = "2.5.1"

CODE_TEXTS: Final = {
    ErrorCode.SEGMENT_SEQUENCE: "Segment sequence error",
    ErrorCode.REQUIRED_FIELD_MISSING: "Required field missing",
    ErrorCode.DATA_TYPE: "Data type error",
    ErrorCode.TABLE_VALUE_NOT_FOUND: "Table value not found",
    ErrorCode.VALUE_TOO_LONG: "Value too long",
    ErrorCode.UNSUPPORTED_MESSAGE_TYPE: "Unsupported message type",
    ErrorCode.UNSUPPORTED_EVENT_CODE: "Unsupported event code",
    ErrorCode.UNSUPPORTED_PROCESSING_ID: "Unsupported processing id",
    ErrorCode.UNSUPPORTED_VERSION_ID: "Unsupported version id",
    ErrorCode.UNKNOWN_KEY_IDENTIFIER: "Unknown key identifier",
    ErrorCode.DUPLICATE_KEY_IDENTIFIER: "Duplicate key identifier",
    ErrorCode.RECORD_LOCKED: "Application record locked",
    ErrorCode.INTERNAL_ERROR: "Application internal error",
}
"""Table 0357."""


class AnswerCode(StrEnum):
    """Table 0008: MSA-1."""

    AA = "AA"
    AE = "AE"
    AR = "AR"
    CA = "CA"
    CE = "CE"
    CR = "CR"


TAKEN: Final = frozenset({AnswerCode.AA, AnswerCode.CA})


@dataclass(frozen=True, kw_only=True, slots=True)
class Answers:
    """What is sent back; b'' for an acknowledgement that is not owed."""

    accept: bytes = b""
    application: bytes = b""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What an acknowledgement that we got says.

    Attributes
    ----------
    code : AnswerCode
    control_id : str
        MSA-2: of which message.
    content : bytes
        All of it.
    """

    code: AnswerCode
    control_id: str
    content: bytes


class NoAnswer(PeerError):
    """What came is no acknowledgement."""


def answers_to_kept(header: Header, outcome: Outcome, *, answer_id: str, now: datetime) -> Answers:
    """Return the answers to a message that is kept: it took effect, or it is a dead letter.

    Parameters
    ----------
    answer_id : str
        MSH-10 of the application acknowledgement, at most 19 characters; the accept acknowledgement's has one more.
    now : datetime
        UTC.
    """
    errors = () if isinstance(outcome, Accepted) else outcome.errors
    reason = outcome.reason if isinstance(outcome, Parked) else ""
    code = _code_of(outcome)
    application = _written(header, code, errors, answer_id=answer_id, now=now, reason=reason)
    if not header.is_enhanced:
        return Answers(application=application)
    accept = _written(header, AnswerCode.CA, (), answer_id=f"{answer_id}C", now=now)
    return Answers(
        accept=accept if _is_owed(header.accept_condition, is_success=True) else b"",
        application=application if _is_owed(header.application_condition, is_success=code is AnswerCode.AA) else b"",
    )


def answers_to_unread(
    header: Header, errors: tuple[FieldError, ...], *, answer_id: str, now: datetime, is_error: bool = False
) -> Answers:
    """Return the answers to a message that nobody looked into: it cannot be read, is of a stranger, or cannot be kept.

    Parameters
    ----------
    is_error : bool
        Whether its content is to blame (AE, CE) and not its kind, its sender or us (AR, CR).
    """
    if not header.is_enhanced:
        code = AnswerCode.AE if is_error else AnswerCode.AR
        return Answers(application=_written(header, code, errors, answer_id=answer_id, now=now))
    if not _is_owed(header.accept_condition, is_success=False):
        return Answers()
    code = AnswerCode.CE if is_error else AnswerCode.CR
    return Answers(accept=_written(header, code, errors, answer_id=answer_id, now=now))


def read_answer(content: bytes) -> Answer:
    """Read an acknowledgement.

    Raises
    ------
    NoAnswer
        If it is none.
    """
    segments = content.decode("iso8859-1").replace("\n", "\r").split("\r")
    header = segments[0].lstrip()
    if not header.startswith("MSH") or len(header) < 4:
        raise NoAnswer("what came back does not begin with the segment MSH")
    separator = header[3]
    for segment in segments[1:]:
        fields = segment.strip().split(separator)
        if fields[0] == "MSA" and len(fields) > 2:
            try:
                code = AnswerCode(fields[1].strip().upper())
            except ValueError:
                raise NoAnswer("MSA-1 of what came back is not in table 0008") from None
            return Answer(code=code, control_id=fields[2].strip(), content=content)
    raise NoAnswer("what came back has no segment MSA")


def _code_of(outcome: Outcome) -> AnswerCode:
    match outcome:
        case Accepted():
            return AnswerCode.AA
        case Parked():
            return AnswerCode.AE
        case Rejected():
            return AnswerCode(outcome.code)


def _is_owed(condition: str, *, is_success: bool) -> bool:
    # Table 0155; in enhanced mode an empty condition means never (HL7 2.5.1 2.9.3.1).
    return condition == "AL" or condition == ("SU" if is_success else "ER")


def _written(
    header: Header,
    code: AnswerCode,
    errors: tuple[FieldError, ...],
    *,
    answer_id: str,
    now: datetime,
    reason: str = "",
) -> bytes:
    field, component = header.delimiters[0], header.delimiters[1]
    has_structures = header.version.split(component, 1)[0] not in {"2", "2.0", "2.0D", "2.1", "2.2", "2.3", "2.3.1"}
    kind = ["ACK", header.event, *(["ACK"] if has_structures else [])] if header.event else ["ACK"]
    never = "NE" if header.is_enhanced else ""
    segments = [
        [
            "MSH", header.delimiters[1:], header.receiving[0] or OUR_NAME, header.receiving[1], *header.sending,
            now.astimezone(UTC).strftime("%Y%m%d%H%M%S+0000"), "", component.join(kind), answer_id,
            header.processing_id or "P", header.version or VERSION_UNKNOWN, "", "", never, never, "",
            header.character_set,
        ],
        ["MSA", code.value, header.control_id, _escaped(errors[0].text, header.delimiters) if errors else ""],
        *(_error_segment(header, error, reason) for error in errors[:ERRORS_MAX]),
    ]  # fmt: skip
    # The texts of MSH were read one character a byte, so this gives their bytes back.
    return "".join(f"{field.join(fields).rstrip(field)}\r" for fields in segments).encode("iso8859-1")


def _error_segment(header: Header, error: FieldError, reason: str) -> list[str]:
    component, subcomponent = header.delimiters[1], header.delimiters[4]
    place = [error.segment, str(error.sequence)] if error.segment else []
    if place and error.field:
        place.append(str(error.field))
    coded = (error.code.value, CODE_TEXTS[error.code], "HL70357")
    # Before 2.5 the place and the code are in ERR-1.
    is_old = header.version.startswith(("2.1", "2.2", "2.3", "2.4"))
    old = component.join([*place, *[""] * (3 - len(place)), subcomponent.join(coded)]) if is_old else ""
    if place and error.field and error.component:
        place += ["1", str(error.component)]
    text = _escaped(error.text, header.delimiters)
    return ["ERR", old, component.join(place), component.join(coded), "E", reason, "", "", text]


def _escaped(text: str, delimiters: str) -> str:
    names = dict(zip(delimiters, "FSRET", strict=True))
    escape = delimiters[3]
    return "".join(f"{escape}{names[one]}{escape}" if one in names else one for one in text)
