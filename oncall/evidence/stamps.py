"""The RFC 3161 time stamps of a dossier, verified against an authority's root certificates.

For: what a dossier proves by somebody else's clock and key: that seal, anchors and signatures existed at an instant.
Not for: asking for time stamps (`oncall.report.time_stamps`). A dossier without any stands by the node's key alone.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography.x509 import Certificate

from oncall.evidence.difference import Difference, What
from oncall.evidence.sections import NONE_RECORDED
from oncall.evidence.verification import item_name
from oncall.report.canonical import signed_from_json
from oncall.report.time_stamps import signature_digest, verified_at
from oncall.strict_json import Value


@dataclass(frozen=True, kw_only=True, slots=True)
class Stamps:
    """``sealed_at`` (UTC) is when the seal existed by the authority's clock, None without one; ``held`` counts all."""

    sealed_at: datetime | None
    held: int
    differences: tuple[Difference, ...]


def verify_stamps(sections: Mapping[str, Any], roots: Sequence[Certificate]) -> Stamps:
    """Verify every time stamp of a dossier that was proven (`oncall.evidence.verification.verify`).

    Parameters
    ----------
    roots : sequence of Certificate
        To which the authority's certificate must chain.
    """
    sealed_at, held, differences = None, 0, []
    for section, place, name, digest, stamp in _stamped(sections):
        held += 1
        stamped_at = verified_at(stamp, digest, roots)
        if stamped_at is None:
            detail = "its time stamp is not over it, or by an authority that these roots do not vouch for"
            differences.append(Difference(what=What.FORGED, section=section, item=place, name=name, detail=detail))
        elif section == "seal":
            sealed_at = stamped_at
    return Stamps(sealed_at=sealed_at, held=held, differences=tuple(differences))


def _stamped(sections: Mapping[str, Any]) -> Iterator[tuple[str, int, str, str, bytes]]:
    seal = sections["seal"]
    if seal["time_stamp"] is not None:
        yield "seal", 0, "seal", seal["digest"], bytes.fromhex(seal["time_stamp"])
    for place, item in enumerate(_items(sections["anchors"]), start=1):
        if item["anchor"]["time_stamp"] is not None:
            stamp = bytes.fromhex(item["anchor"]["time_stamp"])
            yield "anchors", place, item_name("anchors", item, place), item["anchor"]["digest"], stamp
    for place, item in enumerate(_items(sections["report"]), start=1):
        signed = signed_from_json(Value(place="report", raw=item))
        if signed.time_stamp is not None:
            digest = signature_digest(signed.signature)
            yield "report", place, item_name("report", item, place), digest, signed.time_stamp


def _items(section: Any) -> list[Any]:
    return [] if section == [dict(NONE_RECORDED)] else list(section)
