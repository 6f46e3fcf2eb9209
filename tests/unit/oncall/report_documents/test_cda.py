"""The report as CDA R2 IMG-CR-IMG 2024.01: the rules of the volet that its Schematron states, as far as they are ours.

The rules, from the Schematron profiles that ANS publishes: templates and code of the document; set and version number;
a serviceEvent for each study with its modality; exactly one conclusion; for each act a technique with method and site,
and one object catalogue; an addendum with text and the name of its author; the exposure with pregnancy stated.
"""

import base64
from dataclasses import replace

import pytest
from lxml import etree

from oncall.report_documents.cda import cda
from oncall.report_documents.source import DocumentSource
from tests.unit.oncall.report_documents.reports import EXAM, NAMES, STROKE, SUBJECT, VARIANTS, signed, source

NAMESPACES = {"c": "urn:hl7-org:v3", "p": "urn:dicom-org:ps3-20"}
LOINC = "2.16.840.1.113883.6.1"
SECTION_MAX = {  # template: how often at most, how often at least
    "1.2.250.1.213.1.1.2.209": (1, 1),
    "1.2.250.1.213.1.1.2.206": (99, 1),
    "1.2.250.1.213.1.1.2.210": (1, 0),
    "1.2.250.1.213.1.1.2.205": (1, 0),
    "1.2.250.1.213.1.1.2.208": (1, 0),
    "1.2.250.1.213.1.1.2.37": (1, 0),
}
SECTION_CODES = {
    "1.2.250.1.213.1.1.2.209": "19005-8",
    "1.2.250.1.213.1.1.2.206": "55111-9",
    "1.2.250.1.213.1.1.2.210": "55107-7",
    "1.2.250.1.213.1.1.2.205": "55752-0",
    "1.2.250.1.213.1.1.2.208": "59776-5",
    "1.2.250.1.213.1.1.2.215": "73569-6",
    "1.2.250.1.213.1.1.2.217": "121181",
}


class Read:
    """A document, asked by XPath."""

    def __init__(self, of: DocumentSource, pdf: bytes | None = None) -> None:
        self.root = etree.fromstring(cda(of, pdf))

    def all(self, path: str) -> list[etree._Element]:
        """Return what a path selects."""
        found: list[etree._Element] = self.root.xpath(path, namespaces=NAMESPACES)
        return found

    def one(self, path: str) -> etree._Element:
        """Return the one thing that a path selects."""
        (found,) = self.all(path)
        return found

    def texts(self, path: str) -> str:
        """Return the text of everything that a path selects."""
        return "\n".join("".join(one.itertext()) for one in self.all(path))


@pytest.fixture(params=VARIANTS)
def read(request: pytest.FixtureRequest) -> Read:
    """Return each kind of version as it is read."""
    return Read(VARIANTS[request.param]())


def test_the_header_follows_the_templates_of_the_volet_and_of_dicom(read: Read) -> None:
    roots = {one.get("root") for one in read.all("/c:ClinicalDocument/c:templateId")}

    assert roots >= {"1.2.250.1.213.1.1.1.45", "1.2.840.10008.9.1", "1.2.840.10008.9.20", "1.2.840.10008.9.21"}
    assert read.one("/c:ClinicalDocument/c:code").get("code") == "18748-4"
    assert read.one("/c:ClinicalDocument/c:legalAuthenticator/c:signatureCode").get("code") == "S"
    assert read.one("//c:inFulfillmentOf/c:order/p:accessionNumber").get("extension") == EXAM.study.accession_number


def test_each_study_is_documented_with_its_uid_and_modality(read: Read) -> None:
    event = read.one("//c:documentationOf/c:serviceEvent")

    assert event.find("c:id", NAMESPACES).get("root") == EXAM.study.study_instance_uid
    assert read.one("//c:serviceEvent/c:code/c:translation").get("code") == "CT"
    assert read.one("//c:serviceEvent/c:code/c:translation/c:qualifier/c:name").get("code") == "121139"


def test_sections_come_as_often_as_the_volet_says_with_its_codes_and_texts(read: Read) -> None:
    for template, (most, least) in SECTION_MAX.items():
        assert (
            least <= len(read.all(f"//c:structuredBody/c:component/c:section[c:templateId/@root='{template}']")) <= most
        )
    for template, code in SECTION_CODES.items():
        for section in read.all(f"//c:section[c:templateId/@root='{template}']"):
            assert section.find("c:code", NAMESPACES).get("code") == code
            assert section.find("c:text", NAMESPACES) is not None


def test_an_act_has_its_technique_with_method_and_site_and_one_catalogue(read: Read) -> None:
    for act in read.all("//c:section[c:templateId/@root='1.2.250.1.213.1.1.2.206']"):
        (technique,) = act.xpath(".//c:procedure[c:templateId/@root='1.2.250.1.213.1.1.3.153']", namespaces=NAMESPACES)
        assert technique.find("c:methodCode", NAMESPACES).get("code") == "CT"
        assert technique.find("c:targetSiteCode", NAMESPACES).get("code") == "302548004"
        assert len(act.xpath(".//c:section[c:templateId/@root='1.2.250.1.213.1.1.2.217']", namespaces=NAMESPACES)) == 1


def test_every_reference_inside_is_to_something_inside(read: Read) -> None:
    named = {one.get("ID") for one in read.all("//*[@ID]")}

    assert {one.get("value")[1:] for one in read.all("//c:reference[starts-with(@value, '#')]")} <= named
    assert len(named) == len(read.all("//*[@ID]"))


def test_versions_of_a_case_share_a_set_and_the_later_replaces_the_earlier() -> None:
    first, second = Read(source()), Read(VARIANTS["addendum"]())

    assert first.one("//c:setId").get("root") == second.one("//c:setId").get("root")
    assert [one.one("//c:versionNumber").get("value") for one in (first, second)] == ["1", "2"]
    assert second.one("//c:relatedDocument[@typeCode='RPLC']//c:id").get("root") == first.one("/*/c:id").get("root")
    assert first.all("//c:relatedDocument") == []


def test_an_addendum_is_a_section_with_its_author_before_the_whole_report() -> None:
    read = Read(VARIANTS["addendum"]())
    section = "//c:section[c:templateId/@root='1.2.250.1.213.1.1.2.210']"

    assert "micro-anévrisme" in read.texts(f"{section}/c:text")
    assert read.one(f"{section}/c:author//c:family").text == "Moreau"
    assert "Thrombectomie" in read.texts("//c:section[c:templateId/@root='1.2.250.1.213.1.1.2.209']/c:text")


@pytest.mark.parametrize(
    ("variant", "mark"), [("retraction", "RETIRÉ"), ("withdrawn", "RETIRÉ"), ("preliminary", "PROVISOIRE")]
)
def test_what_is_withdrawn_or_preliminary_says_so_in_title_and_conclusion(variant: str, mark: str) -> None:
    read = Read(VARIANTS[variant]())

    assert read.one("/c:ClinicalDocument/c:title").text.startswith(mark)
    bold = read.texts("//c:section[c:templateId/@root='1.2.250.1.213.1.1.2.209']//c:content[@styleCode='Bold']")
    assert mark in bold.upper()


def test_the_national_identity_is_there_only_with_all_five_traits() -> None:
    assert SUBJECT.ins is not None
    without = replace(SUBJECT, ins=replace(SUBJECT.ins, birthplace=""))
    whole, partial = Read(source()), Read(replace(source(), subject=without))

    assert whole.one("//c:patientRole/c:id[1]").get("extension") == SUBJECT.ins.matricule
    assert [one.get("extension") for one in partial.all("//c:patientRole/c:id")] == [SUBJECT.patient_id]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_in_the_text_in_every_script(name: str) -> None:
    read = Read(source(name=NAMES[name]))

    for group in NAMES[name].split("="):
        family, given, *_ = group.split("^")
        assert f"{family} {given}" in read.texts("//c:section/c:text")


def test_the_pdf_inside_comes_out_as_it_went_in() -> None:
    read = Read(source(), b"%PDF-1.7")

    assert base64.b64decode(read.one("//c:observationMedia/c:value").text) == b"%PDF-1.7"


def test_what_a_reader_typed_is_text_and_controls_are_code_points() -> None:
    typed = "<paragraph>&amp;</paragraph> \x07 fin"
    read = Read(source(signed(content=replace(STROKE, results=typed))))

    assert "<paragraph>&amp;</paragraph> [U+0007] fin" in read.texts(
        "//c:section[c:templateId/@root='1.2.250.1.213.1.1.2.208']/c:text"
    )


def test_made_twice_it_is_the_same_bytes() -> None:
    assert cda(source(), b"x") == cda(source(), b"x")
