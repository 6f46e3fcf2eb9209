"""The report for FHIR: valid by models written elsewhere, never more final than it is, complete in itself."""

import base64
import json
import re
from collections.abc import Iterator

import pytest
from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.diagnosticreport import DiagnosticReport
from lxml import etree

from oncall.report_documents.fhir import bundle, diagnostic_report
from tests.unit.oncall.report_documents.reports import NAMES, STROKE, VARIANTS, signed, source

STATUSES = {
    "final": ("final", "final"),
    "preliminary": ("preliminary", "preliminary"),
    "addendum": ("appended", "amended"),
    "replacement": ("corrected", "amended"),
    "retraction": ("entered-in-error", "entered-in-error"),
    "withdrawn": ("entered-in-error", "entered-in-error"),
}


def references(value: object) -> Iterator[str]:
    """Yield every reference inside a resource."""
    if isinstance(value, dict):
        if "reference" in value:
            yield value["reference"]
        for item in value.values():
            yield from references(item)
    if isinstance(value, list):
        for item in value:
            yield from references(item)


def resource(made: dict[str, object], kind: str) -> dict[str, object]:
    """Return the first resource of a kind in a Bundle."""
    entries: list[dict[str, dict[str, object]]] = made["entry"]  # type: ignore[assignment]  # a Bundle's JSON
    return next(one["resource"] for one in entries if one["resource"]["resourceType"] == kind)


@pytest.mark.parametrize("variant", VARIANTS)
def test_report_and_bundle_are_valid_by_the_models_of_fhir_resources(variant: str) -> None:
    of = VARIANTS[variant]()

    DiagnosticReport.model_validate(diagnostic_report(of, pdf=b"%PDF"))
    Bundle.model_validate(json.loads(json.dumps(bundle(of, pdf=b"%PDF"))))


@pytest.mark.parametrize(("variant", "expected"), STATUSES.items())
def test_the_status_is_that_of_the_version_and_never_more_final(variant: str, expected: tuple[str, str]) -> None:
    made = bundle(VARIANTS[variant]())

    assert (resource(made, "DiagnosticReport")["status"], resource(made, "Composition")["status"]) == expected


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_reference_of_the_bundle_is_to_an_entry_of_it(variant: str) -> None:
    made = bundle(VARIANTS[variant]())
    uuids = [one["fullUrl"] for one in made["entry"]]

    assert set(references(made)) <= set(uuids)
    assert len(set(uuids)) == len(uuids)
    assert made["entry"][0]["resource"]["resourceType"] == "Composition"


def test_the_signature_and_what_it_is_over_are_in_the_provenance() -> None:
    of = signed()
    provenance = resource(bundle(source(of)), "Provenance")

    assert base64.b64decode(provenance["signature"][0]["data"]) == of.signature.value  # type: ignore[index]  # JSON
    assert provenance["entity"][0]["what"]["identifier"]["value"] == of.digest  # type: ignore[index]  # JSON


@pytest.mark.parametrize("name", NAMES)
def test_every_script_of_a_name_is_a_name_of_the_patient(name: str) -> None:
    patient = resource(bundle(source(name=NAMES[name])), "Patient")
    families = [one["family"] for one in patient["name"]]  # type: ignore[attr-defined]  # JSON

    assert families == [group.split("^")[0] for group in NAMES[name].split("=")]


@pytest.mark.parametrize(("variant", "code"), [("addendum", "appends"), ("replacement", "replaces")])
def test_a_later_document_says_which_one_it_follows(variant: str, code: str) -> None:
    former = bundle(source())["identifier"]
    (relation,) = resource(bundle(VARIANTS[variant]()), "Composition")["relatesTo"]  # type: ignore[misc]  # JSON

    assert relation == {"code": code, "targetIdentifier": former}


@pytest.mark.parametrize("variant", VARIANTS)
def test_narratives_are_well_formed_and_quote_what_looks_like_markup(variant: str) -> None:
    for div in re.findall(r'"div": ("(?:[^"\\]|\\.)*")', json.dumps(bundle(VARIANTS[variant]()))):
        root = etree.fromstring(json.loads(div))
        assert root.tag == "{http://www.w3.org/1999/xhtml}div"


def test_what_a_reader_typed_is_text_in_the_narrative() -> None:
    typed = '<script src="x"/> & </div>'
    made = diagnostic_report(
        source(signed(content=STROKE.__class__(language=STROKE.language, title="T", results=typed)))
    )

    assert typed in "".join(etree.fromstring(made["text"]["div"]).itertext())


def test_made_twice_it_is_the_same() -> None:
    assert bundle(source(), pdf=b"x") == bundle(source(), pdf=b"x")
