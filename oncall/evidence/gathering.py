"""Gathering what a dossier of a case holds, from one snapshot of the database.

For: `gather`, which reads log, report versions, messages, anchors and directory, and lays them out in the dossier's
sections. Not for: sealing and recording (`oncall.evidence.making`), or what sections mean (`oncall.evidence.sections`).

A dossier covers a log up to its last event that is not itself the record of a sealing. So the copies of both centres,
sealed one after the other, cover the same events and share the same bytes. It speaks as of the instant when that event
was recorded: clocks, messages and the directory are read as of then. A case that was joined with another carries both
logs. Invariant: a log that does not prove itself gives no dossier; the error names the event.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, func, select

from foundation.errors import Refused
from foundation.instants import instant_of_us, microseconds
from oncall.case.event import CaseId, Event
from oncall.case.log import body_of, event_of, verify_chain
from oncall.case.state import OPENING, Case, fold
from oncall.case.vocabulary import EventType as E
from oncall.directory import Directory, SiteId
from oncall.directory_documents import directory_from_json
from oncall.documents_store import DocumentKind, in_force, latest
from oncall.evidence import anchor_store, sections
from oncall.evidence.anchor import anchor_to_json
from oncall.evidence.dossier import PLATFORM, Centre, Gathered
from oncall.evidence.merkle import proof_of
from oncall.report import store as report_store
from oncall.report.canonical import signed_to_json
from oncall.report.version import SignedVersion
from oncall.report_documents.source import Subject
from oncall.schema import (
    oncall_case_event,
    oncall_delivery,
    oncall_delivery_event,
    oncall_message,
    oncall_message_event,
    oncall_report_document,
)
from oncall.strict_json import parse

ANCHORS_MAX: Final = 64
"""Anchors whose proofs a dossier carries, the newest: a case that goes on for longer is covered by these as well."""

JOINED_MAX: Final = 16
"""Logs of one dossier: requests joined to one study; more is a mistake that somebody has to look at first."""


SubjectDescriber = Callable[[Case], Subject | None]
"""Says who the patient of a case is, as the archive knows them now; None when it does not, or not for certain."""


def gather(
    connection: Connection, case_id: CaseId, centre_id: str, now: datetime, *, made_by: str, describe: SubjectDescriber
) -> Gathered:
    """Return everything that the dossier of a case holds for a centre.

    Parameters
    ----------
    centre_id : str
        The site that asked, or `PLATFORM`.

    Raises
    ------
    foundation.errors.Refused
        If there is no such case, or it is no case of that centre.
    oncall.case.log.ChainBroken
        If a log does not prove itself.
    oncall.report.store.VersionDamaged
        If a signed version is not what was signed.
    """
    logs = _logs(connection, case_id)
    cases = [fold(events) for events in logs]
    directory_version, directory = _directory(connection, max(events[-1].recorded_at for events in logs))
    centre = _centre(centre_id, cases, directory)
    as_of = max(events[-1].recorded_at for events in logs)
    events = [event for log in logs for event in log]
    versions = [signed for case in cases for signed in report_store.versions_of(connection, case.case_id)]
    case_ids = [case.case_id for case in cases]
    messages, addresses = _messages(connection, case_ids, as_of)
    deliveries, delivered_to = _deliveries(connection, case_ids, as_of)
    zone = ZoneInfo(_hospital_zone(cases[0], directory))
    return Gathered(
        case_id=cases[0].case_id,
        centre=centre,
        made_at=now,
        made_by=made_by,
        as_of=as_of,
        covers=[{"case_id": log[-1].case_id, "seq": log[-1].seq, "hash": log[-1].hash} for log in logs],
        directory_version=directory_version,
        sections={
            "subject": _subject(cases[0], describe(cases[0])),
            "report": sections.or_none_recorded([signed_to_json(signed) for signed in versions]),
            "acts": sections.or_none_recorded(sections.acts(events)),
            "people": sections.people([*events], directory),
            "times": sections.times(events, zone),
            "clocks": sections.or_none_recorded(
                [line for case in cases for line in sections.clocks(case, as_of, zone)]
            ),
            "incidents": sections.or_none_recorded(sections.incidents(events)),
            "identities": sections.identities(events),
            "accesses": sections.or_none_recorded([*sections.accesses(events), *_seen(versions)]),
            "communications": sections.or_none_recorded(sections.communications(events)),
            "messages": sections.or_none_recorded(messages),
            "deliveries": sections.or_none_recorded(deliveries),
            "documents": sections.or_none_recorded(_documents(connection, case_ids, as_of)),
            "events": [event_to_json(event) for event in events],
            "own": sections.or_none_recorded(_own([*addresses, *delivered_to], centre, directory)),
            "anchors": sections.or_none_recorded(_anchors(connection, logs)),
        },
    )


def event_to_json(event: Event) -> dict[str, Any]:
    """Return an event as a dossier holds it: its hash, and the whole body that the hash is taken of."""
    return {"hash": event.hash, "body": parse(body_of(event)).raw}


def _logs(connection: Connection, case_id: CaseId) -> list[list[Event]]:
    """Return the log of a case, and those of the requests that were joined to it, each as far as it is covered."""
    main = _covered(connection, case_id)
    merged_into = fold(main).request.merged_into
    if merged_into:
        main = _covered(connection, CaseId(merged_into))
    logs = [main]
    for joined in fold(main).request.matched_from:
        # The study's own case may say whom it took over from; a pre-alert that became this case has no log.
        if joined != main[0].case_id and len(logs) < JOINED_MAX:
            events = _events(connection, CaseId(joined))
            if events and events[0].type in OPENING:
                logs.append(_cut(events))
    return logs


def _covered(connection: Connection, case_id: CaseId) -> list[Event]:
    events = _events(connection, case_id)
    if not events or events[0].type not in OPENING:
        raise Refused("there is no such case; telegarde oncall case, or the page of open cases, shows which there are")
    return _cut(events)


def _events(connection: Connection, case_id: CaseId) -> list[Event]:
    event = oncall_case_event.c
    rows = connection.execute(select(event.body, event.hash).where(event.case_id == case_id).order_by(event.seq))
    events = [event_of(row.body, row.hash) for row in rows]
    verify_chain(case_id, events)
    return events


def _cut(events: list[Event]) -> list[Event]:
    covered = len(events)
    while covered > 1 and events[covered - 1].type == E.EVIDENCE_SEALED:
        covered -= 1
    return events[:covered]


def _directory(connection: Connection, at: datetime) -> tuple[str, Directory]:
    found = latest(connection, DocumentKind.DIRECTORY, at=at) or in_force(connection, DocumentKind.DIRECTORY)
    return found.version, directory_from_json(parse(found.body))


def _centre(centre_id: str, cases: Sequence[Case], directory: Directory) -> Centre:
    if centre_id == PLATFORM:
        return Centre(centre_id=PLATFORM, name="Telegarde", time_zone=_hospital_zone(cases[0], directory))
    sites = [case.site_id for case in cases]
    site = directory.sites.get(SiteId(centre_id))
    if site is None or site.site_id not in sites:
        known = ", ".join([*dict.fromkeys(sites), PLATFORM])
        raise Refused(f"this case is none of {centre_id}'s; a dossier of it is made for {known}")
    return Centre(centre_id=site.site_id, name=site.name, time_zone=site.time_zone)


def _hospital_zone(case: Case, directory: Directory) -> str:
    site = directory.sites.get(case.site_id)
    return "UTC" if site is None else site.time_zone


def _subject(case: Case, subject: Subject | None) -> dict[str, Any]:
    described = subject and {
        "name": subject.name,
        "patient_id": subject.patient_id,
        "issuer": subject.issuer,
        "birth_date": None if subject.birth_date is None else subject.birth_date.isoformat(),
        "sex": subject.sex,
        "ins": None if subject.ins is None else {"matricule": subject.ins.matricule, "oid": subject.ins.oid},
    }
    return {
        "patient_key": case.identity.patient_key,
        "former_patient_keys": list(case.identity.former_patient_keys),
        "identity_state": case.identity.state.value,
        "described": described,
    }


def _seen(versions: Iterable[SignedVersion]) -> list[dict[str, Any]]:
    """Return what each signer could see when signing: images and prior list, frozen."""
    return [
        {
            "type": "seen_at_signing",
            "case_id": signed.version.case_id,
            "version": signed.version.version,
            "by": signed.version.author.person_id,
            "occurred_utc": signed.version.signed_at.isoformat(),
            "studies": [
                {
                    "issuer": study.issuer,
                    "study_instance_uid": study.study_instance_uid,
                    "instances": study.instances,
                    "is_prior": study.is_prior,
                    "modality": study.modality,
                    "study_date": study.study_date,
                    "description": study.description,
                }
                for study in signed.version.seen
            ],
        }
        for signed in versions
    ]


def _documents(connection: Connection, case_ids: Sequence[str], as_of: datetime) -> list[dict[str, Any]]:
    made = oncall_report_document.c
    rows = connection.execute(
        select(
            made.case_id, made.version, made.made_of, made.kind, made.digest, made.made_at_us,
            func.length(made.body).label("size_bytes"),
        )
        .where(made.case_id.in_(case_ids), made.made_at_us <= microseconds(as_of))
        .order_by(made.case_id, made.version, made.made_at_us, made.made_of, made.kind)
    )  # fmt: skip
    return [
        {
            "case_id": row.case_id,
            "version": row.version,
            "made_of": row.made_of,
            "kind": row.kind,
            "sha256": row.digest,
            "size_bytes": row.size_bytes,
            "made_at": instant_of_us(row.made_at_us).isoformat(),
        }
        for row in rows
    ]


def _deliveries(
    connection: Connection, case_ids: Sequence[str], as_of: datetime
) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
    """Return the report's way to each recipient until `as_of`, and apart from it the addresses."""
    one, step = oncall_delivery.c, oncall_delivery_event.c
    rows = connection.execute(
        select(oncall_delivery)
        .where(one.case_id.in_(case_ids), one.planned_at_us <= microseconds(as_of))
        .order_by(one.planned_at_us, one.delivery_id)
    ).all()
    traces: dict[str, list[dict[str, str]]] = {}
    for row in connection.execute(
        select(oncall_delivery_event)
        .join(oncall_delivery, one.delivery_id == step.delivery_id)
        .where(one.case_id.in_(case_ids), step.occurred_at_us <= microseconds(as_of))
        .order_by(step.position)
    ):
        at = instant_of_us(row.occurred_at_us).isoformat()
        line = {"at": at, "happened": row.happened, "reason": row.reason, "by": row.done_by}
        traces.setdefault(row.delivery_id, []).append(line)
    deliveries = [
        {
            "delivery_id": row.delivery_id,
            "case_id": row.case_id,
            "version": row.version,
            "recipient_kind": row.recipient_kind,
            "recipient": row.recipient,
            "channel": row.channel,
            "planned_at": instant_of_us(row.planned_at_us).isoformat(),
            "trace": traces.get(row.delivery_id, []),
        }
        for row in rows
    ]
    addresses = [
        {"message_key": row.delivery_id, "person_id": row.recipient, "address": row.address}
        for row in rows
        if row.address
    ]
    return deliveries, addresses


def _messages(
    connection: Connection, case_ids: Sequence[str], as_of: datetime
) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
    """Return the messages about cases with what became of each until `as_of`, and apart from them whom they went to.

    Texts are not repeated: they are the same for everybody, hold no patient data, and their links answer a page.
    """
    message, traced = oncall_message.c, oncall_message_event.c
    rows = connection.execute(
        select(oncall_message).where(message.case_id.in_(case_ids)).order_by(message.message_key)
    ).all()
    traces: dict[str, list[dict[str, str]]] = {}
    for row in connection.execute(
        select(oncall_message_event)
        .join(oncall_message, message.message_key == traced.message_key)
        .where(message.case_id.in_(case_ids), traced.occurred_at_us <= microseconds(as_of))
        .order_by(traced.position)
    ):
        line = {"at": instant_of_us(row.occurred_at_us).isoformat(), "happened": row.happened, "detail": row.detail}
        traces.setdefault(row.message_key, []).append(line)
    known = [row for row in rows if row.message_key in traces]
    messages = [
        {
            "message_key": row.message_key,
            "case_id": row.case_id,
            "chain_id": row.chain_id or "",
            "person_id": row.person_id,
            "channel": row.channel,
            "text_sha256": hashlib.sha256(row.body.encode()).hexdigest(),
            "trace": traces[row.message_key],
        }
        for row in known
    ]
    addresses = [{"message_key": row.message_key, "person_id": row.person_id, "address": row.address} for row in known]
    return messages, addresses


def _own(addresses: Iterable[Mapping[str, str]], centre: Centre, directory: Directory) -> list[Mapping[str, str]]:
    """Return the addresses of the centre's own people: a hospital needs not know where a reader is called at home."""
    people: dict[str, set[str]] = {}
    for site in directory.sites.values():
        contacts = {person_id for persons in site.contacts.values() for person_id in persons}
        working = {one.person_id for one in directory.persons.values() if site.site_id in one.sites}
        people[site.site_id] = {site.site_id, *contacts, *working}
    if centre.centre_id in people:
        return [one for one in addresses if one["person_id"] in people[centre.centre_id]]
    of_hospitals = set().union(*people.values())
    return [one for one in addresses if one["person_id"] not in of_hospitals]


def _anchors(connection: Connection, logs: Sequence[Sequence[Event]]) -> list[dict[str, Any]]:
    numbers = sorted({number for log in logs for number in anchor_store.anchor_numbers_of(connection, log[0].case_id)})
    wanted = {log[0].case_id: len(log) for log in logs}
    proved = []
    for number in numbers[-ANCHORS_MAX:]:
        leaves = anchor_store.leaves_of(connection, number)
        texts = [leaf.text() for leaf in leaves]
        mine = [
            {
                "case_id": leaf.case_id,
                "seq": leaf.seq,
                "hash": leaf.hash,
                "leaf": place,
                "proof": list(proof_of(texts, place)),
            }
            for place, leaf in enumerate(leaves)
            # A head later than what this dossier covers is the record of a sealing: nothing here could prove it.
            if leaf.seq <= wanted.get(CaseId(leaf.case_id), 0)
        ]
        if mine:
            proved.append({"anchor": anchor_to_json(anchor_store.anchor(connection, number)), "leaves": mine})
    return proved
