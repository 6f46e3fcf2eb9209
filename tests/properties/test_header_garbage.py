"""Headers from any bytes whatever: described, or unusable; nothing else."""

import contextlib

from hypothesis import given, settings
from hypothesis import strategies as st

from pacs.archive.header import (
    SEQUENCE_DEPTH_MAX,
    UnusableDataSet,
    describe_levels,
    inflate,
    is_uid,
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
)

SYNTAXES = st.sampled_from([IMPLICIT_LITTLE, EXPLICIT_LITTLE, EXPLICIT_BIG])
IDENTITY = read_header(image("1.2.9"), EXPLICIT_LITTLE, is_complete=True).identity


def read(dataset: bytes, syntax: str, is_complete: bool) -> None:
    with contextlib.suppress(UnusableDataSet):
        header = read_header(dataset, syntax, is_complete=is_complete)
        assert is_uid(header.sop_instance_uid.encode())
    levels, _ = describe_levels(dataset, syntax, IDENTITY)
    for described in levels.values():
        assert "\0" not in "".join(described.columns.values())


@given(dataset=st.binary(max_size=400), syntax=SYNTAXES, is_complete=st.booleans())
@settings(deadline=None, max_examples=150)
def test_any_bytes_are_read(dataset: bytes, syntax: str, is_complete: bool) -> None:
    read(dataset, syntax, is_complete)


@given(data=st.data(), syntax=SYNTAXES, is_complete=st.booleans())
@settings(deadline=None, max_examples=150)
def test_an_image_with_bytes_changed_is_read(data: st.DataObject, syntax: str, is_complete: bool) -> None:
    dataset = bytearray(image("1.2.9", syntax=syntax, pixels=b"12345678"))
    changes = data.draw(
        st.lists(st.tuples(st.integers(0, len(dataset) - 1), st.integers(0, 255)), min_size=1, max_size=8)
    )
    for position, value in changes:
        dataset[position] = value

    read(bytes(dataset), syntax, is_complete)


_TAGS = st.one_of(
    st.sampled_from(sorted(image_elements("1.2.9"))),
    st.sampled_from([0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD, 0x7FE00010, 0x00081140]),
    st.integers(0, 0xFFFFFFFF),
)
_VRS = st.sampled_from(["AE", "CS", "DA", "IS", "LO", "PN", "SH", "SQ", "TM", "UI", "UN", "US", "UT", "OB", "ZZ"])


@given(
    elements=st.lists(
        st.tuples(
            _TAGS,
            _VRS,
            st.binary(max_size=30),
            st.one_of(st.none(), st.just(UNDEFINED), st.integers(0, 0xFFFF), st.integers(0, UNDEFINED)),
        ),
        max_size=12,
    ),
    syntax=SYNTAXES,
    is_complete=st.booleans(),
    is_sorted=st.booleans(),
)
@settings(deadline=None, max_examples=200)
def test_any_elements_are_read(
    elements: list[tuple[int, str, bytes, int | None]], syntax: str, is_complete: bool, is_sorted: bool
) -> None:
    if is_sorted:
        elements = sorted(elements, key=lambda one: one[0])
    encoded = []
    for tag, vr, value, stated in elements:
        if stated is not None and stated > 0xFFFF and vr not in {"SQ", "UN", "UT", "OB"} and syntax != IMPLICIT_LITTLE:
            stated = stated & 0xFFFF
        encoded.append(element(tag, vr, value, syntax, stated_length=stated))

    read(b"".join(encoded), syntax, is_complete)


@given(depth=st.integers(1, 3 * SEQUENCE_DEPTH_MAX), dataset=st.binary(max_size=100))
@settings(deadline=None, max_examples=60)
def test_any_bytes_inside_open_sequences_are_read(depth: int, dataset: bytes) -> None:
    opening = element(0x00081140, "SQ", b"", stated_length=UNDEFINED) + bytes.fromhex("feff00e0ffffffff")

    read(opening * depth + dataset, EXPLICIT_LITTLE, True)


@given(dataset=st.binary(max_size=400))
def test_any_bytes_are_inflated_or_unusable(dataset: bytes) -> None:
    try:
        inflated = inflate(dataset)
    except UnusableDataSet:
        return
    read(inflated, DEFLATED, False)
