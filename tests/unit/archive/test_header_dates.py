"""Dates of old equipment are kept as dates."""

import pytest

from pacs.archive.attributes import Level
from pacs.archive.header import describe_levels, read_header
from tests.harness.data_sets import EXPLICIT_LITTLE, image, text


@pytest.mark.parametrize(
    ("sent", "kept"), [("20200131", "20200131"), ("2020.01.31", "20200131"), ("unknown", "unknown")]
)
def test_a_study_date_is_indexed_so_that_a_query_by_date_finds_it(sent: str, kept: str) -> None:
    data_set = image("1.2.3.4", extra={0x00080020: ("DA", text(sent))})

    header = read_header(data_set, EXPLICIT_LITTLE, is_complete=True)
    levels, _ = describe_levels(data_set, EXPLICIT_LITTLE, header.identity)

    assert levels[Level.STUDY].columns["study_date"] == kept
