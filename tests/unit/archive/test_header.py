"""Reading headers: the same as pydicom where pydicom can, bounded and honest where nobody can."""

import json
import subprocess
import sys
import warnings
from pathlib import Path

import pydicom
import pytest
from pydicom.errors import InvalidDicomError

from pacs.archive.attributes import Level
from pacs.archive.header import (
    ATTRIBUTES_JSON_CHARACTERS_MAX,
    INFLATED_BYTES_MAX,
    InstanceHeader,
    UnusableDataSet,
    describe_levels,
    inflate,
    is_uid,
    is_uncompressed_header,
    read_header,
)
from tests.harness.data_sets import (
    DEFLATED,
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    UNDEFINED,
    element,
    image,
    image_elements,
    nested_sequences,
    text,
    written,
)
from tests.harness.part10 import Part10, read_part10
from tests.harness.sample_files import character_set_files, pydicom_data_files, pydicom_test_files

UNCOMPRESSED = [IMPLICIT_LITTLE, EXPLICIT_LITTLE, EXPLICIT_BIG]
SAMPLES = [
    (path, part10)
    for path in [*pydicom_test_files(), *pydicom_data_files(), *character_set_files()]
    if (part10 := read_part10(path)) is not None and part10.transfer_syntax_uid
]


def header_of(dataset: bytes, syntax: str) -> InstanceHeader:
    """Read a header as ingest does with a whole data set."""
    if is_uncompressed_header(syntax):
        return read_header(dataset, syntax, is_complete=True)
    return read_header(inflate(dataset), syntax, is_complete=False)


def pydicom_of(path: Path) -> pydicom.Dataset:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pydicom.dcmread(path, force=True, stop_before_pixels=True)


# --- real files ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("path", "part10"), SAMPLES, ids=[path.name for path, _ in SAMPLES])
def test_a_real_file_is_read_as_pydicom_reads_it(path: Path, part10: Part10) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _compare(pydicom_of(path), part10)


def _compare(ds: pydicom.Dataset, part10: Part10) -> None:
    uids = [
        str(ds.get(keyword) or "")
        for keyword in ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
    ]
    if not all(is_uid(uid.encode()) for uid in uids):
        with pytest.raises(UnusableDataSet):
            header_of(part10.dataset, part10.transfer_syntax_uid)
        return
    header = header_of(part10.dataset, part10.transfer_syntax_uid)
    identity = header.identity
    assert [
        identity.sop_class_uid.decode(),
        header.sop_instance_uid,
        identity.study_instance_uid.decode(),
        identity.series_instance_uid.decode(),
    ] == uids
    assert header.rows == ds.get("Rows")
    assert header.columns == ds.get("Columns")
    if str(ds["NumberOfFrames"].value if "NumberOfFrames" in ds else "").isdecimal():
        assert header.number_of_frames == int(ds.NumberOfFrames)
    else:
        assert header.number_of_frames is None
    assert header.instance_number == str(ds.get("InstanceNumber") if ds.get("InstanceNumber") is not None else "")
    beginning = part10.dataset if is_uncompressed_header(part10.transfer_syntax_uid) else inflate(part10.dataset)
    levels, problem = describe_levels(beginning, part10.transfer_syntax_uid, identity)
    assert problem == ""
    patient, study, series = (levels[level].columns for level in (Level.PATIENT, Level.STUDY, Level.SERIES))
    assert patient["patient_name"] == str(ds.get("PatientName") or "").strip(" ")
    assert patient["patient_id"] == str(ds.get("PatientID") or "").strip(" ")
    # Old equipment writes 1994.11.05 (ACR-NEMA); the index keeps what can be compared (test_header_dates).
    assert study["study_date"] == str(ds.get("StudyDate") or "").replace(".", "")
    assert study["accession_number"] == str(ds.get("AccessionNumber") or "").strip(" ")
    assert series["modality"] == str(ds.get("Modality") or "")
    for level in (Level.PATIENT, Level.STUDY, Level.SERIES):
        assert isinstance(json.loads(levels[level].attributes), dict)


def test_most_real_files_are_among_the_compared() -> None:
    usable = 0
    for path, part10 in SAMPLES:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                usable += bool(pydicom_of(path).get("StudyInstanceUID"))
            except InvalidDicomError:
                continue
        del part10
    assert usable > 100


def test_names_in_every_character_set_of_the_samples_are_unicode() -> None:
    names = {}
    for path in character_set_files():
        part10 = read_part10(path)
        if part10 is None:
            continue
        levels, _ = describe_levels(
            part10.dataset,
            part10.transfer_syntax_uid,
            # Only the fallback, which is not used here.
            read_header(image("1.2"), EXPLICIT_LITTLE, is_complete=True).identity,
        )
        names[path.stem] = levels[Level.PATIENT].columns["patient_name"]
    assert names["chrFren"] == "Buc^Jérôme"
    assert names["chrGreek"] == "Διονυσιος"
    assert names["chrX1"] == "Wang^XiaoDong=王^小東"
    assert names["chrH31"] == "Yamada^Tarou=山田^太郎=やまだ^たろう"


# --- transfer syntaxes --------------------------------------------------------------------------------


@pytest.mark.parametrize("syntax", [*UNCOMPRESSED, DEFLATED])
def test_every_encoding_gives_the_same_header(syntax: str) -> None:
    options = {"issuer": "NORTH", "patient_name": "Müller^Ä", "pixels": bytes(64)}
    extra = {0x00280008: ("IS", b"12"), 0x00080005: ("CS", text("ISO_IR 192"))}

    header = header_of(image("1.2.9", syntax=syntax, extra=extra, **options), syntax)

    assert header.sop_instance_uid == "1.2.9"
    assert (header.rows, header.columns, header.number_of_frames, header.instance_number) == (16, 8, 12, "1")
    assert header.identity.patient_id == b"P1"
    assert header.identity.issuer_of_patient_id == b"NORTH"
    assert header.problem == ""


@pytest.mark.parametrize("syntax", [*UNCOMPRESSED, DEFLATED])
def test_every_encoding_gives_the_same_description(syntax: str) -> None:
    dataset = image("1.2.9", syntax=syntax, issuer="NORTH", extra={0x00101002: ("SQ", b"")})
    header = header_of(dataset, syntax)
    beginning = dataset if is_uncompressed_header(syntax) else inflate(dataset)

    levels, problem = describe_levels(beginning, syntax, header.identity)

    assert problem == ""
    assert levels[Level.PATIENT].columns["patient_name"] == "Doe^Jane"
    assert levels[Level.PATIENT].columns["issuer"] == "NORTH"
    assert levels[Level.STUDY].columns["study_description"] == "Head"
    assert levels[Level.SERIES].columns["series_description"] == "Axial"


def test_a_zip_bomb_is_inflated_only_as_far_as_a_header_can_be() -> None:
    bomb = written({0x00080016: ("UI", b"1.2"), 0x00420011: ("OB", bytes(200 * 1024 * 1024))}, DEFLATED)

    assert len(inflate(bomb)) <= INFLATED_BYTES_MAX


def test_what_is_not_deflated_is_unusable() -> None:
    with pytest.raises(UnusableDataSet, match="not deflated"):
        inflate(b"\xff\xff not deflated at all")


# --- broken data sets ---------------------------------------------------------------------------------


def rich_image(syntax: str) -> bytes:
    """Return a data set with sequences of both kinds of length before and after the UIDs."""
    elements = image_elements("1.2.9", syntax=syntax, pixels=bytes(32), issuer="NORTH")
    parts = [(tag, element(tag, vr, value, syntax)) for tag, (vr, value) in elements.items()]
    parts += [
        (tag, nested_sequences(depth, is_defined=is_defined, syntax=syntax, tag=tag))
        for tag, depth, is_defined in (
            *((0x00081110, 2, True), (0x00081140, 3, False)),
            *((0x00400275, 2, False), (0x00400555, 2, True)),
        )
    ]
    return b"".join(encoded for _, encoded in sorted(parts))


@pytest.mark.parametrize("is_complete", [True, False])
@pytest.mark.parametrize("syntax", UNCOMPRESSED)
def test_a_data_set_cut_anywhere_is_described_or_unusable(syntax: str, is_complete: bool) -> None:
    whole = rich_image(syntax)
    assert read_header(whole, syntax, is_complete=is_complete).problem == ""
    usable = 0

    for length in range(len(whole)):
        try:
            header = read_header(whole[:length], syntax, is_complete=is_complete)
        except UnusableDataSet:
            continue
        usable += 1
        assert header.sop_instance_uid == "1.2.9"
        # It may end between two elements, before the pixels; anywhere else it says that something is missing.
        if is_complete and header.problem == "":
            assert read_header(whole[:length] + element(0x7FE00010, "OW", b"", syntax), syntax, is_complete=True)
        if not is_complete:
            assert header.length_bytes_min > length or header.length_bytes_min in {0, length}

    assert usable > 100


@pytest.mark.parametrize("syntax", UNCOMPRESSED)
def test_a_data_set_that_ends_inside_its_pixels_is_marked(syntax: str) -> None:
    whole = image("1.2.9", syntax=syntax, pixels=bytes(1000))

    assert "ends inside" in read_header(whole[:-1], syntax, is_complete=True).problem
    assert read_header(whole[:-900], syntax, is_complete=False).length_bytes_min == len(whole)
    assert read_header(whole, syntax, is_complete=True).problem == ""


def test_compressed_pixels_without_an_end_are_marked() -> None:
    fragments = b"".join(element(0xFFFEE000, "", bytes(10), IMPLICIT_LITTLE) for _ in range(3))
    end = element(0xFFFEE0DD, "", b"", IMPLICIT_LITTLE)
    pixels = element(0x7FE00010, "OB", b"", stated_length=UNDEFINED)

    assert read_header(image("1.2.9") + pixels + fragments + end, EXPLICIT_LITTLE, is_complete=True).problem == ""
    for cut in (end, end + fragments[-5:]):
        short = (image("1.2.9") + pixels + fragments + end).removesuffix(end)[: -len(cut) or None]
        assert "does not end" in read_header(short, EXPLICIT_LITTLE, is_complete=True).problem


@pytest.mark.parametrize("syntax", UNCOMPRESSED)
def test_a_description_of_a_data_set_cut_anywhere_never_raises(syntax: str) -> None:
    whole = rich_image(syntax)
    identity = read_header(whole, syntax, is_complete=True).identity

    for length in range(0, len(whole), 3):
        levels, _ = describe_levels(whole[:length], syntax, identity)
        assert levels[Level.STUDY].columns["study_instance_uid"] == "1.2.3"
        assert levels[Level.SERIES].columns["series_instance_uid"] == "1.2.3.1"
        assert levels[Level.PATIENT].columns["patient_id"].startswith("P")


@pytest.mark.parametrize("missing", [0x00080016, 0x00080018, 0x0020000D, 0x0020000E])
@pytest.mark.parametrize("syntax", UNCOMPRESSED)
def test_a_data_set_without_one_of_its_uids_is_unusable(syntax: str, missing: int) -> None:
    elements = image_elements("1.2.9", syntax=syntax)
    del elements[missing]

    with pytest.raises(UnusableDataSet, match="is missing"):
        read_header(written(elements, syntax), syntax, is_complete=True)


@pytest.mark.parametrize("value", [b"1.2.x3", b"patient", b".1.2", b"1.2.", b"1." + b"2" * 64, "1.٢".encode()])
def test_what_is_no_uid_makes_a_data_set_unusable(value: bytes) -> None:
    dataset = image("1.2.9", extra={0x0020000D: ("UI", value + b"\0" * (len(value) % 2))})

    with pytest.raises(UnusableDataSet, match="not a UID") as caught:
        read_header(dataset, EXPLICIT_LITTLE, is_complete=True)
    # Whatever stood there may be about a patient.
    assert value.decode(errors="replace") not in str(caught.value)


@pytest.mark.parametrize(
    ("said", "is_really"), [(EXPLICIT_LITTLE, IMPLICIT_LITTLE), (IMPLICIT_LITTLE, EXPLICIT_LITTLE)]
)
def test_a_data_set_with_the_other_kind_of_vr_than_agreed_is_read_and_marked(said: str, is_really: str) -> None:
    header = read_header(image("1.2.9", syntax=is_really, pixels=bytes(20)), said, is_complete=True)
    levels, problem = describe_levels(image("1.2.9", syntax=is_really), said, header.identity)

    assert header.sop_instance_uid == "1.2.9"
    assert "mixed up" in header.problem
    assert problem == ""
    assert levels[Level.PATIENT].columns["patient_name"] == "Doe^Jane"


def test_elements_out_of_order_are_read_as_far_as_they_are_in_order() -> None:
    dataset = image("1.2.9") + element(0x00100010, "PN", b"No^Order")

    assert "out of order" in read_header(dataset, EXPLICIT_LITTLE, is_complete=True).problem


@pytest.mark.parametrize("syntax", UNCOMPRESSED)
@pytest.mark.parametrize("is_defined", [True, False])
@pytest.mark.parametrize("tag", [0x00081140, 0x00101002, 0x00400275, 0x00091010])
def test_ten_thousand_nested_sequences_end_in_an_answer(syntax: str, is_defined: bool, tag: int) -> None:
    elements = image_elements("1.2.9", syntax=syntax)
    parts = [(number, element(number, vr, value, syntax)) for number, (vr, value) in elements.items()]
    parts.append((tag, nested_sequences(10_000, is_defined=is_defined, syntax=syntax, tag=tag)))
    dataset = b"".join(encoded for _, encoded in sorted(parts))

    try:
        header = read_header(dataset, syntax, is_complete=True)
    except UnusableDataSet:
        # Nothing behind sequences without an end can be found, and here the UIDs stand behind them.
        assert not is_defined
        assert tag < 0x0020000D
        return

    assert header.sop_instance_uid == "1.2.9"
    assert bool(header.problem) is not is_defined
    levels, _ = describe_levels(dataset, syntax, header.identity)
    assert levels[Level.PATIENT].columns["patient_name"] == "Doe^Jane"


def test_deep_nesting_does_not_overrun_the_small_stack_of_an_association_thread() -> None:
    # A stack that overflows takes the process with it, so this runs in one of its own.
    program = """
import sys, threading
from pacs.archive.header import describe_levels, read_header
from pacs.scp.server import _THREAD_STACK_BYTES
from tests.harness.data_sets import EXPLICIT_LITTLE, element, image, image_elements, nested_sequences
identity = read_header(image("1.2"), EXPLICIT_LITTLE, is_complete=True).identity
threading.stack_size(_THREAD_STACK_BYTES)
for is_defined in (True, False):
    for depth in (50, 90, 150, 300, 1000, 10_000):
        dataset = image("1.2") + nested_sequences(depth, is_defined=is_defined, tag=0x00400275)
        thread = threading.Thread(target=describe_levels, args=(dataset, EXPLICIT_LITTLE, identity))
        thread.start()
        thread.join()
print("alive")
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=Path(__file__).parents[3], check=False
    )

    assert (done.returncode, done.stdout) == (0, "alive\n"), done.stderr


# --- values that databases and patients do not bear -----------------------------------------------------


def test_text_in_the_index_has_neither_nul_nor_lone_surrogates() -> None:
    dataset = image(
        "1.2.9",
        extra={
            0x00080005: ("CS", text("ISO_IR 192")),
            0x00100010: ("PN", b"Doe\0^\xed\xa0\x80x"),
            0x00200013: ("IS", b"1\x002\0"),
            0x00081030: ("LO", b"a\0b "),
            0x00104000: ("LT", b"nul \0 here "),
        },
    )
    header = read_header(dataset, EXPLICIT_LITTLE, is_complete=True)
    levels, _ = describe_levels(dataset, EXPLICIT_LITTLE, header.identity)

    assert header.instance_number == "12"
    for described in levels.values():
        for value in (*described.columns.values(), described.attributes):
            assert "\0" not in value
            assert "\\u0000" not in value
            value.encode("utf-8")


def test_patient_ids_longer_than_the_standard_allows_stay_different_patients() -> None:
    described = []
    for last in ("1", "2"):
        dataset = image("1.2.9", patient_id="X" * 100 + last, issuer="Y" * 100 + last)
        header = read_header(dataset, EXPLICIT_LITTLE, is_complete=True)
        levels, _ = describe_levels(dataset, EXPLICIT_LITTLE, header.identity)
        described.append(levels[Level.PATIENT].columns)

    first, second = described
    assert len(first["patient_id"]) == 64
    assert first["patient_id"] != second["patient_id"]
    assert first["issuer"] != second["issuer"]


def test_an_identity_keeps_little_of_a_value_that_is_too_long() -> None:
    identities = set()
    for last in ("1", "2"):
        huge = "X" * 60_000 + last
        header = read_header(image("1.2.9", patient_id=huge), EXPLICIT_LITTLE, is_complete=True)
        assert len(header.identity.patient_id) <= 256
        identities.add(header.identity)

    assert len(identities) == 2


def test_long_attributes_are_left_to_the_stored_bytes() -> None:
    dataset = image("1.2.9", extra={0x00104000: ("LT", b"x" * 60_000), 0x00102180: ("SH", b"nurse ")})
    header = read_header(dataset, EXPLICIT_LITTLE, is_complete=True)

    levels, problem = describe_levels(dataset, EXPLICIT_LITTLE, header.identity)

    assert problem == ""
    assert len(levels[Level.PATIENT].attributes) <= ATTRIBUTES_JSON_CHARACTERS_MAX


def test_a_broken_sequence_does_not_cost_the_name_of_the_patient() -> None:
    dataset = image("1.2.9") + nested_sequences(500, is_defined=False, tag=0x00400275)
    identity = read_header(image("1.2.9"), EXPLICIT_LITTLE, is_complete=True).identity

    levels, problem = describe_levels(dataset, EXPLICIT_LITTLE, identity)

    assert "cannot decode" in problem
    assert levels[Level.PATIENT].columns["patient_name"] == "Doe^Jane"
    assert levels[Level.STUDY].columns["study_date"] == "20260102"
    assert levels[Level.SERIES].columns["modality"] == "CT"
