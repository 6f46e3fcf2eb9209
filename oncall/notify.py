"""The words of every message, in French and English, and who gets which by what; no patient data can get in.

A text is made of a case code, a hospital's name, a class, a deadline, a telephone number and an answer link: `Words`
has no field for anything else. Times are the hospital's wall time with its abbreviation, which tells 02:40 CEST from
02:40 CET. Not for: when to send (`oncall.escalation`), the queue (`oncall.messages`), the wire (`oncall.channels`).

Source: `design.md` section 7 point 7; `oncall_domain.md` 2.3 complaint 9.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final
from zoneinfo import ZoneInfo

from oncall.case.event import CaseId
from oncall.chain import Page, PageKind
from oncall.directory import ChannelKind, ContactMethod, Person, PersonId, Site
from oncall.messages import Message, answer_token
from oncall.reading.board import Urgency

PAGE_AGE_S_MAX: Final = 900.0
"""A page that no channel took for so long fails instead of waking somebody about what has moved on."""

NOTICE_AGE_S_MAX: Final = 86_400.0
"""The same for notices that nobody waits for."""


class NoticeKind(StrEnum):
    """Messages that are not pages of a chain."""

    CONTACT_TEST = "contact_test"
    BACKUP_CALL = "backup_call"
    BACKUP_RELEASED = "backup_released"
    HANDOVER = "handover"
    HANDOVER_ALARM = "handover_alarm"
    RECALL = "recall"
    RECALL_ENDED = "recall_ended"
    ROSTER = "roster"
    SWAP_MOVED = "swap_moved"
    SWAP_CLOSED = "swap_closed"
    SECOND_READING = "second_reading"
    SECOND_READING_LATE = "second_reading_late"
    CORRECTION = "correction"


class LoopPageKind(StrEnum):
    """Pages about what a named person of the hospital must take note of; a chain's first, again, and its alarm."""

    CRITICAL = "critical"
    CRITICAL_AGAIN = "critical_again"
    CRITICAL_ALARM = "critical_alarm"
    DISCREPANCY = "discrepancy"
    DISCREPANCY_AGAIN = "discrepancy_again"
    DISCREPANCY_ALARM = "discrepancy_alarm"


Kind = PageKind | NoticeKind | LoopPageKind

# Somebody waits for the answer: when it is late it is sent no more. No kind has a rate limit: GoAlert's once delayed a
# page by 16 minutes (#4188), and nothing here repeats by itself without a rule of its own.
URGENT: Final[frozenset[Kind]] = frozenset(
    {
        *PageKind,
        *LoopPageKind,
        NoticeKind.BACKUP_CALL,
        NoticeKind.RECALL,
        NoticeKind.CONTACT_TEST,
        NoticeKind.HANDOVER_ALARM,
    }
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Words:
    """Everything that a text may say.

    ``deadline_at`` is UTC; `phone` is whom to call when nobody answers; `count` is of open cases.
    """

    place: str
    zone: str
    code: str = ""
    urgency: Urgency | None = None
    deadline_at: datetime | None = None
    phone: str = ""
    link: str = ""
    count: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Sender:
    """What signs and links messages: ``answer_url`` ends where the token begins; ``secret`` makes tokens."""

    answer_url: str
    secret: bytes = field(repr=False)


# One SMS where names allow it; written with letters of the GSM alphabet only (no ê, no ç, no typographic marks).
_TEXTS: Final[Mapping[tuple[Kind, str], str]] = MappingProxyType(
    {
        (PageKind.READ_CASE, "fr"): "{urgency} {code} à lire, {place}, avant {deadline}. Accepter: {link}",
        (PageKind.READ_CASE, "en"): "{urgency} {code} to read, {place}, before {deadline}. Accept: {link}",
        (PageKind.REPEATED, "fr"): "RAPPEL {urgency} {code}, {place}, avant {deadline}. Accepter: {link}",
        (PageKind.REPEATED, "en"): "AGAIN {urgency} {code}, {place}, before {deadline}. Accept: {link}",
        (PageKind.ESCALATED, "fr"): "SANS REPONSE: {urgency} {code}, {place}, avant {deadline}. Prendre: {link}",
        (PageKind.ESCALATED, "en"): "NO ANSWER: {urgency} {code}, {place}, before {deadline}. Take: {link}",
        (PageKind.HOSPITAL_ALARM, "fr"): (
            "ALERTE {place}: personne ne répond pour {urgency} {code}. Appelez {phone}. Vu: {link}"
        ),
        (PageKind.HOSPITAL_ALARM, "en"): (
            "ALARM {place}: nobody answers for {urgency} {code}. Call {phone}. Seen: {link}"
        ),
        (LoopPageKind.CRITICAL, "fr"): (
            "RESULTAT CRITIQUE {code}, {place}: personne n'en a pris acte. Appelez {phone}. Vu: {link}"
        ),
        (LoopPageKind.CRITICAL, "en"): (
            "CRITICAL RESULT {code}, {place}: nobody has taken note. Call {phone}. Seen: {link}"
        ),
        (LoopPageKind.CRITICAL_AGAIN, "fr"): (
            "RAPPEL RESULTAT CRITIQUE {code}, {place}: prenez-en acte. Appelez {phone}. Vu: {link}"
        ),
        (LoopPageKind.CRITICAL_AGAIN, "en"): (
            "AGAIN CRITICAL RESULT {code}, {place}: take note of it. Call {phone}. Seen: {link}"
        ),
        (LoopPageKind.CRITICAL_ALARM, "fr"): (
            "ALERTE {place}: RESULTAT CRITIQUE {code} sans prise d'acte. Appelez {phone}. Vu: {link}"
        ),
        (LoopPageKind.CRITICAL_ALARM, "en"): (
            "ALARM {place}: CRITICAL RESULT {code} unacknowledged. Call {phone}. Seen: {link}"
        ),
        (LoopPageKind.DISCREPANCY, "fr"): (
            "COMPTE RENDU MODIFIE {code}, {place}: personne n'en a pris acte. Appelez {phone}. Vu: {link}"
        ),
        (LoopPageKind.DISCREPANCY, "en"): (
            "REPORT CHANGED {code}, {place}: nobody has taken note. Call {phone}. Seen: {link}"
        ),
        (LoopPageKind.DISCREPANCY_AGAIN, "fr"): (
            "RAPPEL COMPTE RENDU MODIFIE {code}, {place}: prenez-en acte. Appelez {phone}. Vu: {link}"
        ),
        (LoopPageKind.DISCREPANCY_AGAIN, "en"): (
            "AGAIN REPORT CHANGED {code}, {place}: take note of it. Call {phone}. Seen: {link}"
        ),
        (LoopPageKind.DISCREPANCY_ALARM, "fr"): (
            "ALERTE {place}: COMPTE RENDU MODIFIE {code} sans prise d'acte. Appelez {phone}. Vu: {link}"
        ),
        (LoopPageKind.DISCREPANCY_ALARM, "en"): (
            "ALARM {place}: REPORT CHANGED {code} unacknowledged. Call {phone}. Seen: {link}"
        ),
        (NoticeKind.SECOND_READING, "fr"): "Seconde lecture {place}, avant {deadline}. Ouvrez Telegarde.",
        (NoticeKind.SECOND_READING, "en"): "Second reading {place}, before {deadline}. Open Telegarde.",
        (NoticeKind.SECOND_READING_LATE, "fr"): (
            "SECONDE LECTURE EN RETARD {place}, attendue avant {deadline}. Ouvrez Telegarde."
        ),
        (NoticeKind.SECOND_READING_LATE, "en"): "SECOND READING LATE {place}, due {deadline}. Open Telegarde.",
        (NoticeKind.CORRECTION, "fr"): "Discordance {place}: corrigez votre compte rendu. Ouvrez Telegarde.",
        (NoticeKind.CORRECTION, "en"): "Discrepancy {place}: correct your report. Open Telegarde.",
        (PageKind.REPORT_UNREAD, "fr"): (
            "{place}: compte rendu {urgency} {code} NON ACQUITTE. Ouvrez Telegarde et acquittez. Vu: {link}"
        ),
        (PageKind.REPORT_UNREAD, "en"): (
            "{place}: report {urgency} {code} NOT ACKNOWLEDGED. Open Telegarde and acknowledge. Seen: {link}"
        ),
        (PageKind.ANSWER_REQUEST, "fr"): (
            "DEMANDE {urgency} {code}, {place}: réponse et protocole attendus. Je m'en occupe: {link}"
        ),
        (PageKind.ANSWER_REQUEST, "en"): (
            "REQUEST {urgency} {code}, {place}: answer and protocol wanted. I take it: {link}"
        ),
        (PageKind.TRANSFER_STOPPED, "fr"): (
            "TRANSFERT ARRETE {urgency} {code}, {place}: des images manquent. Je m'en occupe: {link}"
        ),
        (PageKind.TRANSFER_STOPPED, "en"): (
            "TRANSFER STOPPED {urgency} {code}, {place}: images are missing. I look after it: {link}"
        ),
        (NoticeKind.CONTACT_TEST, "fr"): "Test avant votre garde: répondez avant {deadline}. {link}",
        (NoticeKind.CONTACT_TEST, "en"): "Test before your duty: answer before {deadline}. {link}",
        (NoticeKind.BACKUP_CALL, "fr"): "RENFORT demandé, {place}, lecture à {deadline}. Répondre: {link}",
        (NoticeKind.BACKUP_CALL, "en"): "BACKUP called, {place}, reading from {deadline}. Answer: {link}",
        (NoticeKind.BACKUP_RELEASED, "fr"): "Renfort terminé, {place}, à {deadline}. Merci.",
        (NoticeKind.BACKUP_RELEASED, "en"): "Backup released, {place}, at {deadline}. Thank you.",
        (NoticeKind.HANDOVER, "fr"): "Relève {place} à {deadline}: {count} dossiers ouverts. {link}",
        (NoticeKind.HANDOVER, "en"): "Handover {place} at {deadline}: {count} open cases. {link}",
        (NoticeKind.HANDOVER_ALARM, "fr"): (
            "RELEVE NON ACCEPTEE par {place} à {deadline}: {count} dossiers ouverts. Vu: {link}"
        ),
        (NoticeKind.HANDOVER_ALARM, "en"): (
            "HANDOVER NOT ACCEPTED by {place} at {deadline}: {count} open cases. Seen: {link}"
        ),
        (NoticeKind.RECALL, "fr"): "PLAN BLANC {place}: rappel du personnel. Répondez avec votre délai: {link}",
        (NoticeKind.RECALL, "en"): "MASS CASUALTY PLAN {place}: you are recalled. Answer with your delay: {link}",
        (NoticeKind.RECALL_ENDED, "fr"): "Plan blanc {place} levé à {deadline}. Merci.",
        (NoticeKind.RECALL_ENDED, "en"): "Mass casualty plan {place} ended at {deadline}. Thank you.",
        (NoticeKind.ROSTER, "fr"): "Planning: la demande d'échange {place} attend une réponse. Ouvrez Telegarde.",
        (NoticeKind.ROSTER, "en"): "Roster: the swap request {place} waits for an answer. Open Telegarde.",
        (NoticeKind.SWAP_MOVED, "fr"): "Planning: la demande d'échange suit la garde, déplacée: {place}.",
        (NoticeKind.SWAP_MOVED, "en"): "Roster: the swap request follows its shift, which has moved: {place}.",
        (NoticeKind.SWAP_CLOSED, "fr"): "Planning: la demande d'échange {place} est close, la garde est à un autre.",
        (NoticeKind.SWAP_CLOSED, "en"): "Roster: the swap request {place} is closed, the shift is somebody else's now.",
    }
)

_SPOKEN: Final[Mapping[str, str]] = MappingProxyType({"fr": "Tapez 1 pour accepter.", "en": "Press 1 to accept."})

_NO_PHONE: Final[Mapping[str, str]] = MappingProxyType({"fr": "un radiologue", "en": "a radiologist"})

LANGUAGES: Final = ("fr", "en")


def case_code(case_id: CaseId) -> str:
    """Return six letters and digits to say aloud; it names the case within a night and tells nothing about it."""
    number = int.from_bytes(hashlib.sha256(case_id.encode()).digest()[:4], "big")
    # Crockford's base 32: no I, L, O, U, which are misheard and misread.
    alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    return "".join(alphabet[(number >> shift) & 31] for shift in range(25, -5, -5))


def written(kind: Kind, words: Words, *, language: str, channel: ChannelKind) -> tuple[str, str]:
    """Return subject and text; a language that is not kept is answered in French, a voice is given no link."""
    spoken_in = language if language in LANGUAGES else "fr"
    is_spoken = channel is ChannelKind.VOICE
    values = {
        "urgency": "" if words.urgency is None else words.urgency.name,
        "code": " ".join(words.code) if is_spoken else words.code,
        "place": words.place,
        "deadline": _wall_time(words.deadline_at, words.zone),
        "phone": (" ".join(words.phone) if is_spoken else words.phone) or _NO_PHONE[spoken_in],
        "link": _SPOKEN[spoken_in] if is_spoken else words.link,
        "count": str(words.count),
    }
    text = _TEXTS[kind, spoken_in].format_map(values)
    subject = " ".join(part for part in ("Telegarde", values["urgency"], words.code, words.place) if part)
    return subject, text


def page_message(
    page: Page,
    person: Person | None,
    site: Site,
    now: datetime,
    *,
    sender: Sender,
    deadline_at: datetime | None,
    phone: str = "",
    kind: Kind | None = None,
) -> Message:
    """Return the message of a page; the next method is better than a second attempt, if there is one.

    Parameters
    ----------
    kind : Kind or None
        What it says, where that is not the page's own kind: a loop of the hospital has words of its own.
    """
    others = 0 if person is None else len(person.contact_methods) - 1
    words = Words(
        place=site.name,
        zone=site.time_zone,
        code=case_code(page.subject.case_id),
        urgency=page.subject.urgency,
        deadline_at=deadline_at,
        phone=phone,
    )
    return addressed_message(
        page.message_key,
        kind or page.kind,
        words,
        person_id=page.person_id,
        language="fr" if person is None else person.language,
        method=page.method,
        now=now,
        sender=sender,
        case_id=page.subject.case_id,
        chain_id=page.chain_id,
        attempts_max=1 if others > 0 else 2,
    )


def notice_message(
    message_key: str,
    kind: NoticeKind,
    words: Words,
    person: Person,
    method: ContactMethod,
    now: datetime,
    *,
    sender: Sender,
    chain_id: str = "",
    case_id: CaseId | None = None,
    attempts_max: int = 3,
) -> Message:
    """Return the message of a notice to one person by one method."""
    return addressed_message(
        message_key,
        kind,
        words,
        person_id=person.person_id,
        language=person.language,
        method=method,
        now=now,
        sender=sender,
        case_id=case_id,
        chain_id=chain_id,
        attempts_max=attempts_max,
    )


def addressed_message(
    message_key: str,
    kind: Kind,
    words: Words,
    *,
    person_id: PersonId,
    language: str,
    method: ContactMethod,
    now: datetime,
    sender: Sender,
    case_id: CaseId | None,
    chain_id: str,
    attempts_max: int,
) -> Message:
    """Return the message of any kind to somebody known by id and language only; pages and notices are made of it."""
    token = answer_token(sender.secret, message_key)
    linked = replace(words, link=sender.answer_url + token)
    subject, text = written(kind, linked, language=language, channel=method.kind)
    age_s = PAGE_AGE_S_MAX if kind in URGENT else NOTICE_AGE_S_MAX
    return Message(
        message_key=message_key,
        person_id=person_id,
        channel=method.kind,
        address=method.address,
        subject=subject,
        text=text,
        due_at=now,
        case_id=case_id,
        chain_id=chain_id,
        answer_token=token,
        expires_at=now + timedelta(seconds=age_s),
        attempts_max=attempts_max,
    )


def _wall_time(instant: datetime | None, zone: str) -> str:
    return "" if instant is None else instant.astimezone(ZoneInfo(zone)).strftime("%H:%M %Z")
