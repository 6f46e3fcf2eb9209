"""Verifying a dossier from its file alone: whole, unaltered, sealed by the node, and where it is not.

For: `verify`, which needs nothing but the file, and says more when it is given the node's public keys. Not for:
comparing with the node's own log (`oncall.evidence.against_log`), or two copies (`oncall.evidence.reconciliation`).

What is found: any byte that is not as it was written; any item of any section altered, dropped, doubled, moved or added
(manifest); events that do not form the chain they formed; versions that are not what was signed; anchors that say
something else about the chain than it says itself; a manifest or a seal that is not the node's. Who rewrites events and
all hashes after them, and the manifest, still lacks the node's key: seal and anchors give it away. A seal by a key that
nobody compared proves only that the file is as its maker made it: `Verdict.is_key_known` says which it was.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from foundation.errors import PeerError
from oncall.case.event import GENESIS_HASH
from oncall.evidence import layout
from oncall.evidence.anchor import Leaf, anchor_from_json, faults_of, with_stamp
from oncall.evidence.difference import Difference, What, list_steps
from oncall.evidence.dossier import KNOWN_SCHEMAS, OBJECTS, SCHEMA, SECTIONS, fingerprint, item_digest, seal_digest
from oncall.evidence.layout import FileDamaged
from oncall.evidence.merkle import is_under
from oncall.evidence.sections import NONE_RECORDED
from oncall.report.canonical import digest_of, signature_from_json, signed_from_json
from oncall.report.signing import NODE, holder_of
from oncall.report.signing import verify as verify_signature
from oncall.strict_json import DocumentInvalid, Value

# Of an RFC 3161 answer in hexadecimal, with all its certificates.
_STAMP_DIGITS_MAX: Final = 200_000
_FAMILY: Final = "telegarde.dossier/"
_ENCODE: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode
# What content that nobody promised the shape of may raise while it is looked at.
_UNREADABLE: Final = (KeyError, TypeError, ValueError, AttributeError, IndexError, RecursionError, PeerError)


class DossierUnusable(PeerError):
    """The file is no dossier, or one of a schema that this program does not read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What verification found; ``sections`` is what could be read, None when the file cannot.

    ``key`` is SHA-256 of the public key of the seal, '' without one; ``is_key_known`` that it was compared with a key
    that was given. ``anchors`` counts the anchors that prove events of the dossier.
    """

    differences: tuple[Difference, ...]
    sections: Mapping[str, Any] | None = None
    key: str = ""
    is_key_known: bool = False
    anchors: int = 0

    @property
    def is_proven(self) -> bool:
        """Whether nothing was found."""
        return not self.differences


def verify(data: bytes, *, node_keys: frozenset[bytes] = frozenset()) -> Verdict:
    """Verify a dossier's file.

    Parameters
    ----------
    data : bytes
        The whole file (JSON).
    node_keys : frozenset of bytes
        Raw Ed25519 public keys of the node, where they are known.

    Raises
    ------
    DossierUnusable
        If it is no dossier, longer than `layout.FILE_BYTES_MAX`, or of a schema that is not known.
    """
    if len(data) > layout.FILE_BYTES_MAX:
        raise DossierUnusable(f"a dossier has at most {layout.FILE_BYTES_MAX} bytes; this is something else")
    try:
        sections = layout.from_bytes(data)
    except FileDamaged as damage:
        if _FAMILY.encode() not in data and b'"manifest":' not in data:
            raise DossierUnusable("this is no dossier of evidence; give the file as it was made") from None
        name = f"byte {damage.offset} of the file, in {damage.place}"
        return Verdict(differences=(Difference(what=What.DAMAGED, section="file", name=name, detail=damage.reason),))
    differences = _schema_differences(sections)
    found = list(_shape_differences(sections))
    if found:
        return Verdict(differences=(*differences, *found), sections=sections)
    seal = _Seal.read(sections)
    differences += seal.differences(sections, node_keys)
    differences += _item_differences(sections, is_sealed=seal.is_over_manifest)
    touched = {one.section for one in differences}
    for section, look in _LOOKS.items():
        if section not in touched:
            seen = _looked_at(look, section, sections, node_keys)
            # Of what was found in a section already, an anchor has no more to say.
            differences += [one for one in seen if one.section not in touched]
    if not {"events", "report"} & {one.section for one in differences}:
        differences += _looked_at(_look_at_signings, "report", sections, node_keys)
    return Verdict(
        differences=tuple(differences),
        sections=sections,
        key=seal.fingerprint,
        is_key_known=bool(node_keys) and seal.public_key in node_keys,
        anchors=len(_items(sections["anchors"])),
    )


def event_name(item: Any, place: int) -> str:
    """Return what an event's item is called, however damaged it is."""
    try:
        return f"event {int(item['body']['seq'])} of case {item['body']['case_id']}"
    except _UNREADABLE:
        return f"item {place + 1} of the events"


def item_name(section: str, item: Any, place: int) -> str:
    """Return what an item of a section is called."""
    try:
        if section == "events":
            return event_name(item, place)
        if section == "report":
            version = item["version"]
            return f"version {int(version['version'])} of the report of case {version['case_id']}"
        if section == "anchors":
            return f"anchor {int(item['anchor']['statement']['number'])}"
        if section == "documents":
            return f"document {item['kind']} of version {int(item['version'])}"
    except _UNREADABLE:
        return f"{section}, item {place + 1}"
    return section if section in OBJECTS else f"{section}, item {place + 1}"


def signed_in(body: Mapping[str, Any]) -> Iterator[tuple[tuple[str, int], str]]:
    """Return which version of which case an event says was signed, and the version's digest."""
    payload = body["payload"]
    if str(body["type"]).startswith(("report.", "prelim.")) and payload.get("content_hash"):
        # A retraction names the version that it withdraws, and the notice that is the next one.
        number = payload.get("notice_version", payload.get("version"))
        if number is not None:
            yield (body["case_id"], number), payload["content_hash"]


# Shape and schema


def _schema_differences(sections: Mapping[str, Any]) -> list[Difference]:
    schema = sections.get("schema")
    if schema in KNOWN_SCHEMAS:
        return []
    try:
        is_ours = seal_digest(SCHEMA, sections["manifest"]) == sections["seal"]["digest"]
    except _UNREADABLE:
        is_ours = False
    if is_ours or (not isinstance(schema, str) and "manifest" in sections):
        return [Difference(what=What.ALTERED, section="schema", detail="it is not what was sealed")]
    if isinstance(schema, str) and schema.startswith(_FAMILY):
        known = ", ".join(sorted(KNOWN_SCHEMAS))
        raise DossierUnusable(f"a dossier of another schema; this program reads {known}: use the one that made it")
    raise DossierUnusable("this is no dossier of evidence; give the file as it was made")


def _shape_differences(sections: Mapping[str, Any]) -> Iterator[Difference]:
    wanted = ["schema", *SECTIONS, "manifest", "seal"]
    found = list(sections)
    for name in wanted:
        if name not in sections:
            yield Difference(what=What.MISSING, section=name, detail="the section is not there")
    for name in found:
        if name not in wanted:
            yield Difference(what=What.ADDED, section=name[:40], detail="no dossier has such a section")
    if sorted(found) == sorted(wanted) and found != wanted:
        first = next(name for name, other in zip(found, wanted, strict=True) if name != other)
        yield Difference(what=What.MOVED, section=first, detail="the sections are in another order")
    for name in wanted:
        kind = dict if name in OBJECTS or name == "seal" else str if name == "schema" else list
        if name in sections and not isinstance(sections[name], kind):
            yield Difference(what=What.ALTERED, section=name, detail="it is not of its kind")


# Seal and manifest


@dataclass(frozen=True, kw_only=True, slots=True)
class _Seal:
    is_over_manifest: bool
    is_signed: bool
    public_key: bytes
    reason: str = ""

    @classmethod
    def read(cls, sections: Mapping[str, Any]) -> "_Seal":
        try:
            given = Value(place="seal", raw=sections["seal"]).record(("digest", "signature", "time_stamp"))
            digest = given["digest"].text()
            signature = signature_from_json(given["signature"])
            stamp = given.get("time_stamp", lambda one: bytes.fromhex(one.text(characters_max=_STAMP_DIGITS_MAX)), None)
            is_over = seal_digest(SCHEMA, sections["manifest"]) == digest
        except _UNREADABLE:
            return cls(is_over_manifest=False, is_signed=False, public_key=b"", reason="it cannot be read")
        is_signed = verify_signature(signature, with_stamp(digest, stamp)) and holder_of(signature) == NODE
        return cls(is_over_manifest=is_over, is_signed=is_signed, public_key=signature.public_key)

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.public_key) if self.public_key else ""

    def differences(self, sections: Mapping[str, Any], node_keys: frozenset[bytes]) -> list[Difference]:
        if not self.is_signed:
            detail = self.reason or "its signature is not the node's over its digest"
            return [Difference(what=What.FORGED, section="seal", detail=detail)]
        if node_keys and self.public_key not in node_keys:
            detail = f"sealed with another key than the node's ({self.fingerprint[:16]})"
            return [Difference(what=What.UNKNOWN_KEY, section="seal", detail=detail)]
        if not self.is_over_manifest:
            return [Difference(what=What.ALTERED, section="manifest", detail="it is not the one that was sealed")]
        return []


def _item_differences(sections: Mapping[str, Any], *, is_sealed: bool) -> list[Difference]:
    """Return which items are not those of the manifest; without a sealed manifest either of the two was altered."""
    entries = sections["manifest"]
    names = [entry.get("section") if isinstance(entry, dict) else None for entry in entries]
    if names != list(SECTIONS):
        return [
            Difference(what=What.ALTERED, section="manifest", detail="it does not list the sections in their order")
        ]
    differences = []
    for entry, (section, side) in zip(entries, SECTIONS.items(), strict=True):
        sealed = entry.get("sha256")
        if not isinstance(sealed, list) or entry.get("side") != side or set(entry) != {"section", "side", "sha256"}:
            detail = f"its line of {section} is not as it is written"
            differences.append(
                Difference(what=What.ALTERED, section="manifest", name=f"manifest, {section}", detail=detail)
            )
            continue
        items = [sections[section]] if section in OBJECTS else sections[section]
        differences += _listed(section, [str(one) for one in sealed], items, sections, is_sealed=is_sealed)
    return differences


def _listed(
    section: str, sealed: Sequence[str], items: Sequence[Any], sections: Mapping[str, Any], *, is_sealed: bool
) -> Iterator[Difference]:
    unsure = "" if is_sealed else "; it or its line in the manifest was changed"
    for step in list_steps(sealed, [_digest_of(item) for item in items]):
        place = step.after if step.before is None else step.before
        assert place is not None, "a step is of one of the two lists"
        here = items[step.after] if step.after is not None else None
        name = _sealed_name(section, place, sections) if step.before is not None else item_name(section, here, place)
        words = {
            What.ALTERED: "its content is not what was sealed",
            What.MISSING: "it was sealed and is not here",
            What.ADDED: "it was not sealed",
            What.MOVED: f"it is at place {(step.after or 0) + 1}",
        }
        yield Difference(
            what=step.what, section=section, item=place + 1, name=name, detail=f"{words[step.what]}{unsure}"
        )


def _sealed_name(section: str, place: int, sections: Mapping[str, Any]) -> str:
    """Return what the item sealed at a place is called: of events the head says how many each log has."""
    if section in OBJECTS:
        return section
    if section != "events":
        return f"{section}, item {place + 1}"
    try:
        for log in sections["head"]["covers"]:
            if place < log["seq"]:
                return f"event {place + 1} of case {log['case_id']}"
            place -= log["seq"]
    except _UNREADABLE:
        return f"item {place + 1} of the events"
    return f"item {place + 1} of the events"


def _digest_of(item: Any) -> str:
    try:
        return item_digest(item)
    except (ValueError, RecursionError):
        return "unreadable"


# What sections prove by themselves


def _looked_at(look: Any, section: str, sections: Mapping[str, Any], node_keys: frozenset[bytes]) -> list[Difference]:
    try:
        return list(look(sections, node_keys))
    except _UNREADABLE:
        return [Difference(what=What.ALTERED, section=section, detail="it cannot be read")]


def _look_at_events(sections: Mapping[str, Any], _keys: frozenset[bytes]) -> Iterator[Difference]:
    ends: dict[str, tuple[int, str]] = {}
    for place, item in enumerate(sections["events"]):
        name = event_name(item, place)
        body = item["body"]
        case_id, seq = str(body["case_id"]), body["seq"]
        before_seq, before_hash = ends.get(case_id, (0, GENESIS_HASH))
        if set(item) != {"hash", "body"} or hashlib.sha256(_ENCODE(body).encode()).hexdigest() != item["hash"]:
            yield _event(What.ALTERED, place, name, "its content does not have its hash")
        elif seq != before_seq + 1:
            yield _event(What.MOVED, place, name, f"event {before_seq + 1} should stand here")
        elif body["prev_hash"] != before_hash:
            yield _event(What.ALTERED, place, name, "it is not chained to the event before")
        ends[case_id] = (seq, item["hash"])
    covers = [(one["case_id"], one["seq"], one["hash"]) for one in sections["head"]["covers"]]
    if covers != [(case_id, *end) for case_id, end in ends.items()]:
        yield Difference(what=What.ALTERED, section="head", detail="it covers other events than the dossier holds")


def _event(what: What, place: int, name: str, detail: str) -> Difference:
    return Difference(what=what, section="events", item=place + 1, name=name, detail=detail)


def _look_at_report(sections: Mapping[str, Any], _keys: frozenset[bytes]) -> Iterator[Difference]:
    before: dict[str, tuple[int, str]] = {}
    for place, item in enumerate(_items(sections["report"])):
        name = item_name("report", item, place)
        try:
            signed = signed_from_json(Value(place=name, raw=item))
        except DocumentInvalid as error:
            yield _version(What.ALTERED, place, name, error.problems[0])
            continue
        version = signed.version
        number, digest = before.get(version.case_id, (0, ""))
        if digest_of(version) != signed.digest:
            yield _version(What.ALTERED, place, name, "it does not have the digest that was signed")
        elif not verify_signature(signed.signature, signed.digest):
            yield _version(What.FORGED, place, name, "its signature does not hold")
        elif version.version != number + 1:
            yield _version(What.MOVED, place, name, f"version {number + 1} should stand here")
        elif version.previous_digest != digest:
            yield _version(What.ALTERED, place, name, "it does not follow the version before")
        before[version.case_id] = (version.version, signed.digest)


def _look_at_signings(sections: Mapping[str, Any], _keys: frozenset[bytes]) -> Iterator[Difference]:
    held = {
        (item["version"]["case_id"], item["version"]["version"]): (place, item["digest"])
        for place, item in enumerate(_items(sections["report"]))
    }
    told = {key: digest for item in sections["events"] for key, digest in signed_in(item["body"])}
    for case_id, number in {**told, **held}:
        name = f"version {number} of the report of case {case_id}"
        place, digest = held.get((case_id, number), (-1, ""))
        if not digest:
            yield _version(What.MISSING, place, name, "the log says that it was signed, and it is not here")
        elif (case_id, number) not in told:
            yield _version(What.ADDED, place, name, "the log does not know it")
        elif told[case_id, number] != digest:
            yield _version(What.ALTERED, place, name, "the log says that another one was signed")


def _version(what: What, place: int, name: str, detail: str) -> Difference:
    return Difference(what=what, section="report", item=place + 1, name=name, detail=detail)


def _look_at_anchors(sections: Mapping[str, Any], keys: frozenset[bytes]) -> Iterator[Difference]:
    hashes = dict(_hashes(sections["events"]))
    before: tuple[int, str] = (0, "")
    for place, item in enumerate(_items(sections["anchors"])):
        anchor, digest = anchor_from_json(Value(place="anchor", raw=item["anchor"]))
        statement = anchor.statement
        name = f"anchor {statement.number}"
        for fault in faults_of(anchor, digest, node_keys=keys):
            yield Difference(what=What.FORGED, section="anchors", item=place + 1, name=name, detail=fault)
        if statement.number == before[0] + 1 and before[0] and statement.previous != before[1]:
            detail = "it does not follow the anchor before"
            yield Difference(what=What.ALTERED, section="anchors", item=place + 1, name=name, detail=detail)
        before = (statement.number, digest)
        for leaf in item["leaves"]:
            text = Leaf(case_id=leaf["case_id"], seq=leaf["seq"], hash=leaf["hash"]).text()
            if not is_under(statement.root, text, leaf["leaf"], statement.leaves, leaf["proof"]):
                detail = "its proof does not lead to the root that was signed"
                yield Difference(what=What.ALTERED, section="anchors", item=place + 1, name=name, detail=detail)
            elif hashes.get((leaf["case_id"], leaf["seq"])) != leaf["hash"]:
                event = f"event {leaf['seq']} of case {leaf['case_id']}"
                detail = f"{name} holds another hash for it: it, or an event before it, was rewritten since"
                yield Difference(what=What.ALTERED, section="events", item=leaf["seq"], name=event, detail=detail)


def _hashes(events: Sequence[Any]) -> Iterator[tuple[tuple[Any, Any], Any]]:
    for item in events:
        with suppress(*_UNREADABLE):
            yield (item["body"]["case_id"], item["body"]["seq"]), item["hash"]


def _items(section: Sequence[Any]) -> list[Any]:
    return [] if section == [dict(NONE_RECORDED)] else list(section)


_LOOKS: Final = {"events": _look_at_events, "report": _look_at_report, "anchors": _look_at_anchors}
