"""The directory document: the same directory back, and everything wrong said with its place."""

import copy
from datetime import time
from typing import Any

import pytest

from oncall.directory import (
    ChannelKind,
    Competence,
    ContactDuty,
    ContactMethod,
    Directory,
    Person,
    PersonId,
    Provider,
    ProviderHours,
    ProviderId,
    ProviderKind,
    Role,
    Site,
    SiteId,
    SubSpecialty,
)
from oncall.directory_documents import directory_from_json, directory_to_json, has_luhn_key
from oncall.strict_json import DocumentInvalid, Value, canonical, parse

POOL = ProviderId("pool")
ROANNE = SiteId("nord")
DOCTOR = PersonId("r01")


def territory() -> Directory:
    return Directory(
        providers={
            POOL: Provider(
                provider_id=POOL,
                name="Pool public",
                kind=ProviderKind.PUBLIC_POOL,
                time_zone="Europe/Paris",
                hours=(
                    ProviderHours(weekdays=frozenset({0, 4}), start=time(18, 30), end=time(23, 30)),
                    ProviderHours(weekdays=frozenset({6}), start=time(0), end=time(0), on_holidays=True),
                ),
            )
        },
        sites={
            ROANNE: Site(
                site_id=ROANNE,
                name="CH Nord",
                time_zone="Europe/Paris",
                commune="42187",
                ae_titles=frozenset({"NORD_CT", "NORD_MR"}),
                issuer="NORD",
                contacts={ContactDuty.SENIOR: (DOCTOR,)},
                services=frozenset({"CT"}),
                provider_order=(POOL,),
            )
        },
        persons={
            DOCTOR: Person(
                person_id=DOCTOR,
                name="Dr Zoé Élan",
                role=Role.RADIOLOGIST,
                rpps="10000000017",
                provider_id=POOL,
                privileges=frozenset({ROANNE}),
                competences={SubSpecialty.NEURO: Competence.EXPERT, SubSpecialty.MSK: Competence.LAST_RESORT},
                contact_methods=(
                    ContactMethod(kind=ChannelKind.SMS, address="+33600000001"),
                    ContactMethod(kind=ChannelKind.EMAIL, address="r01@example.org"),
                ),
                teleradiology_share_max=0.15,
                weekly_hours=35.5,
                language="en",
            )
        },
    )


def read(document: Any) -> Directory:
    return directory_from_json(Value(place="document", raw=document))


def problems_of(document: Any) -> tuple[str, ...]:
    with pytest.raises(DocumentInvalid) as caught:
        read(document)
    return caught.value.problems


def test_reading_what_was_written_gives_the_same_directory() -> None:
    written = canonical(directory_to_json(territory()))

    assert directory_from_json(parse(written)) == territory()
    assert canonical(directory_to_json(directory_from_json(parse(written)))) == written


def test_what_a_document_leaves_out_has_the_values_of_the_model() -> None:
    person = {"person_id": "x", "name": "X", "role": "radiographer"}

    directory = read({"format": "telegarde-directory/1", "providers": [], "sites": [], "persons": [person]})

    assert directory.persons[PersonId("x")] == Person(person_id=PersonId("x"), name="X", role=Role.RADIOGRAPHER)


def changed(place: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    document: Any = copy.deepcopy(directory_to_json(territory()))
    inner = document
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    return dict(document)


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        (("persons", 0, "rpps"), "10000000012", "document.persons[0].rpps: an RPPS number"),
        (("persons", 0, "rol"), "radiologist", "document.persons[0].rol: no such key; did you mean role?"),
        (("persons", 0, "role"), "radiologis", "document.persons[0].role: one of radiologist"),
        (("persons", 0, "provider_id"), "company", "persons[r01].provider_id: no provider company"),
        (("persons", 0, "privileges"), ["sud"], "persons[r01].privileges: no site sud"),
        (("persons", 0, "privileges"), ["nord", "nord"], "document.persons[0].privileges: nord is there twice"),
        (("persons", 0, "competences"), {"neuro": 3}, "document.persons[0].competences.neuro: one of last_resort"),
        (("persons", 0, "competences"), {"brain": "expert"}, "document.persons[0].competences.brain: no such key"),
        (
            ("persons", 0, "contact_methods", 0, "address"),
            "0600000001",
            "contact_methods[0].address: a number in E.164",
        ),
        (("persons", 0, "weekly_hours"), True, "document.persons[0].weekly_hours: a number from 0 to 168"),
        (("sites", 0, "time_zone"), "Paris", "document.sites[0].time_zone: an IANA time zone"),
        (("sites", 0, "commune"), "Roanne", "document.sites[0].commune: an INSEE code"),
        (("sites", 0, "ae_titles"), ["A" * 17], "document.sites[0].ae_titles[0]: an AE title"),
        (("sites", 0, "contacts"), {"senior": ["r99"]}, "sites[nord].contacts.senior: no person r99"),
        (("providers", 0, "hours", 0, "start"), "25:00", "document.providers[0].hours[0].start: a wall time"),
        (("providers", 0, "hours", 0, "start"), "18:30:10", "document.providers[0].hours[0].start: a wall time"),
        (("providers", 0, "hours", 0, "weekdays"), [7], "document.providers[0].hours[0].weekdays[0]: a whole number"),
        (("format",), "telegarde-directory/2", "document.format: telegarde-directory/1 is wanted"),
    ],
    ids=lambda value: ".".join(map(str, value)) if isinstance(value, tuple) else None,
)
def test_what_cannot_be_used_is_refused_with_its_place(place: tuple[str | int, ...], value: Any, said: str) -> None:
    assert any(said in problem for problem in problems_of(changed(place, value)))


def test_problems_of_sites_and_persons_are_reported_together() -> None:
    document = directory_to_json(territory())
    del document["sites"][0]["commune"]
    document["persons"].append({"person_id": "r02", "name": "", "role": "radiologist"})

    found = problems_of(document)

    assert [problem.split(":")[0] for problem in found] == ["document.sites[0].commune", "document.persons[1].name"]


def test_one_ae_title_cannot_stand_for_two_hospitals() -> None:
    document = directory_to_json(territory())
    document["sites"].append({**document["sites"][0], "site_id": "sud"})

    assert problems_of(document) == (
        "sites[sud].ae_titles: NORD_CT is already of site nord",
        "sites[sud].ae_titles: NORD_MR is already of site nord",
    )


def test_the_same_person_twice_is_refused() -> None:
    document = directory_to_json(territory())
    document["persons"] *= 2

    assert problems_of(document) == ("persons: r01 is there twice",)


def test_problems_never_repeat_a_telephone_number() -> None:
    found = problems_of(changed(("persons", 0, "contact_methods", 0, "address"), "06 00 00 00 01"))

    assert "06 00" not in " ".join(found)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a": 1, "a": 2}', "a is there twice"),
        ('{"a": NaN}', "NaN is no number"),
        ('{"a": 1', "no JSON"),
        ("[" * 100_000, "no JSON"),
        (b"\xff\xfe\xfa", "no JSON"),
    ],
    ids=["twice", "not a number", "cut", "deep", "bytes"],
)
def test_text_that_is_no_sound_json_is_refused(text: str | bytes, said: str) -> None:
    with pytest.raises(DocumentInvalid, match=said):
        parse(text)


def test_luhn_key_finds_one_wrong_digit() -> None:
    assert has_luhn_key("10000000017")
    assert [digit for digit in "012345689" if has_luhn_key(f"1000000001{digit}")] == []
