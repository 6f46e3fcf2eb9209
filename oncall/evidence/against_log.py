"""Comparing a dossier with the log of the node that made it: event by event, version by version, anchor by anchor.

For: ``verify-evidence FILE --data DIR``, after the file was verified by itself. Not for: proving the log
(`oncall.evidence.log_verification`), which is asked first where the two disagree.

Invariant: a difference says the field where both sides have the item, so that it can be seen which of the two was
changed. A dossier whose sealing the log does not know is one that this node did not hand out.
"""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import Connection, select

from oncall.case.event import CaseId
from oncall.case.vocabulary import EventType as E
from oncall.evidence.anchor_store import AnchorDamaged, anchor_of
from oncall.evidence.difference import Difference, What, field_differences
from oncall.evidence.dossier import reference_of
from oncall.evidence.reconciliation import reconcile
from oncall.evidence.sections import NONE_RECORDED
from oncall.evidence.verification import item_name
from oncall.report import store as report_store
from oncall.report.canonical import signed_to_json
from oncall.report.signing import NODE
from oncall.schema import oncall_anchor, oncall_case_event, oncall_report_document, oncall_signing_key
from oncall.strict_json import DocumentInvalid, parse


def node_keys(connection: Connection) -> frozenset[bytes]:
    """Return every public key that this node ever sealed with."""
    key = oncall_signing_key.c
    rows = connection.execute(select(key.public_key).where(key.holder == NODE)).scalars()
    return frozenset(bytes(row) for row in rows)


def log_differences(connection: Connection, sections: Mapping[str, Any]) -> list[Difference]:
    """Return where a dossier and the log disagree; the log may have gone on since, which is no difference.

    Parameters
    ----------
    sections : mapping
        As `oncall.evidence.verification.verify` read them.
    """
    mine = {**sections, "events": _events(connection, sections["head"]["covers"])}
    found = [one for one in reconcile(mine, sections).differences if one.section == "events"]
    found += _not_recorded(connection, sections)
    found += _versions(connection, sections)
    found += _documents(connection, sections)
    found += _anchors(connection, sections)
    return found


def _events(connection: Connection, covers: list[Mapping[str, Any]]) -> list[dict[str, Any]]:
    event = oncall_case_event.c
    items = []
    for one in covers:
        rows = connection.execute(
            select(event.seq, event.body, event.hash)
            .where(event.case_id == one["case_id"], event.seq <= one["seq"])
            .order_by(event.seq)
        )
        for row in rows:
            try:
                body = parse(row.body).raw
                items.append({"hash": row.hash, "body": body | {"event_id": body["event_id"]}})
            except (DocumentInvalid, KeyError, TypeError):
                unread = {"case_id": one["case_id"], "seq": row.seq, "event_id": f"unreadable event {row.seq}"}
                items.append({"hash": row.hash, "body": unread})
    return items


def _not_recorded(connection: Connection, sections: Mapping[str, Any]) -> Iterator[Difference]:
    head = sections["head"]
    reference = reference_of(head["centre"]["centre_id"], sections["seal"]["digest"])
    event = oncall_case_event.c
    bodies = connection.execute(
        select(event.body).where(event.case_id == head["case_id"], event.type == E.EVIDENCE_SEALED.value)
    ).scalars()
    if not any(reference in body for body in bodies):
        detail = "the case's log does not know that this dossier was sealed"
        yield Difference(what=What.NOT_RECORDED, section="log", name="evidence.sealed", detail=detail)


def _versions(connection: Connection, sections: Mapping[str, Any]) -> Iterator[Difference]:
    held = {
        (item["version"]["case_id"], item["version"]["version"]): (place, item)
        for place, item in enumerate(_items(sections["report"]))
    }
    for (case_id, number), (place, item) in held.items():
        name = item_name("report", item, place)
        try:
            signed = report_store.find(connection, CaseId(case_id), number)
        except report_store.VersionDamaged:
            detail = "the row of the node is not what was signed any more"
            yield Difference(what=What.ALTERED, section="log", item=place + 1, name=name, detail=detail)
            continue
        if signed is None:
            detail = "the node has no such version"
            yield Difference(what=What.MISSING, section="log", item=place + 1, name=name, detail=detail)
            continue
        ours = signed_to_json(signed)
        for path, detail in field_differences(ours, item):
            # A time stamp may have come since.
            if path != "time_stamp":
                yield Difference(
                    what=What.ALTERED, section="report", item=place + 1, name=name, field=path, detail=detail
                )


def _documents(connection: Connection, sections: Mapping[str, Any]) -> Iterator[Difference]:
    made = oncall_report_document.c
    for place, item in enumerate(_items(sections["documents"])):
        # One at a time: a document may have megabytes.
        body = connection.execute(
            select(made.body).where(
                made.case_id == item["case_id"],
                made.version == item["version"],
                made.made_of == item["made_of"],
                made.kind == item["kind"],
            )
        ).scalar_one_or_none()
        if body is None or hashlib.sha256(bytes(body)).hexdigest() != item["sha256"]:
            what, detail = (
                (What.MISSING, "the node has it no more")
                if body is None
                else (What.ALTERED, "the node's bytes are not those that were made")
            )
            name = item_name("documents", item, place)
            yield Difference(what=what, section="log", item=place + 1, name=name, detail=detail)


def _items(section: Any) -> list[Any]:
    return [] if section == [dict(NONE_RECORDED)] else list(section)


def _anchors(connection: Connection, sections: Mapping[str, Any]) -> Iterator[Difference]:
    for place, item in enumerate(_items(sections["anchors"])):
        number = item["anchor"]["statement"]["number"]
        row = connection.execute(select(oncall_anchor).where(oncall_anchor.c.number == number)).one_or_none()
        try:
            digest = "" if row is None else anchor_of(row).statement.digest()
        except AnchorDamaged:
            digest = ""
        if digest != item["anchor"]["digest"]:
            detail = "the node has another anchor of this number, or none that can be read"
            yield Difference(what=What.ALTERED, section="log", item=place + 1, name=f"anchor {number}", detail=detail)
