"""Log lines: fields of an allow-list only, and nothing that a peer chooses can forge one."""

import json
import logging

import pytest

from foundation import log
from foundation.log import LogFieldNotAllowed, render


def test_a_line_is_its_event_and_its_fields() -> None:
    assert render("association_ended", {"calling_aet": "CT1", "instances": 3, "seconds": 1.23456}) == (
        "association_ended calling_aet=CT1 instances=3 seconds=1.235"
    )


@pytest.mark.parametrize("name", ["patient_name", "patient_id", "accession_number", "birth_date", "description"])
def test_what_could_be_about_a_patient_is_no_field(name: str) -> None:
    with pytest.raises(LogFieldNotAllowed, match=name):
        render("event", {name: "Doe^Jane"})


@pytest.mark.parametrize(
    "value", ["CT1 status=0000", "a\nERROR forged", 'quo"te', "tab\there", "\x1b[31m", "a=b", "\u2028", "é\u202e"]
)
def test_a_value_that_could_forge_a_field_or_a_line_is_quoted(value: str) -> None:
    rendered = render("event", {"calling_aet": value})

    assert rendered.isprintable()
    quoted = rendered.removeprefix("event calling_aet=")
    assert json.loads(quoted) == value


def test_levels_are_kept(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "telegarde")

    log.debug("unseen", count=1)
    log.info("one", count=1)
    log.warning("two", count=2)
    log.error("three", count=3)

    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("INFO", "one count=1"),
        ("WARNING", "two count=2"),
        ("ERROR", "three count=3"),
    ]


def test_a_configured_line_has_its_time_in_utc_its_level_and_who_says_it(capsys: pytest.CaptureFixture[str]) -> None:
    logger = logging.getLogger("telegarde")
    before = (logger.handlers[:], logger.level, logger.propagate)
    try:
        log.configure(prefix="[worker 1] ")
        log.info("node_ready", port=11112)
    finally:
        logger.handlers[:], logger.level, logger.propagate = before
    line = capsys.readouterr().err

    assert line.endswith("Z INFO    [worker 1] node_ready port=11112\n")
    assert line[4] == "-"
    assert line[10] == "T"
