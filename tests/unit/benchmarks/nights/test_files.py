"""Night files: what is written is read again, and what is wrong is named with its line."""

from decimal import Decimal
from pathlib import Path

import pytest

from benchmarks.nights.__main__ import parse_arguments
from benchmarks.nights.files import NIGHT_COLUMNS, BadNightFile, read_night, write_night
from oncall.reading.board import ExamKind, Urgency
from oncall.simulation.arrivals import draw_night

HEADER = ",".join(NIGHT_COLUMNS)


def written(tmp_path: Path, *lines: str, header: str = HEADER) -> Path:
    path = tmp_path / "night.csv"
    path.write_text("\n".join((header, *lines)) + "\n", encoding="utf-8")
    return path


def test_a_drawn_night_survives_being_written_and_read(tmp_path: Path) -> None:
    night = draw_night(1000, 80)

    write_night(tmp_path / "night.csv", night)

    assert read_night(tmp_path / "night.csv").cases == night.cases


def test_columns_may_come_in_any_order_with_others_between_them(tmp_path: Path) -> None:
    path = written(
        tmp_path, "12.5, 1,x,abdo,1110.25,CHU,a", header="read_min,class,note,body_part,t_images_min,hospital,case"
    )

    (case,) = read_night(path).cases

    assert case.read_min == Decimal("12.5")
    assert case.arrived.urgency is Urgency.P1
    assert case.arrived.exam is ExamKind.ABDOMEN
    assert (case.arrived.case_id, case.arrived.site, case.arrived.ready_min) == ("a", "CHU", Decimal("1110.25"))


def test_a_byte_order_mark_and_windows_lines_are_read(tmp_path: Path) -> None:
    path = tmp_path / "night.csv"
    path.write_bytes(b"\xef\xbb\xbf" + HEADER.encode() + b"\r\na,1200,Vall\xc3\xa9e,2,head,7\r\n")

    assert read_night(path).cases[0].arrived.site == "Vallée"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        pytest.param("a,1100,H,1,head,5", "t_images_min is '1100'", id="before_the_night"),
        pytest.param("a,1950.1,H,1,head,5", "t_images_min is '1950.1'", id="after_the_night"),
        pytest.param("a,18:40,H,1,head,5", "t_images_min is '18:40'", id="clock_time"),
        pytest.param("a,nan,H,1,head,5", "t_images_min is 'nan'", id="not_a_number"),
        pytest.param("a,1200,H,1,head,0", "read_min is '0'", id="no_time_at_all"),
        pytest.param("a,1200,H,1,head,-3", "read_min is '-3'", id="negative_time"),
        pytest.param("a,1200,H,1,head,inf", "read_min is 'inf'", id="infinite_time"),
        pytest.param("a,1200,H,1,head", "read_min is None", id="value_missing"),
        pytest.param("a,1200,H,4,head,5", "class is '4'", id="no_such_class"),
        pytest.param("a,1200,H,1,knee,5", "body_part is 'knee'", id="no_such_part"),
        pytest.param("a,1200,,1,head,5", "hospital is empty", id="no_hospital"),
        pytest.param(",1200,H,1,head,5", "case is empty", id="no_case"),
        pytest.param("ok,1200,H,1,head,5", "case 'ok' is there already, in line 2", id="same_case"),
        pytest.param("a,1200,H,1,head,5,6", "more values than columns", id="too_many_values"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(line: str, said: str, tmp_path: Path) -> None:
    path = written(tmp_path, "ok,1200,H,1,head,5", line)

    with pytest.raises(BadNightFile, match="line 3: ") as caught:
        read_night(path)

    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("header", "lines", "said"),
    [
        pytest.param("case,hospital,class", [], "missing: t_images_min, body_part, read_min", id="columns_missing"),
        pytest.param(HEADER.replace(",", ";"), ["a;1;2"], "with commas between them", id="semicolons"),
        pytest.param("", [], "missing: case", id="empty_file"),
        pytest.param(HEADER, [], "no cases in it", id="no_cases"),
        pytest.param(f"case,{HEADER}", ["a,b,1200,H,1,head,5"], "names case twice", id="column_twice"),
    ],
)
def test_a_file_that_is_no_night_is_refused(header: str, lines: list[str], said: str, tmp_path: Path) -> None:
    with pytest.raises(BadNightFile, match=said):
        read_night(written(tmp_path, *lines, header=header))


def test_a_file_that_is_not_there_or_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "picture.csv").write_bytes(b"\xff\xd8\xff\xe0")

    for name in ("nothing.csv", "picture.csv"):
        with pytest.raises(BadNightFile, match=name):
            read_night(tmp_path / name)


def test_many_errors_are_counted_and_not_all_listed(tmp_path: Path) -> None:
    path = written(tmp_path, *(f"c{number},1,H,1,head,5" for number in range(50)))

    with pytest.raises(BadNightFile, match="and 30 more"):
        read_night(path)


@pytest.mark.parametrize("option", ["--cases", "--json"])
def test_a_night_is_never_written_over_by_its_own_outcome(option: str, tmp_path: Path) -> None:
    night = str(written(tmp_path, "a,1200,H,1,head,5"))

    with pytest.raises(SystemExit):
        parse_arguments(["--night", night, option, night])
