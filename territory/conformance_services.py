"""Facts of the conformance statement about what is negotiated: SOP Classes, transfer syntaxes, roles, options.

For: `territory.conformance`. Everything comes from `pacs.scp.presentation` and from asking the functions that answer a
negotiation; nothing here decides anything.

References
----------
PS3.2 N.1.2, N.5.1, N.7.2; PS3.4 C.5.1 to C.5.3; PS3.7 D.3.3
"""

from collections.abc import Mapping
from typing import Final

from pydicom.uid import UID

from pacs.archive.charset import parse_character_set
from pacs.archive.query_plan import Model
from pacs.scp import tls
from pacs.scp.find import MODELS, agree_extended
from pacs.scp.presentation import (
    MESSAGE_TRANSFER_SYNTAXES,
    SERVICE_SOP_CLASSES,
    STORAGE_SOP_CLASSES,
    STORAGE_TRANSFER_SYNTAXES,
    VERIFICATION,
    Needs,
    PresentationPolicy,
)
from pacs.scp.retrieve import GET_SOP_CLASSES, MOVE_SOP_CLASSES, negotiate_extended
from pacs.scp.services import Rights
from pacs.transcode import EXPLICIT_VR_LITTLE_ENDIAN, can_transcode, fallback_syntaxes
from pacs.transcode_jpeg import DECODER_DEPENDENCIES
from pacs.worklist.find_service import MODALITY_WORKLIST
from territory.conformance_markdown import code, number, table, text

_YES: Final = "Yes"
_NO: Final = "No"
# PS3.4 Tables C.5-1 and C.5-3: the bytes of the Service-class-application-information, in their order.
_FIND_OPTIONS: Final = (
    "Relational queries",
    "Combined date-time matching",
    "Fuzzy semantic matching of person names",
    "Timezone query adjustment",
    "Enhanced multi-frame image conversion",
    "Empty value matching",
    "Multiple value matching",
)
_RETRIEVE_OPTIONS: Final = ("Relational retrieval", "Enhanced multi-frame image conversion")
# PS3.3 C.12.1.1.2, Tables C.12-2 to C.12-5: every defined term of Specific Character Set.
_CHARACTER_SETS: Final = {
    "Default repertoire": ("ISO_IR 6", "ISO 2022 IR 6"),
    "Latin alphabet No. 1": ("ISO_IR 100", "ISO 2022 IR 100"),
    "Latin alphabet No. 2": ("ISO_IR 101", "ISO 2022 IR 101"),
    "Latin alphabet No. 3": ("ISO_IR 109", "ISO 2022 IR 109"),
    "Latin alphabet No. 4": ("ISO_IR 110", "ISO 2022 IR 110"),
    "Cyrillic": ("ISO_IR 144", "ISO 2022 IR 144"),
    "Arabic": ("ISO_IR 127", "ISO 2022 IR 127"),
    "Greek": ("ISO_IR 126", "ISO 2022 IR 126"),
    "Hebrew": ("ISO_IR 138", "ISO 2022 IR 138"),
    "Latin alphabet No. 5": ("ISO_IR 148", "ISO 2022 IR 148"),
    "Latin alphabet No. 9": ("ISO_IR 203", "ISO 2022 IR 203"),
    "Japanese, JIS X 0201": ("ISO_IR 13", "ISO 2022 IR 13"),
    "Thai": ("ISO_IR 166", "ISO 2022 IR 166"),
    "Japanese, JIS X 0208": ("ISO 2022 IR 87",),
    "Japanese, JIS X 0212": ("ISO 2022 IR 159",),
    "Korean, KS X 1001": ("ISO 2022 IR 149",),
    "Simplified Chinese, GB 2312": ("ISO 2022 IR 58",),
    "Unicode in UTF-8": ("ISO_IR 192",),
    "Chinese, GB18030": ("GB18030",),
    "Chinese, GBK": ("GBK",),
}
_NOTHING: Final = Rights(may_store=False, may_query=False, may_retrieve=False, move_destinations=None, issuer="")
_RIGHTS: Final[Mapping[str, Rights]] = {
    "store": Rights(may_store=True, may_query=False, may_retrieve=False, move_destinations=None, issuer=""),
    "query": Rights(may_store=False, may_query=True, may_retrieve=False, move_destinations=None, issuer=""),
    "retrieve": Rights(may_store=False, may_query=False, may_retrieve=True, move_destinations=None, issuer=""),
    "commit": Rights(
        may_store=False, may_query=False, may_retrieve=False, may_commit=True, move_destinations=None, issuer=""
    ),
    "worklist": Rights(
        may_store=False, may_query=False, may_retrieve=False, may_worklist=True, move_destinations=None, issuer=""
    ),
    "workitems": Rights(
        may_store=False, may_query=False, may_retrieve=False, may_workitems=True, move_destinations=None, issuer=""
    ),
}
_ANY_STORAGE: Final = next(iter(STORAGE_SOP_CLASSES))


def facts() -> dict[str, str]:
    """Return Markdown by the name that templates use."""
    return {
        "storage_sop_class_count": number(len(STORAGE_SOP_CLASSES)),
        "storage_transfer_syntax_count": number(len(STORAGE_TRANSFER_SYNTAXES)),
        "network_services": _network_services(),
        "storage_sop_classes": _uid_table("SOP Class", STORAGE_SOP_CLASSES),
        "storage_transfer_syntaxes": _storage_transfer_syntaxes(),
        "message_transfer_syntaxes": _uid_table("Transfer syntax", MESSAGE_TRANSFER_SYNTAXES),
        "fallback_transfer_syntaxes": " and ".join(
            STORAGE_TRANSFER_SYNTAXES[uid] for uid in fallback_syntaxes(_always_decodable())
        ),
        "acceptance_by_right": _acceptance_by_right(),
        "accepted_contexts": _accepted_contexts(),
        "requestor_roles": _requestor_roles(),
        "information_models": _information_models(),
        "extended_negotiation": _extended_negotiation(),
        "character_sets": _character_sets(),
        "tls_cipher_suites": table(
            ["Cipher suite for TLS 1.2"], [[code(suite)] for suite in tls.CIPHER_SUITES.split(":")]
        ),
    }


def name_of(uid: str) -> str:
    """Return the registered name of a SOP Class."""
    return STORAGE_SOP_CLASSES.get(uid) or UID(uid).name


def _uid_table(heading: str, names: Mapping[str, str]) -> str:
    return table([heading, "UID"], [[text(names[uid]), code(uid)] for uid in sorted(names, key=_components)])


def _components(uid: str) -> tuple[int, ...]:
    """Return the sort key of a UID: 1.2.10 comes after 1.2.9."""
    return tuple(int(component) for component in uid.split("."))


def _network_services() -> str:
    rows = [
        ["Transfer", f"Storage: {number(len(STORAGE_SOP_CLASSES))} SOP Classes (Annex A.1)", "Annex A.1", _YES, _YES]
    ]
    rows += [
        [_group_of(uid), text(name_of(uid)), code(uid), _NO, _YES]
        for uid in sorted(SERVICE_SOP_CLASSES, key=lambda uid: (_GROUPS.index(_group_of(uid)), uid))
    ]
    return table(["Service", "SOP Class", "UID", "SCU", "SCP"], rows)


_GROUPS: Final = (
    "Verification",
    "Storage commitment",
    "Query",
    "Retrieve",
    "Modality worklist and performed steps",
    "Work items",
)
_GROUP_OF_NEEDS: Final = {
    Needs.NOTHING: "Verification",
    Needs.COMMIT: "Storage commitment",
    Needs.QUERY: "Query",
    Needs.RETRIEVE: "Retrieve",
    Needs.WORKLIST: "Modality worklist and performed steps",
    Needs.WORKITEMS: "Work items",
}


def _group_of(uid: str) -> str:
    return _GROUP_OF_NEEDS[SERVICE_SOP_CLASSES[uid]]


def _storage_transfer_syntaxes() -> str:
    names = STORAGE_TRANSFER_SYNTAXES
    rows = [[text(names[uid]), code(uid), _transcoding(uid)] for uid in sorted(names, key=_components)]
    return table(["Transfer syntax", "UID", "Can be sent uncompressed"], rows)


def _transcoding(uid: str) -> str:
    # Asked of the decoder's table and not of this machine: the statement is the same everywhere.
    libraries = DECODER_DEPENDENCIES.get(UID(uid))
    if libraries is not None:
        return f"{_YES}, by the library {' and '.join(libraries)}"
    return _YES if can_transcode(uid, EXPLICIT_VR_LITTLE_ENDIAN) else "No: sent as stored or not at all"


def _always_decodable() -> str:
    """Return a compressed transfer syntax that can be transcoded without the library of another."""
    return next(
        uid
        for uid in STORAGE_TRANSFER_SYNTAXES
        if uid not in DECODER_DEPENDENCIES
        and uid not in MESSAGE_TRANSFER_SYNTAXES
        and can_transcode(uid, EXPLICIT_VR_LITTLE_ENDIAN)
    )


def _acceptance_by_right() -> str:
    """Ask the policy itself which right opens which service."""
    policy = PresentationPolicy(private_sop_classes=[])
    asked = [
        (name_of(uid), code(uid), uid, frozenset[str]())
        for uid in sorted(SERVICE_SOP_CLASSES, key=lambda uid: (_GROUPS.index(_group_of(uid)), uid))
    ]
    asked += [
        ("Storage", "Annex A.1", _ANY_STORAGE, frozenset[str]()),
        ("Storage, the requestor proposing to be SCP", "Annex A.1", _ANY_STORAGE, frozenset({_ANY_STORAGE})),
    ]
    rows = []
    for name, shown, uid, scp_roles in asked:
        if policy.transfer_syntaxes_for(uid, _NOTHING, scp_roles=scp_roles):
            opened = "none needed"
        else:
            opened = " or ".join(
                code(right)
                for right, rights in _RIGHTS.items()
                if policy.transfer_syntaxes_for(uid, rights, scp_roles=scp_roles)
            )
        rows.append([text(name), shown, opened])
    return table(["Abstract syntax", "UID", "Right of the calling AE"], rows)


def _accepted_contexts() -> str:
    storage = f"Annex A.2 ({number(len(STORAGE_TRANSFER_SYNTAXES))})"
    messages = f"Annex A.3 ({number(len(MESSAGE_TRANSFER_SYNTAXES))})"
    rows = [
        ["Storage SOP Classes", "Annex A.1", storage, "SCP; SCU when the requestor takes the SCP role", "None"],
        ["Private SOP Classes as configured", "Annex A.4", storage, "As above", "None"],
    ]
    rows += [
        [text(name_of(uid)), code(uid), messages, "SCP", _extended_of(uid)]
        for uid in sorted(SERVICE_SOP_CLASSES, key=lambda uid: (_GROUPS.index(_group_of(uid)), uid))
    ]
    return table(["Abstract syntax", "UID", "Transfer syntaxes", "Role of the node", "Extended negotiation"], rows)


def _extended_of(uid: str) -> str:
    if uid == MODALITY_WORKLIST:
        return "Section 5.2.1"
    if uid in MODELS or uid in MOVE_SOP_CLASSES or uid in GET_SOP_CLASSES:
        return "Section 5.2.7.1"
    return "None"


def _requestor_roles() -> str:
    policy = PresentationPolicy(private_sop_classes=[])
    asked = [("Storage", code(right), _ANY_STORAGE, _RIGHTS[right]) for right in ("store", "retrieve")]
    asked += [("Every other SOP Class", "any", VERIFICATION, _NOTHING)]
    rows = []
    for name, right, uid, rights in asked:
        roles = policy.requestor_roles_for(uid, rights)
        rows.append([name, right, _YES if roles.scu else _NO, _YES if roles.scp else _NO])
    return table(["SOP Class", "Right of the calling AE", "Requestor may be SCU", "Requestor may be SCP"], rows)


def _information_models() -> str:
    rows = []
    for model in Model:
        uids = [
            next(uid for uid, one in models.items() if one is model)
            for models in (MODELS, MOVE_SOP_CLASSES, GET_SOP_CLASSES)
        ]
        levels = ", ".join(level.value for level in model.levels)
        rows.append([model.value, *map(code, uids), levels])
    return table(["Information model", "FIND", "MOVE", "GET", "Levels"], rows)


def _extended_negotiation() -> str:
    """Propose everything and see what is agreed."""
    find = agree_extended(bytes([1] * len(_FIND_OPTIONS)))
    rows = [
        ["C-FIND", number(position), option, _YES if agreed else _NO]
        for position, (option, agreed) in enumerate(zip(_FIND_OPTIONS, find, strict=True), start=1)
    ]
    retrieve = negotiate_extended(next(iter(MOVE_SOP_CLASSES)), bytes([1] * len(_RETRIEVE_OPTIONS))) or b""
    answered = [*retrieve, *([0] * (len(_RETRIEVE_OPTIONS) - len(retrieve)))]
    rows += [
        ["C-MOVE, C-GET", number(position), option, _YES if agreed else _NO]
        for position, (option, agreed) in enumerate(zip(_RETRIEVE_OPTIONS, answered, strict=True), start=1)
    ]
    return table(["Service", "Byte", "Option", "Agreed to when proposed"], rows)


def _character_sets() -> str:
    """Ask the reader of Specific Character Set whether it knows each term."""
    rows = []
    for name, terms in _CHARACTER_SETS.items():
        is_known = all(parse_character_set(term).is_known for term in terms)
        has_extensions = any(term.startswith("ISO 2022") for term in terms)
        rows.append([name, ", ".join(map(code, terms)), _YES if has_extensions else _NO, _YES if is_known else _NO])
    return table(["Character set", "Defined terms", "With code extensions", "Read and written"], rows)
