"""The report as DICOM: judged by dciodvfy, DCMTK and PixelMed; flags, predecessors, evidence, identity."""

from dataclasses import replace
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset

from oncall.report.version import VersionKind
from oncall.report_documents.dicom_header import part10
from oncall.report_documents.encapsulated import encapsulated_pdf
from oncall.report_documents.identifiers import DocumentKind, document_uid
from oncall.report_documents.key_objects import key_objects
from oncall.report_documents.source import DocumentSource, StoredDocument
from oncall.report_documents.structured_report import structured_report
from tests.unit.oncall.report_documents.judges import dciodvfy_errors, dsrdump, sr_template_remarks
from tests.unit.oncall.report_documents.reports import (
    CT_IMAGE,
    EXAM,
    NAMES,
    STROKE,
    STUDY_UID,
    SUBJECT,
    VARIANTS,
    empty,
    signed,
    source,
)

PDF = b"%PDF-1.7 of odd length."

# The validator knows headings by the codes that they had before LOINC's (PS3.16 CID 7001, until 2022).
FORMER_CODES = {
    "18785-6": "121109",
    "55111-9": "121064",
    "59776-5": "121070",
    "55110-1": "121076",
    "55107-7": "121078",
    "55112-7": "121111",
    "55113-5": "121180",
    "11329-0": "121060",
    "73569-6": "113923",
}


def documents(of: DocumentSource) -> list[Dataset]:
    """Return all DICOM documents of a source."""
    made = [structured_report(of), encapsulated_pdf(of, PDF), key_objects(of)]
    return [one for one in made if one is not None]


def written(dataset: Dataset, directory: Path) -> Path:
    """Write an instance."""
    path = directory / f"{dataset.SOPInstanceUID}.dcm"
    path.write_bytes(part10(dataset))
    return path


def texts(dataset: Dataset) -> list[str]:
    """Return every text of a content tree, in order."""
    found = [str(dataset.TextValue)] if "TextValue" in dataset else []
    return found + [text for item in dataset.get("ContentSequence", []) for text in texts(item)]


@pytest.mark.parametrize("variant", VARIANTS)
def test_dciodvfy_finds_no_error_in_any_document_of_any_version(variant: str, tmp_path: Path) -> None:
    made = documents(VARIANTS[variant]())

    assert [dciodvfy_errors(written(one, tmp_path)) for one in made] == [[] for _ in made]


@pytest.mark.parametrize("name", NAMES)
def test_names_of_three_scripts_pass_dciodvfy_and_are_read_by_dcmtk(name: str, tmp_path: Path) -> None:
    path = written(structured_report(source(name=NAMES[name])), tmp_path)

    assert dciodvfy_errors(path) == []
    assert NAMES[name] in dsrdump(path)


def test_dcmtk_reads_a_text_of_60_000_characters_to_its_end(tmp_path: Path) -> None:
    long = replace(STROKE, results="Foie normal, sans lésion focale. " * 1_900 + "Fin du texte.")
    path = written(structured_report(source(signed(content=long))), tmp_path)

    assert dciodvfy_errors(path) == []
    assert 'Fin du texte."' in dsrdump(path)


def test_the_template_validator_recognises_tid_2000_and_remarks_only_on_what_is_newer_than_itself(
    tmp_path: Path,
) -> None:
    made = structured_report(VARIANTS["addendum"]())
    _use_former_codes(made)
    template, remarks = sr_template_remarks(written(made, tmp_path))

    assert "TID_2000 (BasicDiagnosticImagingReport)" in template
    newer = ("128775,DCM", "ASPECTS,99TELEGARDE", "113923,DCM")
    assert [line for line in remarks if not any(code in line for code in newer)] == []


@pytest.mark.parametrize(
    ("variant", "flags"),
    [
        ("final", ("COMPLETE", "VERIFIED", "FINAL")),
        ("preliminary", ("PARTIAL", "UNVERIFIED", "PRELIMINARY")),
        ("addendum", ("COMPLETE", "VERIFIED", "FINAL")),
        ("replacement", ("COMPLETE", "VERIFIED", "FINAL")),
        ("retraction", ("COMPLETE", "VERIFIED", "FINAL")),
    ],
)
def test_flags_say_how_complete_verified_and_final_a_version_is(variant: str, flags: tuple[str, str, str]) -> None:
    made = structured_report(VARIANTS[variant]())

    assert (made.CompletionFlag, made.VerificationFlag, made.PreliminaryFlag) == flags
    assert ("VerifyingObserverSequence" in made) is (flags[1] == "VERIFIED")


def test_the_signer_is_verifying_observer_by_the_national_register() -> None:
    (observer,) = structured_report(source()).VerifyingObserverSequence
    (code,) = observer.VerifyingObserverIdentificationCodeSequence

    assert str(observer.VerifyingObserverName) == "Moreau^Gaëlle^^Dr"
    assert (code.CodeValue, code.CodingSchemeDesignator) == ("10003456789", "99RPPS")
    assert observer.VerificationDateTime == "20260329004107+0100"


@pytest.mark.parametrize("kind", [DocumentKind.STRUCTURED_REPORT, DocumentKind.ENCAPSULATED_PDF])
def test_a_later_version_names_the_document_that_it_builds_on(kind: DocumentKind) -> None:
    first, second = source(), VARIANTS["replacement"]()
    made = dict(zip(("sr", "pdf"), documents(second), strict=False))[kind.value]
    ((series,),) = ([*study.ReferencedSeriesSequence] for study in made.PredecessorDocumentsSequence)
    former = dict(zip(("sr", "pdf"), documents(first), strict=False))[kind.value]

    assert series.SeriesInstanceUID == former.SeriesInstanceUID
    assert [one.ReferencedSOPInstanceUID for one in series.ReferencedSOPSequence] == [former.SOPInstanceUID]
    assert "PredecessorDocumentsSequence" not in former


def test_a_predecessor_that_the_archive_has_is_named_as_it_is_stored() -> None:
    stored = StoredDocument(version=1, kind="sr", series_instance_uid="2.25.71", sop_instance_uid="2.25.72")
    made = structured_report(replace(VARIANTS["replacement"](), stored_documents=(stored,)))
    (series,) = made.PredecessorDocumentsSequence[0].ReferencedSeriesSequence

    assert series.SeriesInstanceUID == "2.25.71"
    assert series.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == "2.25.72"


def test_an_addendum_builds_on_the_report_and_every_addendum_before() -> None:
    second = signed(2, VersionKind.ADDENDUM, empty(results="un"))
    third = signed(3, VersionKind.ADDENDUM, empty(results="deux"))
    of = source(third, signed(), second)
    (series,) = structured_report(of).PredecessorDocumentsSequence[0].ReferencedSeriesSequence

    assert [one.ReferencedSOPInstanceUID for one in series.ReferencedSOPSequence] == [
        document_uid(of, DocumentKind.STRUCTURED_REPORT, version=number) for number in (1, 2)
    ]


@pytest.mark.parametrize("variant", VARIANTS)
def test_documents_file_with_the_study_that_they_are_about(variant: str) -> None:
    for made in documents(VARIANTS[variant]()):
        assert made.StudyInstanceUID == STUDY_UID
        assert (made.PatientID, made.IssuerOfPatientID) == (SUBJECT.patient_id, SUBJECT.issuer)
        assert str(made.PatientName) == SUBJECT.name
        assert (made.PatientBirthDate, made.PatientSex) == ("19511103", "F")
        assert (made.StudyDate, made.StudyTime) == ("20260328", "235812")
        assert made.AccessionNumber == EXAM.study.accession_number
        assert made.SpecificCharacterSet == "ISO_IR 192"


@pytest.mark.parametrize("variant", VARIANTS)
def test_documents_made_twice_are_the_same_bytes(variant: str) -> None:
    first, again = (VARIANTS[variant]() for _ in range(2))

    assert [part10(one) for one in documents(first)] == [part10(one) for one in documents(again)]


def test_every_version_kind_and_state_of_a_document_has_an_identifier_of_its_own() -> None:
    states = [source(), VARIANTS["withdrawn"](), VARIANTS["addendum"](), source(signed(3), signed(), signed(2))]
    uids = [str(one.SOPInstanceUID) for of in states for one in documents(of)]

    assert len(set(uids)) == len(uids) == 11
    assert all(uid.startswith("2.25.") and len(uid) <= 64 for uid in uids)


def test_a_corrected_identity_makes_another_instance_and_leaves_the_signed_version_as_it_was() -> None:
    before = source(name="INCONNU^X")
    after = source(before.signed, name=SUBJECT.name)
    first, second = structured_report(before), structured_report(after)

    assert before.signed == after.signed
    assert str(second.PatientName) == SUBJECT.name
    assert first.SOPInstanceUID != second.SOPInstanceUID
    assert first.SeriesInstanceUID != second.SeriesInstanceUID


def test_a_report_withdrawn_later_is_another_instance_that_says_so_first() -> None:
    made = structured_report(VARIANTS["withdrawn"]())
    sections = [item for item in made.ContentSequence if item.ValueType == "CONTAINER"]

    assert made.SOPInstanceUID != structured_report(source()).SOPInstanceUID
    assert "NE PAS UTILISER" in texts(sections[0])[0]


def test_a_retraction_repeats_none_of_what_it_withdraws() -> None:
    said = "\n".join(texts(structured_report(VARIANTS["retraction"]())))

    assert "Retiré jusqu'à la version 1 comprise" in said
    assert "ASPECTS" not in said


def test_an_addendum_holds_the_whole_report_after_what_was_added() -> None:
    said = "\n".join(texts(structured_report(VARIANTS["addendum"]())))

    assert said.index("micro-anévrisme") < said.index("ASPECTS 8") < said.index("Thrombectomie à discuter")


def test_the_language_of_the_report_is_stated() -> None:
    language = next(item for item in structured_report(source()).ContentSequence if item.ValueType == "CODE")

    assert language.ConceptNameCodeSequence[0].CodeValue == "121049"
    assert language.ConceptCodeSequence[0].CodeValue == "fr"


def test_key_images_are_evidence_and_can_be_found_by_series() -> None:
    made = structured_report(source())
    (study,) = made.CurrentRequestedProcedureEvidenceSequence

    assert study.StudyInstanceUID == STUDY_UID
    assert {series.SeriesInstanceUID for series in study.ReferencedSeriesSequence} == {
        f"{STUDY_UID}.2",
        f"{STUDY_UID}.4",
    }


def test_a_key_image_of_another_study_is_other_evidence_and_in_no_selection() -> None:
    prior = replace(STROKE.key_images[0], study_instance_uid="1.2.3.4", note="Antérieur")
    of = source(signed(content=replace(STROKE, key_images=(*STROKE.key_images, prior))))
    made, selected = structured_report(of), key_objects(of)

    assert [study.StudyInstanceUID for study in made.PertinentOtherEvidenceSequence] == ["1.2.3.4"]
    assert selected is not None
    assert [study.StudyInstanceUID for study in selected.CurrentRequestedProcedureEvidenceSequence] == [STUDY_UID]


def test_a_key_object_selection_names_its_images_frames_and_notes() -> None:
    selected = key_objects(source())
    assert selected is not None
    images = [item.ReferencedSOPSequence[0] for item in selected.ContentSequence if item.ValueType == "IMAGE"]

    assert images[0].ReferencedSOPClassUID == CT_IMAGE
    assert list(images[1].ReferencedFrameNumber) == [7, 8]
    assert "1. Occlusion M1 droite" in texts(selected)[-1]


@pytest.mark.parametrize("variant", ["preliminary", "retraction", "withdrawn"])
def test_there_is_no_key_object_selection_without_images_or_of_what_was_withdrawn(variant: str) -> None:
    assert key_objects(VARIANTS[variant]()) is None


def test_the_pdf_comes_out_of_its_instance_as_it_went_in(tmp_path: Path) -> None:
    read = pydicom.dcmread(written(encapsulated_pdf(source(), PDF), tmp_path))

    assert read.EncapsulatedDocument[: read.EncapsulatedDocumentLength] == PDF
    assert len(read.EncapsulatedDocument) % 2 == 0


def test_a_control_character_in_a_text_is_written_as_its_code_point(tmp_path: Path) -> None:
    made = structured_report(source(signed(content=replace(STROKE, results="avant\x1b$Baprès"))))

    assert "avant[U+001B]$Baprès" in "\n".join(texts(made))
    assert dciodvfy_errors(written(made, tmp_path)) == []


def test_a_title_that_a_long_string_cannot_hold_is_one_value_in_the_header_and_whole_in_the_document(
    tmp_path: Path,
) -> None:
    title = "Tête\\cou\n" + "et membres " * 10
    of = source(signed(content=replace(STROKE, title=title)))
    made = encapsulated_pdf(of, PDF)

    assert made.SeriesDescription == ("Tête/cou " + "et membres " * 10)[:64]
    assert made.DocumentTitle == title
    assert [dciodvfy_errors(written(one, tmp_path)) for one in documents(of)] == [[], [], []]


def _use_former_codes(dataset: Dataset) -> None:
    """Give headings the codes that they had."""
    for item in dataset.get("ContentSequence", []):
        for name in item.get("ConceptNameCodeSequence", []):
            if name.CodingSchemeDesignator == "LN":
                name.CodeValue, name.CodingSchemeDesignator = FORMER_CODES[name.CodeValue], "DCM"
        _use_former_codes(item)
