"""The identifier of C-MOVE and C-GET: from its bytes to a `Selection`, and the list of failures back to bytes.

Pure. Not for: C-FIND's identifiers, whose keys match and are returned.

References
----------
PS3.4 C.4.2.1.4 and C.4.3.1.3 (identifiers), C.4.2.2.1 (baseline) and C.4.2.2.2 (relational), C.6 (unique keys)
"""

import struct
from collections.abc import Sequence
from typing import Final

from foundation.errors import PeerError
from pacs.archive.attributes import UNIQUE_KEY, Level
from pacs.archive.charset import parse_character_set
from pacs.archive.query_plan import IdentifierDoesNotMatch, Model
from pacs.archive.retrieval import Selection
from pacs.transcode import (
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    TranscodingImpossible,
    transcode,
)
from pacs.transcode_elements import EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE, read_values

_SPECIFIC_CHARACTER_SET: Final = 0x00080005
_QUERY_RETRIEVE_LEVEL: Final = 0x00080052
_FAILED_SOP_INSTANCE_UID_LIST: Final = 0x00080058
_PATIENT_ID: Final = 0x00100020
_ISSUER_OF_PATIENT_ID: Final = 0x00100021
_STUDY_INSTANCE_UID: Final = 0x0020000D
_SERIES_INSTANCE_UID: Final = 0x0020000E
_SOP_INSTANCE_UID: Final = 0x00080018
_WANTED: Final = frozenset(
    {
        _SPECIFIC_CHARACTER_SET, _QUERY_RETRIEVE_LEVEL, _PATIENT_ID, _ISSUER_OF_PATIENT_ID, _STUDY_INSTANCE_UID,
        _SERIES_INSTANCE_UID, _SOP_INSTANCE_UID,
    }
)  # fmt: skip
_ENCODINGS: Final = {
    IMPLICIT_VR_LITTLE_ENDIAN: IMPLICIT_LITTLE,
    EXPLICIT_VR_LITTLE_ENDIAN: EXPLICIT_LITTLE,
    EXPLICIT_VR_BIG_ENDIAN: EXPLICIT_BIG,
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN: EXPLICIT_LITTLE,
}
_UID_TAGS: Final = (_STUDY_INSTANCE_UID, _SERIES_INSTANCE_UID, _SOP_INSTANCE_UID)
# An explicit UI has a 16 bit length.
_SHORT_LENGTH_MAX: Final = 0xFFFE


class IdentifierUnreadable(PeerError):
    """The identifier is no data set in the transfer syntax agreed (status 0xC001)."""


def parse_selection(
    dataset: bytes, *, transfer_syntax: str, model: Model, is_relational: bool, default_issuer: str
) -> tuple[Level, Selection]:
    """Read what is to be retrieved.

    Parameters
    ----------
    dataset : bytes
        The identifier.
    transfer_syntax : str
        Of its presentation context: a native one.
    model : Model
        Decides which levels there are.
    is_relational : bool
        Whether relational retrieve was negotiated: then keys above the level may be missing, or be lists.
    default_issuer : str
        See `Selection`.

    Raises
    ------
    IdentifierUnreadable
    IdentifierDoesNotMatch
        If the level is none of the model, or a unique key is missing.
    """
    values = _values(dataset, transfer_syntax)
    level = _level(values, model)
    uids = {tag: _uids(values.get(tag, b"")) for tag in _UID_TAGS}
    patient_id, issuer = _text(values, _PATIENT_ID), _text(values, _ISSUER_OF_PATIENT_ID)
    for key_level in model.levels:
        key = UNIQUE_KEY[key_level]
        count = int(patient_id is not None) if key.tag == _PATIENT_ID else len(uids[key.tag])
        is_above = key_level is not level
        if count == 0 and not (is_above and is_relational):
            raise IdentifierDoesNotMatch(key.tag, f"{key.keyword} is needed for level {level.value}")
        if count > 1 and is_above and not is_relational:
            raise IdentifierDoesNotMatch(key.tag, f"{key.keyword} must be one value")
        if not is_above:
            break
        assert level.depth > key_level.depth
    depth = level.depth
    return level, Selection(
        patient_id=patient_id,
        issuer=issuer,
        default_issuer=default_issuer,
        # A key below the level does not select (PS3.4 C.4.2.1.4: it shall not be there).
        study_instance_uids=uids[_STUDY_INSTANCE_UID] if depth >= Level.STUDY.depth else (),
        series_instance_uids=uids[_SERIES_INSTANCE_UID] if depth >= Level.SERIES.depth else (),
        sop_instance_uids=uids[_SOP_INSTANCE_UID] if depth >= Level.IMAGE.depth else (),
    )


def failed_list(sop_instance_uids: Sequence[str], transfer_syntax: str) -> bytes:
    """Encode the identifier of a final response: Failed SOP Instance UID List (0008,0058).

    References
    ----------
    PS3.4 C.4.2.1.4.2; PS3.5 6.2.2 (a list longer than 64 KiB has VR UN when VRs are explicit)
    """
    value = "\\".join(sop_instance_uids).encode("ascii")
    value += b"\0" * (len(value) % 2)
    group, element = _FAILED_SOP_INSTANCE_UID_LIST >> 16, _FAILED_SOP_INSTANCE_UID_LIST & 0xFFFF
    if len(value) > _SHORT_LENGTH_MAX:
        head = struct.pack("<HH2sxxL", group, element, b"UN", len(value))
    else:
        head = struct.pack("<HH2sH", group, element, b"UI", len(value))
    explicit = memoryview(head + value)
    return bytes(transcode(explicit, source_uid=EXPLICIT_VR_LITTLE_ENDIAN, target_uid=transfer_syntax))


def _values(dataset: bytes, transfer_syntax: str) -> dict[int, bytes]:
    view = memoryview(dataset)
    try:
        if transfer_syntax == DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN:
            view = transcode(view, source_uid=transfer_syntax, target_uid=EXPLICIT_VR_LITTLE_ENDIAN)
        return read_values(view, _ENCODINGS[transfer_syntax], _WANTED)
    except TranscodingImpossible as error:
        raise IdentifierUnreadable("the identifier cannot be read") from error


def _level(values: dict[int, bytes], model: Model) -> Level:
    name = values.get(_QUERY_RETRIEVE_LEVEL, b"").decode("ascii", "replace").strip(" \0")
    for level in model.levels:
        if level.value == name:
            return level
    raise IdentifierDoesNotMatch(_QUERY_RETRIEVE_LEVEL, f"no such level in {model.value}")


def _uids(raw: bytes) -> tuple[str, ...]:
    parts = (part.strip(" \0") for part in raw.decode("ascii", "replace").split("\\"))
    return tuple(dict.fromkeys(part for part in parts if part))


def _text(values: dict[int, bytes], tag: int) -> str | None:
    declared = values.get(_SPECIFIC_CHARACTER_SET, b"").decode("ascii", "replace").strip(" \0")
    text = parse_character_set(declared).decode_key(values.get(tag, b""), is_name=False).strip(" \0")
    return text or None
