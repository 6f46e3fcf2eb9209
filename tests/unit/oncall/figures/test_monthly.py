"""Pictures and the monthly PDF: in both languages, and honest about a month without cases."""

import subprocess
import xml.etree.ElementTree as ET
from datetime import date
from pathlib import Path

import pytest

import oncall.schema  # noqa: F401  # adds its tables to METADATA
from foundation.database import Database, sqlite_url
from oncall.case.clocks import Clock
from oncall.directory import PersonId
from oncall.figures.monthly import Month, monthly_pdf
from oncall.figures.plots import overview, points
from oncall.figures.row import Cause, Outcome, Period
from oncall.figures.summary import FigureQuery, Share, summary
from oncall.figures.texts import (
    cause_name,
    clock_name,
    duration_text,
    month_name,
    outcome_name,
    period_name,
    share_text,
)
from oncall.language import Language
from oncall.rota.ledger import LedgerRow
from tests.unit.oncall.figures.night_rows import MINUTE_US, NOVEMBER, NOW, put, row

NAMES = {"roanne": "CH de Roanne", "sud": "Hôpital du Sud", "anne": "Dr Anne Ünal", "bruno": "Dr Bruno Œil"}
ZONE = "Europe/Paris"


def month(path: Path, *, is_empty: bool = False, shows_readers: bool = True) -> Month:
    database = Database(sqlite_url(path / "figures.sqlite"))
    database.create_tables()
    if not is_empty:
        put(database, *(row(n, 15 + n, urgency=1 + n % 3, wait_us=n * MINUTE_US) for n in range(40)))
        put(database, *(row(100 + n, 50 + n, site_id="sud", reader_id="bruno") for n in range(30)), row(200, None))
    query = FigureQuery(since=NOVEMBER[0], until=NOVEMBER[1], shows_readers=shows_readers)
    with database.read() as connection:
        causes = {"case-0129": Cause.CAPACITY}
        found = summary(connection, query, NOW, causes=causes)
        cases = points(connection, query, ZONE, NOW, causes)
    database.close()
    return Month(
        first=date(2026, 11, 1), zone=ZONE, summary=found, points=cases, names=NAMES, nights_judged=1,
        ledger=(_carried(),) if shows_readers else (),
    )  # fmt: skip


def text_of(pdf: bytes, path: Path) -> str:
    (path / "report.pdf").write_bytes(pdf)
    told = subprocess.run(
        ["/usr/bin/pdftotext", "-layout", str(path / "report.pdf"), "-"], check=True, capture_output=True, text=True
    )
    return told.stdout


def test_the_monthly_report_tells_the_share_with_all_that_belongs_to_it(tmp_path: Path) -> None:
    told = text_of(monthly_pdf(month(tmp_path), Language.FRENCH), tmp_path)

    for words in ("novembre 2026", "71,8 % (51 sur 71)", "p95", "p99", "maximum", "P1 : attente", "Hôpital du Sud",
                  "capacité : inévitable", "C9 Lu par les urgences", "Dr Bruno Œil", "Équité de la garde"):  # fmt: skip
        assert words in told


def test_it_is_written_in_english_as_well_and_without_people_unless_asked(tmp_path: Path) -> None:
    told = text_of(monthly_pdf(month(tmp_path, shows_readers=False), Language.ENGLISH), tmp_path)

    assert "71.8 % (51 of 71)" in told
    assert "Hospital that fares worst" in told
    assert "Dr " not in told
    assert "Fairness" not in told


@pytest.mark.parametrize("language", list(Language))
def test_a_month_without_cases_says_so_and_has_no_figure(tmp_path: Path, language: Language) -> None:
    told = text_of(monthly_pdf(month(tmp_path, is_empty=True), language), tmp_path)

    assert ("Aucun cas" if language is Language.FRENCH else "There is no case") in told
    assert "%" not in told
    assert "p95" not in told


@pytest.mark.parametrize("is_empty", [False, True], ids=["with_cases", "without_cases"])
def test_pictures_are_png_and_svg_and_leave_no_global_state(tmp_path: Path, is_empty: bool) -> None:
    import matplotlib as mpl

    before, shown = dict(mpl.rcParams), month(tmp_path, is_empty=is_empty)

    png = overview(shown.summary, shown.points, NAMES, Language.ENGLISH, "png")
    svg = overview(shown.summary, shown.points, NAMES, Language.FRENCH, "svg")

    assert png.startswith(b"\x89PNG")
    assert ET.fromstring(svg).tag.endswith("svg")  # noqa: S314  # what we have just written ourselves
    assert dict(mpl.rcParams) == before


def test_everything_that_is_told_has_a_name_in_both_languages() -> None:
    for language in Language:
        names = [cause_name(one, language) for one in Cause] + [clock_name(one, language) for one in Clock]
        names += [period_name(one, language) for one in Period] + [outcome_name(one, language) for one in Outcome]
        names += [month_name(date(2026, number, 1), language) for number in range(1, 13)]
        assert len(set(names)) == len(names)


def test_numbers_are_written_as_each_language_does() -> None:
    assert duration_text(3900, Language.FRENCH) == "65,0 min"
    assert duration_text(172_800, Language.ENGLISH) == "48.0 h"
    assert duration_text(None, Language.ENGLISH) == "–"
    # What is not all is never said to be.
    assert share_text(Share(count=9999, of=10_000), Language.ENGLISH) == "99.9 % (9999 of 10000)"
    assert share_text(Share(count=2, of=3), Language.FRENCH) == "2 sur 3"


def _carried() -> LedgerRow:
    return LedgerRow(
        person_id=PersonId("anne"), shifts=3, nights=3, deep_nights=2, weekends=1, holidays=0, hours=42.0,
        night_hours=42.0, deep_night_hours=24.0, weekend_hours=14.0, holiday_hours=0.0, backup_hours=0.0, calls=1,
        call_hours=1.5, minutes_read=300.0, burden=55.0,
    )  # fmt: skip
