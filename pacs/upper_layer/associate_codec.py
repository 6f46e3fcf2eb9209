"""Bytes of A-ASSOCIATE-RQ and -AC, to and from the values of `associate`.

For: items and sub-items. Not for: the six bytes of PDU header, or judging what is proposed.

Invariants: big endian; whatever bytes come in, the outcome is a value or `RemoteProtocolError`; work and memory grow
linearly with the length of the PDU. Items of unknown type are skipped or kept, as the standard
asks; reserved bytes are sent as zero and not looked at.

References
----------
PS3.8 9.3.1 to 9.3.3, Annex D.1; PS3.7 D.3.3
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum

from pacs.upper_layer.associate import (
    DEFAULT_MAXIMUM_LENGTH,
    AssociateAccept,
    AssociateRequest,
    AsynchronousOperationsWindow,
    PresentationContextProposal,
    PresentationContextResult,
    RoleSelection,
    SopClassCommonExtendedNegotiation,
    SopClassExtendedNegotiation,
    UnknownItem,
    UserIdentity,
    UserInformation,
)
from pacs.upper_layer.errors import AbortReason, LocalProtocolError, RemoteProtocolError
from pacs.upper_layer.limits import AE_TITLE_BYTES_MAX, ASSOCIATE_FIXED_FIELDS_BYTES
from pacs.upper_layer.repertoire import decode_text, is_uid

__all__ = [
    "decode_associate_accept",
    "decode_associate_request",
    "encode_associate_accept",
    "encode_associate_request",
]

_ITEM_HEADER = struct.Struct(">BxH")
_FIXED_FIELDS = struct.Struct(">H2x16s16s32x")
_UINT16 = struct.Struct(">H")
_UINT32 = struct.Struct(">L")
_TWO_UINT16 = struct.Struct(">HH")


class _Item(IntEnum):
    """Types of items and sub-items (PS3.8 9.3.2, Annex D; PS3.7 D.3.3)."""

    APPLICATION_CONTEXT = 0x10
    CONTEXT_PROPOSAL = 0x20
    CONTEXT_RESULT = 0x21
    ABSTRACT_SYNTAX = 0x30
    TRANSFER_SYNTAX = 0x40
    USER_INFORMATION = 0x50
    MAXIMUM_LENGTH = 0x51
    IMPLEMENTATION_CLASS_UID = 0x52
    ASYNCHRONOUS_OPERATIONS = 0x53
    ROLE_SELECTION = 0x54
    IMPLEMENTATION_VERSION_NAME = 0x55
    SOP_CLASS_EXTENDED = 0x56
    SOP_CLASS_COMMON_EXTENDED = 0x57
    USER_IDENTITY = 0x58
    USER_IDENTITY_RESPONSE = 0x59


# --- reading -------------------------------------------------------------------------------------


def _items(data: bytes, start: int, stop: int) -> Iterator[tuple[int, int, int]]:
    """Yield (type, first byte, byte after the last) of each item between `start` and `stop`."""
    while start < stop:
        if stop - start < 4:
            raise RemoteProtocolError("an item header is cut off")
        item_type, length = _ITEM_HEADER.unpack_from(data, start)
        start += 4
        if length > stop - start:
            raise RemoteProtocolError("an item is longer than what contains it")
        yield item_type, start, start + length
        start += length


def _once(is_repeated: bool) -> None:
    if is_repeated:
        raise RemoteProtocolError("an item that may occur once occurs again", AbortReason.UNEXPECTED_PDU_PARAMETER)


def _counted(data: bytes, start: int, stop: int) -> tuple[bytes, int]:
    """Read a field preceded by its length in two bytes; return it and the place after it."""
    if stop - start < 2:
        raise RemoteProtocolError("a field length is cut off")
    begin = start + 2
    end = begin + _UINT16.unpack_from(data, start)[0]
    if end > stop:
        raise RemoteProtocolError("a field is longer than its item")
    return data[begin:end], end


def _context_proposal(data: bytes, start: int, stop: int) -> PresentationContextProposal:
    if stop - start < 4:
        raise RemoteProtocolError("a presentation context item is cut off")
    abstract_syntax = ""
    transfer_syntaxes: list[str] = []
    for item_type, begin, end in _items(data, start + 4, stop):
        if item_type == _Item.TRANSFER_SYNTAX:
            transfer_syntaxes.append(decode_text(data[begin:end]))
        elif item_type == _Item.ABSTRACT_SYNTAX:
            _once(abstract_syntax != "")
            abstract_syntax = decode_text(data[begin:end])
    return PresentationContextProposal(
        context_id=data[start],
        abstract_syntax=abstract_syntax,
        transfer_syntaxes=tuple(transfer_syntaxes),
    )


def _context_result(data: bytes, start: int, stop: int) -> PresentationContextResult:
    if stop - start < 4:
        raise RemoteProtocolError("a presentation context item is cut off")
    result = data[start + 2]
    transfer_syntax = ""
    for item_type, begin, end in _items(data, start + 4, stop):
        # Not significant, so not to be tested, when the context is refused (PS3.8 9.3.3.2).
        if item_type == _Item.TRANSFER_SYNTAX and result == 0:
            _once(transfer_syntax != "")
            transfer_syntax = decode_text(data[begin:end])
    return PresentationContextResult(context_id=data[start], result=result, transfer_syntax=transfer_syntax)


@dataclass(slots=True)
class _UserInformationReader:
    """Collects the sub-items of one user information item."""

    data: bytes
    maximum_length: int | None = None
    implementation_class_uid: str | None = None
    implementation_version_name: str | None = None
    window: AsynchronousOperationsWindow | None = None
    roles: list[RoleSelection] = field(default_factory=list)
    extended: list[SopClassExtendedNegotiation] = field(default_factory=list)
    common_extended: list[SopClassCommonExtendedNegotiation] = field(default_factory=list)
    user_identity: UserIdentity | None = None
    user_identity_response: bytes | None = None
    unknown: list[UnknownItem] = field(default_factory=list)

    def read(self, item_type: int, start: int, stop: int) -> None:
        """Take in one sub-item."""
        data = self.data
        match item_type:
            case _Item.MAXIMUM_LENGTH:
                _once(self.maximum_length is not None)
                self.maximum_length = _UINT32.unpack(_exactly(data[start:stop], 4))[0]
            case _Item.IMPLEMENTATION_CLASS_UID:
                _once(self.implementation_class_uid is not None)
                self.implementation_class_uid = decode_text(data[start:stop])
            case _Item.ASYNCHRONOUS_OPERATIONS:
                _once(self.window is not None)
                invoked, performed = _TWO_UINT16.unpack(_exactly(data[start:stop], 4))
                self.window = AsynchronousOperationsWindow(
                    operations_invoked_max=invoked, operations_performed_max=performed
                )
            case _Item.ROLE_SELECTION:
                self._read_role_selection(start, stop)
            case _Item.IMPLEMENTATION_VERSION_NAME:
                _once(self.implementation_version_name is not None)
                self.implementation_version_name = decode_text(data[start:stop])
            case _Item.SOP_CLASS_EXTENDED:
                uid, after = _counted(data, start, stop)
                self.extended.append(
                    SopClassExtendedNegotiation(
                        sop_class_uid=decode_text(uid), application_information=data[after:stop]
                    )
                )
            case _Item.SOP_CLASS_COMMON_EXTENDED:
                self._read_common_extended(start, stop)
            case _Item.USER_IDENTITY:
                self._read_user_identity(start, stop)
            case _Item.USER_IDENTITY_RESPONSE:
                _once(self.user_identity_response is not None)
                self.user_identity_response = _counted(data, start, stop)[0]
            case _:
                self.unknown.append(UnknownItem(item_type=item_type, content=data[start:stop]))

    def _read_role_selection(self, start: int, stop: int) -> None:
        uid, after = _counted(self.data, start, stop)
        scu_role, scp_role = _exactly(self.data[after:stop], 2)
        if scu_role > 1 or scp_role > 1:
            raise RemoteProtocolError("a role is neither 0 nor 1")
        self.roles.append(
            RoleSelection(sop_class_uid=decode_text(uid), scu_role=bool(scu_role), scp_role=bool(scp_role))
        )

    def _read_common_extended(self, start: int, stop: int) -> None:
        sop_class, after = _counted(self.data, start, stop)
        service_class, after = _counted(self.data, after, stop)
        related, _ = _counted(self.data, after, stop)
        uids: list[str] = []
        place = 0
        while place < len(related):
            uid, place = _counted(related, place, len(related))
            uids.append(decode_text(uid))
        self.common_extended.append(
            SopClassCommonExtendedNegotiation(
                sop_class_uid=decode_text(sop_class),
                service_class_uid=decode_text(service_class),
                related_general_sop_class_uids=tuple(uids),
            )
        )

    def _read_user_identity(self, start: int, stop: int) -> None:
        _once(self.user_identity is not None)
        if stop - start < 2:
            raise RemoteProtocolError("a user identity item is cut off")
        primary, after = _counted(self.data, start + 2, stop)
        secondary, _ = _counted(self.data, after, stop)
        self.user_identity = UserIdentity(
            identity_type=self.data[start],
            positive_response_requested=self.data[start + 1] == 1,
            primary_field=primary,
            secondary_field=secondary,
        )

    def result(self) -> UserInformation:
        """Return what was read."""
        length = self.maximum_length
        return UserInformation(
            maximum_length=DEFAULT_MAXIMUM_LENGTH if length is None else length,
            implementation_class_uid=self.implementation_class_uid or "",
            implementation_version_name=self.implementation_version_name or "",
            asynchronous_operations_window=self.window,
            role_selections=tuple(self.roles),
            sop_class_extended_negotiations=tuple(self.extended),
            sop_class_common_extended_negotiations=tuple(self.common_extended),
            user_identity=self.user_identity,
            user_identity_response=self.user_identity_response,
            unknown_items=tuple(self.unknown),
        )


def _exactly(raw: bytes, length: int) -> bytes:
    if len(raw) != length:
        raise RemoteProtocolError("a field of fixed length has another length")
    return raw


def _user_information(data: bytes, start: int, stop: int) -> UserInformation:
    reader = _UserInformationReader(data)
    for item_type, begin, end in _items(data, start, stop):
        reader.read(item_type, begin, end)
    return reader.result()


def _fixed_fields(data: bytes) -> tuple[int, str, str]:
    if len(data) < ASSOCIATE_FIXED_FIELDS_BYTES:
        raise RemoteProtocolError("an A-ASSOCIATE PDU is shorter than its fixed fields")
    version, called, calling = _FIXED_FIELDS.unpack_from(data)
    return version, decode_text(called), decode_text(calling)


def decode_associate_request(data: bytes) -> AssociateRequest:
    """Read an A-ASSOCIATE-RQ.

    Parameters
    ----------
    data : bytes
        The PDU without its six bytes of header.

    Raises
    ------
    RemoteProtocolError
        If the bytes are not an A-ASSOCIATE-RQ. What is well-formed but cannot be accepted (no contexts, another
        protocol version, ...) is left to `negotiation`, which has a better answer than an abort.

    References
    ----------
    PS3.8 9.3.2
    """
    version, called, calling = _fixed_fields(data)
    application_context: str | None = None
    contexts: list[PresentationContextProposal] = []
    user_information: UserInformation | None = None
    for item_type, start, stop in _items(data, ASSOCIATE_FIXED_FIELDS_BYTES, len(data)):
        if item_type == _Item.CONTEXT_PROPOSAL:
            contexts.append(_context_proposal(data, start, stop))
        elif item_type == _Item.APPLICATION_CONTEXT:
            _once(application_context is not None)
            application_context = decode_text(data[start:stop])
        elif item_type == _Item.USER_INFORMATION:
            _once(user_information is not None)
            user_information = _user_information(data, start, stop)
    return AssociateRequest(
        protocol_version=version,
        called_ae_title=called,
        calling_ae_title=calling,
        application_context=application_context or "",
        presentation_contexts=tuple(contexts),
        user_information=user_information or UserInformation(),
    )


def decode_associate_accept(data: bytes) -> AssociateAccept:
    """Read an A-ASSOCIATE-AC; as `decode_associate_request`.

    The two AE title fields are reserved here: what they hold is not to be tested.

    References
    ----------
    PS3.8 9.3.3
    """
    version, called, calling = _fixed_fields(data)
    application_context: str | None = None
    contexts: list[PresentationContextResult] = []
    user_information: UserInformation | None = None
    for item_type, start, stop in _items(data, ASSOCIATE_FIXED_FIELDS_BYTES, len(data)):
        if item_type == _Item.CONTEXT_RESULT:
            contexts.append(_context_result(data, start, stop))
        elif item_type == _Item.APPLICATION_CONTEXT:
            _once(application_context is not None)
            application_context = decode_text(data[start:stop])
        elif item_type == _Item.USER_INFORMATION:
            _once(user_information is not None)
            user_information = _user_information(data, start, stop)
    return AssociateAccept(
        protocol_version=version,
        called_ae_title=called,
        calling_ae_title=calling,
        application_context=application_context or "",
        presentation_contexts=tuple(contexts),
        user_information=user_information or UserInformation(),
    )


# --- writing -------------------------------------------------------------------------------------


def _item(item_type: int, content: bytes) -> bytes:
    if len(content) > 0xFFFF:
        raise LocalProtocolError(f"item {item_type:02X}H is longer than 65535 bytes")
    return _ITEM_HEADER.pack(item_type, len(content)) + content


def _uid_bytes(uid: str) -> bytes:
    raw = uid.encode("ascii", "replace")
    if not is_uid(raw):
        raise LocalProtocolError("a UID must be 1 to 64 digits and dots")
    return raw


def _ae_title_bytes(title: str) -> bytes:
    if not title.isascii() or len(title) > AE_TITLE_BYTES_MAX:
        raise LocalProtocolError("an AE title must be at most 16 characters of ASCII")
    return title.encode("ascii").ljust(AE_TITLE_BYTES_MAX)


def _with_count(raw: bytes) -> bytes:
    if len(raw) > 0xFFFF:
        raise LocalProtocolError("a field is longer than 65535 bytes")
    return _UINT16.pack(len(raw)) + raw


def _encode_user_information(user: UserInformation) -> bytes:
    parts = [_item(_Item.MAXIMUM_LENGTH, _UINT32.pack(user.maximum_length))]
    if user.implementation_class_uid:
        parts.append(_item(_Item.IMPLEMENTATION_CLASS_UID, _uid_bytes(user.implementation_class_uid)))
    window = user.asynchronous_operations_window
    if window is not None:
        content = _TWO_UINT16.pack(window.operations_invoked_max, window.operations_performed_max)
        parts.append(_item(_Item.ASYNCHRONOUS_OPERATIONS, content))
    for role in user.role_selections:
        content = _with_count(_uid_bytes(role.sop_class_uid))
        content += bytes((role.scu_role, role.scp_role))
        parts.append(_item(_Item.ROLE_SELECTION, content))
    if user.implementation_version_name:
        name = user.implementation_version_name
        if not name.isascii() or len(name) > 16:
            raise LocalProtocolError("the implementation version name has at most 16 characters")
        parts.append(_item(_Item.IMPLEMENTATION_VERSION_NAME, name.encode("ascii")))
    for extended in user.sop_class_extended_negotiations:
        content = _with_count(_uid_bytes(extended.sop_class_uid))
        parts.append(_item(_Item.SOP_CLASS_EXTENDED, content + extended.application_information))
    for common in user.sop_class_common_extended_negotiations:
        related = b"".join(_with_count(_uid_bytes(uid)) for uid in common.related_general_sop_class_uids)
        content = _with_count(_uid_bytes(common.sop_class_uid))
        content += _with_count(_uid_bytes(common.service_class_uid)) + _with_count(related)
        parts.append(_item(_Item.SOP_CLASS_COMMON_EXTENDED, content))
    identity = user.user_identity
    if identity is not None:
        content = bytes((identity.identity_type, identity.positive_response_requested))
        content += _with_count(identity.primary_field) + _with_count(identity.secondary_field)
        parts.append(_item(_Item.USER_IDENTITY, content))
    if user.user_identity_response is not None:
        content = _with_count(user.user_identity_response)
        parts.append(_item(_Item.USER_IDENTITY_RESPONSE, content))
    parts.extend(_item(unknown.item_type, unknown.content) for unknown in user.unknown_items)
    return _item(_Item.USER_INFORMATION, b"".join(parts))


def _encode_fixed_fields(associate: AssociateRequest | AssociateAccept) -> bytes:
    return _FIXED_FIELDS.pack(
        associate.protocol_version,
        _ae_title_bytes(associate.called_ae_title),
        _ae_title_bytes(associate.calling_ae_title),
    ) + _item(_Item.APPLICATION_CONTEXT, _uid_bytes(associate.application_context))


def encode_associate_request(request: AssociateRequest) -> bytes:
    """Write an A-ASSOCIATE-RQ without its six bytes of header.

    Raises
    ------
    LocalProtocolError
        If a value does not fit its field.

    References
    ----------
    PS3.8 9.3.2
    """
    parts = [_encode_fixed_fields(request)]
    for context in request.presentation_contexts:
        content = bytes((context.context_id, 0, 0, 0))
        content += _item(_Item.ABSTRACT_SYNTAX, _uid_bytes(context.abstract_syntax))
        for uid in context.transfer_syntaxes:
            content += _item(_Item.TRANSFER_SYNTAX, _uid_bytes(uid))
        parts.append(_item(_Item.CONTEXT_PROPOSAL, content))
    parts.append(_encode_user_information(request.user_information))
    return b"".join(parts)


def encode_associate_accept(accept: AssociateAccept) -> bytes:
    """Write an A-ASSOCIATE-AC without its six bytes of header; as `encode_associate_request`.

    References
    ----------
    PS3.8 9.3.3
    """
    parts = [_encode_fixed_fields(accept)]
    for context in accept.presentation_contexts:
        content = bytes((context.context_id, 0, context.result, 0))
        content += _item(_Item.TRANSFER_SYNTAX, _uid_bytes(context.transfer_syntax))
        parts.append(_item(_Item.CONTEXT_RESULT, content))
    parts.append(_encode_user_information(accept.user_information))
    return b"".join(parts)
