"""The header of a message (MSH): read with care, because anybody may send it and everything else depends on it.

For: what a message says about itself, and everything that is wrong with that. Not for: any other segment.

Invariants
----------
* Whatever the bytes are, there is a header, as far as it can be read, and the list of what is wrong with it.
* Texts taken from it are bounded and hold no delimiter: they may be put into an answer.

References
----------
HL7 2.5.1 2.5.4 (delimiters), 2.15.9 (MSH), tables 0103 (processing id), 0104 (version), 0155 (acknowledgements)
"""

from dataclasses import dataclass, replace
from typing import Final

from pacs.worklist.hl7 import characters
from pacs.worklist.hl7.message import ErrorCode, FieldError

FIELD_CHARACTERS_MAX: Final = 227
"""Of a field that is used here; the longest that HL7 2.5.1 gives one of MSH (HD)."""

DELIMITERS: Final = "|^~\\&"
"""Those of HL7 2.5.1 2.5.4; what an answer to an unreadable message is written with."""

_DELIMITERS_COUNT: Final = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Header:
    """What MSH says; '' where it says nothing.

    Attributes
    ----------
    delimiters : str
        Field, component, repetition, escape, subcomponent.
    application, facility : str
        MSH-3.1 and MSH-4.1.
    sending, receiving : tuple of str
        MSH-3 and MSH-4, MSH-5 and MSH-6: the whole fields, to be put into an answer the other way round.
    code, event, structure : str
        MSH-9.
    accept_condition, application_condition : str
        MSH-15 and MSH-16.
    character_set : str
        MSH-18, the first of several.
    errors : tuple of FieldError
        What is wrong with it; () when the message may go on.
    """

    delimiters: str = DELIMITERS
    application: str = ""
    facility: str = ""
    sending: tuple[str, str] = ("", "")
    receiving: tuple[str, str] = ("", "")
    code: str = ""
    event: str = ""
    structure: str = ""
    control_id: str = ""
    processing_id: str = ""
    version: str = ""
    accept_condition: str = ""
    application_condition: str = ""
    character_set: str = ""
    errors: tuple[FieldError, ...] = ()

    @property
    def message_type(self) -> str:
        """MSH-9.1 and MSH-9.2, such as ``ORM^O01``; for lists."""
        return f"{self.code}^{self.event}" if self.event else self.code

    @property
    def is_enhanced(self) -> bool:
        """Whether the sender asks for enhanced acknowledgements (HL7 2.5.1 2.9.3)."""
        return bool(self.accept_condition or self.application_condition)


def read_header(content: bytes) -> Header:
    """Read the first segment of a message, whatever it is."""
    first = content.lstrip(b"\r\n").split(b"\r", 1)[0].split(b"\n", 1)[0]
    # One character a byte: which character set it is in is what we are about to learn.
    text = first.decode("iso8859-1").replace("\0", "")
    fault = _delimiter_fault(text)
    if fault is not None:
        return Header(errors=(fault,))
    separator, component = text[3], text[4]
    encoding_characters = text[4:].split(separator, 1)[0]
    delimiters = (separator + encoding_characters + DELIMITERS[len(encoding_characters) + 1 :])[:_DELIMITERS_COUNT]
    # MSH-1 is the separator itself, so that fields[n] is MSH-n.
    fields = [separator, *text.split(separator)]
    fields[1:3] = [separator, encoding_characters]

    def field(number: int) -> str:
        return fields[number][:FIELD_CHARACTERS_MAX].strip() if number < len(fields) else ""

    def part(number: int, position: int) -> str:
        parts = field(number).split(delimiters[2], 1)[0].split(component)
        return parts[position - 1].strip() if position <= len(parts) else ""

    header = Header(
        delimiters=delimiters,
        application=_decoded(part(3, 1), part(18, 1)),
        facility=_decoded(part(4, 1), part(18, 1)),
        sending=(field(3), field(4)),
        receiving=(field(5), field(6)),
        code=part(9, 1),
        event=part(9, 2),
        structure=part(9, 3),
        control_id=field(10),
        processing_id=part(11, 1),
        version=part(12, 1),
        accept_condition=part(15, 1).upper(),
        application_condition=part(16, 1).upper(),
        character_set=part(18, 1),
    )
    return _with_errors(header, is_id_cut=len(fields) > 10 and len(fields[10]) > FIELD_CHARACTERS_MAX)


def _delimiter_fault(text: str) -> FieldError | None:
    if not text.startswith("MSH"):
        return FieldError(
            segment="MSH", code=ErrorCode.SEGMENT_SEQUENCE, text="the message does not begin with the segment MSH"
        )
    used = text[3:8]
    separator = text[3:4]
    encoding_characters = text[4:].split(separator, 1)[0] if separator else ""
    distinct = set(separator + encoding_characters)
    is_usable = (
        len(used) >= 4
        and 2 <= len(encoding_characters) <= _DELIMITERS_COUNT
        and len(distinct) == 1 + len(encoding_characters)
        and all(one.isprintable() and not one.isalnum() and one != " " and one.isascii() for one in distinct)
    )
    if is_usable:
        return None
    return FieldError(
        segment="MSH", field=2, code=ErrorCode.DATA_TYPE, text="the delimiters in MSH-1 and MSH-2 cannot be used"
    )


def _decoded(text: str, character_set: str) -> str:
    """Return a text of MSH in its own character set; as it is when it has none or is not of it."""
    if text.isascii():
        return text
    try:
        return characters.decode(text.encode("iso8859-1"), character_set or characters.ASCII)
    except (characters.UnknownCharacterSet, characters.NotInCharacterSet):
        return text


def _with_errors(header: Header, *, is_id_cut: bool) -> Header:
    errors = []
    if not header.code:
        errors.append(_missing(9, "MSH-9 must say the type of the message"))
    if not header.control_id:
        errors.append(_missing(10, "MSH-10 must have the message's control id"))
    if is_id_cut:
        errors.append(
            FieldError(segment="MSH", field=10, code=ErrorCode.VALUE_TOO_LONG, text="the control id is too long")
        )
    if not header.version.startswith("2"):
        errors.append(
            FieldError(
                segment="MSH", field=12, code=ErrorCode.UNSUPPORTED_VERSION_ID,
                text="MSH-12 must say a version of HL7 2",
            )
        )  # fmt: skip
    return replace(header, errors=tuple(errors))


def _missing(field: int, text: str) -> FieldError:
    return FieldError(segment="MSH", field=field, code=ErrorCode.REQUIRED_FIELD_MISSING, text=text)
