"""The table of attributes agrees with the schema and with the standard's unique keys."""

import pytest
from sqlalchemy import Table

from pacs.archive import schema
from pacs.archive.attributes import (
    ATTRIBUTE_BY_TAG,
    JSON_ATTRIBUTES,
    LEVEL_ATTRIBUTES,
    LEVELS,
    UNIQUE_KEY,
    Attribute,
    Level,
    Source,
    header_vr,
)

TABLES: dict[Level, Table] = {
    Level.PATIENT: schema.patient,
    Level.STUDY: schema.study,
    Level.SERIES: schema.series,
    Level.IMAGE: schema.instance,
}


@pytest.mark.parametrize(
    "attribute", [a for a in LEVEL_ATTRIBUTES if a.source is Source.COLUMN], ids=lambda a: a.keyword
)
def test_every_column_attribute_has_its_column_in_the_table_of_its_level(attribute: Attribute) -> None:
    assert attribute.column in TABLES[attribute.level].c


def test_an_attribute_belongs_to_one_level_only() -> None:
    assert len(ATTRIBUTE_BY_TAG) == len(LEVEL_ATTRIBUTES)


def test_levels_with_kept_attributes_have_a_column_for_them() -> None:
    for level in LEVELS:
        assert bool(JSON_ATTRIBUTES[level]) == ("attributes" in TABLES[level].c)


def test_unique_keys_are_those_of_the_standard() -> None:
    assert [UNIQUE_KEY[level].keyword for level in LEVELS] == [
        "PatientID",
        "StudyInstanceUID",
        "SeriesInstanceUID",
        "SOPInstanceUID",
    ]


@pytest.mark.parametrize(
    ("tag", "vr"),
    [
        (0x00080008, "CS"),  # Image Type
        (0x00280106, "US"),  # Smallest Image Pixel Value, US or SS
        (0x7FE00010, None),  # Pixel Data
        (0x00020010, None),  # file meta information
        (0x00080000, None),  # group length
        (0x00091001, None),  # private
        (0x00282000, None),  # ICC Profile, OB
    ],
)
def test_headers_answer_for_standard_attributes_but_not_for_bulk_data(tag: int, vr: str | None) -> None:
    assert header_vr(tag) == vr
