"""The words: no patient data can get in, one text message, the right wall time, nothing urgent held back."""

from dataclasses import fields
from datetime import UTC, datetime, timedelta

import pytest

from oncall.case.event import CaseId
from oncall.chain import Page, PageKind, Subject
from oncall.directory import ChannelKind, ContactMethod, Person, PersonId, Role, Site, SiteId
from oncall.messages import answer_token
from oncall.notify import (
    LANGUAGES,
    PAGE_AGE_S_MAX,
    LoopPageKind,
    NoticeKind,
    Sender,
    Words,
    case_code,
    notice_message,
    page_message,
    written,
)
from oncall.reading.board import Urgency

NOW = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
SENDER = Sender(answer_url="https://garde.example/a/", secret=b"secret")
SITE = Site(site_id=SiteId("ambert"), name="CH Ambert", time_zone="Europe/Paris", commune="63003")
SMS = ContactMethod(kind=ChannelKind.SMS, address="+33600000001")
MAIL = ContactMethod(kind=ChannelKind.EMAIL, address="ann@example.org")
WORDS = Words(
    place="CHU Saint-Etienne Nord",
    zone="Europe/Paris",
    code="7K2QXM",
    urgency=Urgency.P1,
    deadline_at=NOW,
    phone="+33477828000",
    link="https://garde.example/a/0123456789012345678901",
    count=12,
)
# GSM 03.38's basic alphabet, as far as French and English need it: one septet each, 160 to a message.
GSM = set(
    "@£$¥èéùìòÇ\nØø\rÅå_ÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)


def ann(*methods: ContactMethod, language: str = "fr") -> Person:
    return Person(
        person_id=PersonId("ann"), name="Ann", role=Role.RADIOLOGIST, contact_methods=methods, language=language
    )


def page(kind: PageKind = PageKind.READ_CASE) -> Page:
    subject = Subject(case_id=CaseId("0192-c1"), site_id=SITE.site_id, urgency=Urgency.P1)
    return Page(
        message_key="0192-c1/1/0.0/ann/0",
        chain_id="0192-c1/1",
        subject=subject,
        person_id=PersonId("ann"),
        method=SMS,
        kind=kind,
        level=0,
    )


def test_a_text_has_no_place_for_anything_about_a_patient() -> None:
    assert {field.name for field in fields(Words)} == {
        "place", "zone", "code", "urgency", "deadline_at", "phone", "link", "count"
    }  # fmt: skip


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", [*PageKind, *NoticeKind, *LoopPageKind])
def test_every_kind_fits_one_text_message_in_every_language(
    kind: PageKind | NoticeKind | LoopPageKind, language: str
) -> None:
    _, text = written(kind, WORDS, language=language, channel=ChannelKind.SMS)

    assert len(text) <= 160, text
    assert set(text) <= GSM, set(text) - GSM
    assert "{" not in text


@pytest.mark.parametrize("kind", [*PageKind, *NoticeKind, *LoopPageKind])
def test_a_voice_is_given_no_link_to_spell(kind: PageKind | NoticeKind | LoopPageKind) -> None:
    _, text = written(kind, WORDS, language="fr", channel=ChannelKind.VOICE)

    assert "http" not in text
    assert "7K2QXM" not in text
    assert "33477" not in text, "a number is said digit by digit"


def test_the_two_hours_of_one_name_are_told_apart() -> None:
    early = written(PageKind.READ_CASE, WORDS, language="fr", channel=ChannelKind.SMS)[1]
    hour_later = Words(
        **{f.name: getattr(WORDS, f.name) for f in fields(Words)} | {"deadline_at": NOW + timedelta(hours=1)}
    )
    late = written(PageKind.READ_CASE, hour_later, language="fr", channel=ChannelKind.SMS)[1]

    assert "02:30 CEST" in early
    assert "02:30 CET." in late


def test_a_page_names_the_case_by_its_code_and_carries_its_own_token() -> None:
    message = page_message(page(), ann(SMS, MAIL), SITE, NOW, sender=SENDER, deadline_at=NOW + timedelta(hours=1))

    assert case_code(CaseId("0192-c1")) in message.text
    assert "0192-c1" not in message.text + message.subject
    assert message.answer_token == answer_token(b"secret", message.message_key)
    assert f"https://garde.example/a/{message.answer_token}" in message.text
    assert message.expires_at == NOW + timedelta(seconds=PAGE_AGE_S_MAX)


def test_a_second_attempt_is_made_only_for_who_has_no_other_method() -> None:
    several = page_message(page(), ann(SMS, MAIL), SITE, NOW, sender=SENDER, deadline_at=NOW)
    single = page_message(page(), ann(SMS), SITE, NOW, sender=SENDER, deadline_at=NOW)

    assert (several.attempts_max, single.attempts_max) == (1, 2)


def test_the_hospitals_alarm_says_whom_to_call_even_without_a_number() -> None:
    with_number = page_message(
        page(PageKind.HOSPITAL_ALARM), None, SITE, NOW, sender=SENDER, deadline_at=NOW, phone="+33477828000"
    )
    without = page_message(page(PageKind.HOSPITAL_ALARM), None, SITE, NOW, sender=SENDER, deadline_at=NOW)

    assert "Appelez +33477828000." in with_number.text
    assert "Appelez un radiologue." in without.text


def test_each_person_is_written_to_in_their_language_and_in_french_otherwise() -> None:
    texts = [
        notice_message("k", NoticeKind.BACKUP_CALL, WORDS, ann(SMS, language=language), SMS, NOW, sender=SENDER).text
        for language in ("en", "fr", "de")
    ]

    assert [text.split()[0] for text in texts] == ["BACKUP", "RENFORT", "RENFORT"]


def test_case_codes_are_six_characters_that_are_not_misheard() -> None:
    codes = {case_code(CaseId(f"case-{number}")) for number in range(2000)}

    assert len(codes) == 2000
    assert all(len(code) == 6 and not set(code) & set("ILOU") for code in codes)


def test_the_secret_is_not_in_what_is_printed_of_the_sender() -> None:
    assert "secret" not in repr(SENDER).replace("secret=", "")
