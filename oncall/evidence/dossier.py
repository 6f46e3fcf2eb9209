"""A dossier: the sealed evidence of one case for one centre; its sections, their manifest, and the seal over both.

For: what a dossier is made of, which of it both centres hold alike, the one digest that is sealed. Not for: gathering
(`oncall.evidence.gathering`), verifying (`oncall.evidence.verification`), or pages (`oncall.evidence.pages`).

Every section is of one side: ``shared`` ones are equal, byte for byte, in the copies of both centres that were made of
the same log; ``own`` is what this centre alone holds; ``proof`` (head, anchors) is about this copy. The manifest holds
the SHA-256 of every item of every section, so that damage is placed in the item where it is; the seal is the node's
signature over the manifest.

Source: R.6316-4 of the Code de la santé publique; G4/CNOM guide, annexe 2 (each centre keeps its trace).
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from foundation.instants import microseconds
from oncall.evidence.anchor import with_stamp
from oncall.evidence.layout import to_bytes
from oncall.report.canonical import signature_to_json
from oncall.report.signing import NODE, Signer
from oncall.report.version import Signature

SCHEMA: Final = "telegarde.dossier/1"
KNOWN_SCHEMAS: Final = frozenset({SCHEMA})
PLATFORM: Final = "platform"
"""The centre that reads for the others."""


class Side(StrEnum):
    """Whose a section is."""

    SHARED = "shared"
    OWN = "own"
    PROOF = "proof"


SECTIONS: Final[Mapping[str, Side]] = {
    "head": Side.PROOF,
    "subject": Side.SHARED,
    "report": Side.SHARED,
    "acts": Side.SHARED,
    "people": Side.SHARED,
    "times": Side.SHARED,
    "clocks": Side.SHARED,
    "incidents": Side.SHARED,
    "identities": Side.SHARED,
    "accesses": Side.SHARED,
    "communications": Side.SHARED,
    "messages": Side.SHARED,
    "deliveries": Side.SHARED,
    "documents": Side.SHARED,
    "events": Side.SHARED,
    "own": Side.OWN,
    "anchors": Side.PROOF,
}
"""The sections, in the order of the file; ``head`` and ``subject`` are objects, all others lists."""

OBJECTS: Final = frozenset({"head", "subject"})

_ENCODE: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode


@dataclass(frozen=True, kw_only=True, slots=True)
class Centre:
    """Whose copy it is: a hospital's, by its site id, or the `PLATFORM`'s."""

    centre_id: str
    name: str
    time_zone: str

    @property
    def kind(self) -> str:
        """``hospital`` or ``platform``."""
        return PLATFORM if self.centre_id == PLATFORM else "hospital"


@dataclass(frozen=True, kw_only=True, slots=True)
class Gathered:
    """Everything that a dossier holds but its seal; ``sections`` has every name of `SECTIONS` but ``head``."""

    case_id: str
    centre: Centre
    made_at: datetime
    made_by: str
    as_of: datetime
    covers: Sequence[Mapping[str, Any]]
    sections: Mapping[str, Any]
    directory_version: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sealed:
    """A dossier as it is handed out: the bytes of its file, its digest, and the reference that the log keeps."""

    data: bytes = field(repr=False)
    digest: str
    reference: str
    sections: Mapping[str, Any] = field(repr=False)


def item_digest(item: Any) -> str:
    """Return SHA-256 of an item's canonical text (UTF-8), in lower-case hexadecimal.

    Raises
    ------
    ValueError
        If it holds what has no such text (half a character, a number that is none).
    """
    return hashlib.sha256(_ENCODE(item).encode()).hexdigest()


def manifest_of(sections: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return, for each section in its order, whose it is and the digests of its items."""
    return [
        {
            "section": name,
            "side": side.value,
            "sha256": [item_digest(item) for item in ([sections[name]] if name in OBJECTS else sections[name])],
        }
        for name, side in SECTIONS.items()
    ]


def seal_digest(schema: str, manifest: Any) -> str:
    """Return what is signed: SHA-256 over the schema's name and the manifest."""
    return item_digest({"schema": schema, "manifest": manifest})


def shared_digest(manifest: Sequence[Mapping[str, Any]]) -> str:
    """Return the digest over the shared sections alone: equal in the copies of both centres."""
    return item_digest([entry for entry in manifest if entry["side"] == Side.SHARED])


def seal(gathered: Gathered, signer: Signer, time_stamp: bytes | None = None) -> Sealed:
    """Return a dossier sealed with the node's key; the time stamp is over `digest_to_seal`."""
    sections, manifest, digest = _laid_out(gathered)
    signature = signer.sign(NODE, with_stamp(digest, time_stamp))
    return _sealed(gathered, sections, manifest, signature, digest, time_stamp)


def digest_to_seal(gathered: Gathered) -> str:
    """Return the digest that the seal of a dossier will be over, to be time-stamped before it is sealed."""
    return _laid_out(gathered)[2]


def _laid_out(gathered: Gathered) -> tuple[dict[str, Any], list[dict[str, Any]], str]:
    head = {
        "case_id": gathered.case_id,
        "centre": {
            "centre_id": gathered.centre.centre_id,
            "kind": gathered.centre.kind,
            "name": gathered.centre.name,
            "time_zone": gathered.centre.time_zone,
        },
        "made_at_us": microseconds(gathered.made_at),
        "made_by": gathered.made_by,
        "as_of_us": microseconds(gathered.as_of),
        "covers": list(gathered.covers),
        "directory_version": gathered.directory_version,
    }
    given = {**gathered.sections, "head": head}
    # What goes through JSON once is what every reader will see: tuples are lists from here on.
    sections = {name: json.loads(_ENCODE(given[name])) for name in SECTIONS}
    manifest = manifest_of(sections)
    return sections, manifest, seal_digest(SCHEMA, manifest)


def _sealed(
    gathered: Gathered, sections: Mapping[str, Any], manifest: list[dict[str, Any]], signature: Signature, digest: str,
    time_stamp: bytes | None,
) -> Sealed:  # fmt: skip
    content = {
        "schema": SCHEMA,
        **sections,
        "manifest": manifest,
        "seal": {
            "digest": digest,
            "signature": signature_to_json(signature),
            "time_stamp": None if time_stamp is None else time_stamp.hex(),
        },
    }
    return Sealed(
        data=to_bytes(content),
        digest=digest,
        reference=reference_of(gathered.centre.centre_id, digest),
        sections=content,
    )


def fingerprint(public_key: bytes) -> str:
    """Return how people compare keys: SHA-256 of the raw public key, in lower-case hexadecimal."""
    return hashlib.sha256(public_key).hexdigest()


def reference_of(centre_id: str, digest: str) -> str:
    """Return what the case's log keeps of a sealed dossier: for whom, and its digest."""
    return f"{centre_id}:{digest}"
