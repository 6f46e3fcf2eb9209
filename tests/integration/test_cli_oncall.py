"""The on-call commands on the demonstration territory, as a judge or an operator gives them."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
import recurring_ical_events
from icalendar import Calendar

from foundation.database import Database, sqlite_url
from foundation.errors import Refused
from territory import cli
from territory.demo_oncall import put_in_force
from territory.node_lock import NodeLock
from tests.harness.peers import run_telegarde
from tests.integration.conftest import Command

NIGHT = "2027-02-06T20:00+01:00"


def reader(oncall: Command, data: Path, line: str = "lecteur-1", at: str = NIGHT) -> str:
    _, found = oncall("who", data, "--at", at, "--line", line)
    (shift,) = found["on_duty"]
    return str(shift["person_id"])


def test_the_stable_form_of_who_answers_from_the_command_line(made: Path) -> None:
    done = run_telegarde("oncall", "who", "--data", made, "--at", "2026-10-25T02:30+02:00", "--json")

    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["at_utc"] == "2026-10-25T00:30+00:00"
    assert [(one["line_id"], one["start"], one["end"], one["hours"]) for one in found["on_duty"]][:2] == [
        ("lecteur-1", "2026-10-24T18:30+02:00", "2026-10-25T08:30+01:00", 15.0),
        ("societe", "2026-10-24T23:30+02:00", "2026-10-25T08:30+01:00", 10.0),
    ]
    assert {one["kind"] for one in found["on_duty"]} == {"duty", "backup", "senior", "coordinator"}


def test_both_half_past_two_of_the_long_night_have_the_same_people(made: Path, oncall: Command) -> None:
    first, second = (oncall("who", made, "--at", f"2026-10-25T02:30{offset}")[1] for offset in ("+02:00", "+01:00"))

    assert first["on_duty"] == second["on_duty"]
    assert first["at_utc"] != second["at_utc"]


@pytest.mark.parametrize(
    ("at", "said"),
    [
        ("2026-10-25T02:30", "comes twice in Europe/Paris: 2026-10-25T02:30\\+02:00 or 2026-10-25T02:30\\+01:00"),
        ("2026-03-29T02:30", "never show it that day"),
        ("2026-06-01T20:00", "in Europe/Paris it is 2026-06-01T20:00\\+02:00"),
        ("tonight", "an instant like"),
    ],
    ids=["twice", "never", "once", "words"],
)
def test_an_instant_without_its_offset_is_refused_with_what_it_could_mean(
    made: Path, oncall: Command, at: str, said: str
) -> None:
    with pytest.raises(Refused, match=said):
        oncall("who", made, "--at", at)


def test_three_read_in_the_evening_two_from_half_past_midnight_and_the_baton_passes_before(
    made: Path, oncall: Command
) -> None:
    def readers(at: str) -> list[str]:
        return [one["line_id"] for one in oncall("who", made, "--at", at)[1]["on_duty"] if one["kind"] == "duty"]

    assert readers("2026-06-03T23:29+02:00") == ["lecteur-1", "lecteur-2", "lecteur-3"]
    assert readers("2026-06-03T23:30+02:00") == ["lecteur-1", "lecteur-3", "societe"]
    assert readers("2026-06-04T00:30+02:00") == ["lecteur-1", "societe"]


def test_a_hospital_with_a_clock_of_its_own_is_answered_in_its_time_with_its_providers(
    made: Path, oncall: Command
) -> None:
    _, found = oncall("who", made, "--at", "2026-06-03T23:45+02:00", "--site", "piton")

    assert found["at"] == "2026-06-04T01:45+04:00"
    assert found["providers"] == ["gie-trois-rivieres", "nuit-imagerie"]
    assert found["on_duty"][0]["provider_id"] == "gie-trois-rivieres"


def test_no_hours_is_nobody_and_an_empty_seat_is_a_failure(made: Path, oncall: Command) -> None:
    code, found = oncall("who", made, "--at", "2026-06-03T14:00+02:00")
    assert (code, found["on_duty"], found["gaps"]) == (0, [], [])

    code, found = oncall("who", made, "--at", "2030-06-03T20:00+02:00", "--line", "senior")
    assert (code, found["on_duty"]) == (1, [])
    assert [(gap["line_id"], gap["start"], gap["hours"]) for gap in found["gaps"]] == [
        ("senior", "2030-06-03T18:30+02:00", 14.0)
    ]


def test_contacts_are_told_only_when_asked_for(made: Path, oncall: Command) -> None:
    assert "contacts" not in oncall("who", made, "--at", NIGHT)[1]["on_duty"][0]
    contacts = oncall("who", made, "--at", NIGHT, "--contacts")[1]["on_duty"][0]["contacts"]
    assert [one["kind"] for one in contacts] == ["sms", "voice", "email"]


def test_the_two_years_have_no_empty_seat_and_what_comes_after_has(made: Path, oncall: Command) -> None:
    code, found = oncall("gaps", made, "--from", "2026-01-01", "--to", "2028-01-01")
    assert (code, found["gaps"], found["double_bookings"], found["absence_conflicts"]) == (0, [], [], [])
    assert (found["from"], found["to"]) == ("2026-01-01T00:00+01:00", "2028-01-01T00:00+01:00")

    code, found = oncall("gaps", made, "--from", "2027-12-31", "--to", "2028-01-02")
    assert code == 1
    assert {gap["start"][:10] for gap in found["gaps"]} == {"2028-01-01"}


def test_a_directory_without_a_territory_is_not_made_one_by_looking(tmp_path: Path, oncall: Command) -> None:
    with pytest.raises(Refused, match="telegarde demo"):
        oncall("who", tmp_path / "nowhere")

    assert list(tmp_path.iterdir()) == []


def test_a_swap_is_asked_for_taken_and_in_the_roster_and_in_every_calendar(data: Path, oncall: Command) -> None:
    giver = reader(oncall, data)
    _, asked = oncall("swap", data, "request", "--person", giver, "--line", "lecteur-1", "--shift-at", NIGHT)
    assert [one["swap_id"] for one in oncall("swap", data, "list")[1]["swaps"]] == [asked["swap_id"]]

    taker = next(
        person
        for person in (f"r{number:02d}" for number in range(1, 26))
        if person != giver and oncall("swap", data, "accept", "--swap", asked["swap_id"], "--person", person)[0] == 0
    )

    assert reader(oncall, data) == taker
    assert oncall("swap", data, "list")[1]["swaps"] == []
    assert oncall("gaps", data)[0] == 0
    feeds = {who: night_events(oncall, data, who) for who in (giver, taker)}
    assert feeds[giver] == [("CANCELLED", 1)]
    assert feeds[taker] == [("CONFIRMED", 0)]


def night_events(oncall: Command, data: Path, person: str) -> list[tuple[str, int]]:
    _, exported = oncall(
        "export", data, "--person", person, "--from", "2027-02-06T18:00+01:00", "--to", "2027-02-07T08:00+01:00"
    )
    return [
        (str(event["STATUS"]), int(event["SEQUENCE"]))
        for event in Calendar.from_ical(exported["text"]).walk("VEVENT")
        if event["X-TELEGARDE-LINE"] == "lecteur-1" and event["DTSTART"].dt.hour == 18
    ]


def test_a_swap_that_breaks_a_rule_says_which_and_with_which_shift(data: Path, oncall: Command) -> None:
    giver = reader(oncall, data)
    _, asked = oncall("swap", data, "request", "--person", giver, "--line", "lecteur-1", "--shift-at", NIGHT)
    busy = reader(oncall, data, "lecteur-2")

    code, refused = oncall("swap", data, "accept", "--swap", asked["swap_id"], "--person", busy)

    assert code == 1
    broken = next(one for one in refused["violations"] if one["rule"] == "double_booking")
    assert {shift["line_id"] for shift in broken["shifts"]} == {"lecteur-1", "lecteur-2"}
    assert "overlap" in refused["error"]
    assert reader(oncall, data) == giver


def test_a_coordinator_may_act_for_somebody_and_a_colleague_may_not(data: Path, oncall: Command) -> None:
    giver = reader(oncall, data)
    ask = ("request", "--person", giver, "--line", "lecteur-1", "--shift-at", NIGHT)
    other = "r01" if giver != "r01" else "r02"

    assert oncall("swap", data, *ask, "--by", other)[0] == 1
    code, asked = oncall("swap", data, *ask, "--by", "c01")
    assert (code, asked["changed_by"]) == (0, "c01")
    assert oncall("swap", data, "withdraw", "--swap", asked["swap_id"], "--by", "c01")[1]["state"] == "withdrawn"


def test_a_feed_read_by_another_program_has_the_shifts_of_the_line(made: Path, oncall: Command) -> None:
    within = ("--from", "2026-10-20", "--to", "2026-10-30")
    _, feed = oncall("export", made, "--line", "lecteur-1", *within, "--format", "ics")
    _, table = oncall("export", made, "--line", "lecteur-1", *within, "--format", "json")

    events = recurring_ical_events.of(Calendar.from_ical(feed["text"])).between((2026, 10, 20), (2026, 10, 30))
    told = {(event["DTSTART"].dt.astimezone(UTC), event["DTEND"].dt.astimezone(UTC)) for event in events}
    shifts = json.loads(table["text"])["shifts"]
    assert told == {
        tuple(datetime.fromisoformat(one[end]).astimezone(UTC) for end in ("start", "end")) for one in shifts
    }
    assert feed["count"] == len(shifts) == table["count"] == 13


def test_what_was_exported_is_imported_and_changes_nobodys_duty(data: Path, oncall: Command, tmp_path: Path) -> None:
    within = ("--from", "2027-03-01", "--to", "2027-05-01")
    before = oncall("export", data, *within, "--format", "json")[1]["text"]
    for name, options in (("table.csv", ("--dry-run",)), ("feed.ics", ())):
        oncall("export", data, "--line", "lecteur-3", *within, "--output", str(tmp_path / name))
        code, imported = oncall("import", data, str(tmp_path / name), *options)
        assert (code, imported["imported"], imported["violations"], imported["gaps"]) == (0, 62, [], 0)

    def duties(text: str) -> list[tuple[str, ...]]:
        return [
            tuple(one[key] for key in ("line_id", "person_id", "start", "end")) for one in json.loads(text)["shifts"]
        ]

    assert duties(oncall("export", data, *within, "--format", "json")[1]["text"]) == duties(before)


def test_an_import_says_whom_no_message_could_reach(data: Path, oncall: Command, tmp_path: Path) -> None:
    for what in ("directory", "roster"):
        oncall("export", data, "--what", what, "--output", str(tmp_path / f"{what}.json"))
    document = json.loads((tmp_path / "directory.json").read_text())
    for person in document["persons"]:
        if person["person_id"] == "r05":
            person["contact_methods"] = []
    (tmp_path / "directory.json").write_text(json.dumps(document))

    tried = oncall("import", data, str(tmp_path / "directory.json"), "--dry-run")[1]
    before = oncall("import", data, str(tmp_path / "roster.json"), "--dry-run")[1]
    done = oncall("import", data, str(tmp_path / "directory.json"))[1]
    after = oncall("import", data, str(tmp_path / "roster.json"))[1]
    asked = oncall(
        "swap", data, "request", "--person", reader(oncall, data), "--line", "lecteur-1", "--shift-at", NIGHT
    )
    accept = ("accept", "--swap", asked[1]["swap_id"], "--person")
    tries = (oncall("swap", data, *accept, f"r{number:02d}") for number in range(1, 26))
    swapped = next(answered for code, answered in tries if code == 0)

    assert asked[1]["unreachable"] == []
    mute = [{"rule": "no_contact_method", "who": "r05"}]
    assert [one["unreachable"] for one in (tried, before, done, after, swapped)] == [mute, [], mute, mute, mute]


def test_an_import_that_breaks_the_law_changes_nothing_unless_somebody_says_so(
    data: Path, oncall: Command, tmp_path: Path
) -> None:
    rows = ["line_id,person_id,start,end"]
    rows += [f"lecteur-1,r09,2027-02-0{day}T18:30+01:00,2027-02-0{day + 1}T08:30+01:00" for day in (6, 7)]
    table = tmp_path / "nights.csv"
    table.write_text("\n".join(rows))
    version = oncall("who", data, "--at", NIGHT)[1]["roster_version"]

    code, refused = oncall("import", data, str(table))
    assert (code, refused["imported"], refused["version"]) == (1, 0, None)
    assert "rest_11_h" in {one["rule"] for one in refused["violations"]}
    assert oncall("who", data, "--at", NIGHT)[1]["roster_version"] == version

    code, accepted = oncall("import", data, str(table), "--accept-violations")
    assert (code, accepted["imported"]) == (0, 2)
    assert reader(oncall, data) == "r09"


def test_duty_of_somebody_on_leave_is_not_imported(data: Path, oncall: Command, tmp_path: Path) -> None:
    table = tmp_path / "leave.csv"
    # Their leave of that week is in the roster.
    table.write_text("line_id,person_id,start,end\nlecteur-1,r05,2027-02-06T18:30+01:00,2027-02-07T08:30+01:00\n")

    code, refused = oncall("import", data, str(table))

    assert (code, {one["rule"] for one in refused["violations"]}) == (1, {"absent"})


def test_an_opsgenie_export_goes_into_a_line_with_names_mapped(data: Path, oncall: Command, tmp_path: Path) -> None:
    rotation = {
        "name": "Senior", "startDate": "2027-06-07T16:30:00Z", "endDate": "2027-06-09T06:30:00Z", "type": "daily",
        "participants": [{"type": "user", "username": "zoe@old.example"}],
        "timeRestriction": {"type": "time-of-day", "restriction": {
            "startHour": 18, "startMin": 30, "endHour": 8, "endMin": 30}},
    }  # fmt: skip
    export, names = tmp_path / "opsgenie.json", tmp_path / "names.json"
    export.write_text(
        json.dumps({"data": {"name": "Radio", "timezone": "Europe/Paris", "enabled": True, "rotations": [rotation]}})
    )
    give = (
        "import",
        data,
        str(export),
        "--format",
        "opsgenie",
        "--line",
        "senior",
        "--from",
        "2027-06-01",
        "--dry-run",
    )

    with pytest.raises(Refused, match=r"zoe@old\.example"):
        oncall(*give)
    names.write_text(json.dumps({"zoe@old.example": "r01"}))
    _, checked = oncall(*give, "--map", str(names))
    assert (checked["read"], checked["version"]) == (2, None)


def test_directory_and_roster_move_to_another_data_directory(made: Path, oncall: Command, tmp_path: Path) -> None:
    other = tmp_path / "other"
    for what in ("directory", "roster"):
        path = tmp_path / f"{what}.json"
        oncall("export", made, "--what", what, "--output", str(path))
        assert oncall("import", other, str(path))[0] == 0

    assert oncall("who", other, "--at", NIGHT)[1]["on_duty"] == oncall("who", made, "--at", NIGHT)[1]["on_duty"]


def test_a_drill_pages_nobody_and_shows_everybody(data: Path, oncall: Command) -> None:
    code, drilled = oncall("plan-blanc", data, "--drill")

    assert (code, drilled["is_drill"], drilled["paged_for_real"], drilled["out_of_reach"]) == (0, True, 0, 0)
    assert drilled["recalled"] == drilled["would_be_called"] == len(drilled["people"]) > 100
    assert oncall("plan-blanc", data, "--drill", "--role", "radiologist")[1]["recalled"] == 30


@pytest.mark.parametrize(
    ("said", "why"),
    [((), "--drill"), (("--for-real", "yes"), "PLAN-BLANC"), (("--for-real", "PLAN-BLANC"), "telegarde serve")],
    ids=["neither", "a slip", "no node"],
)
def test_a_plan_blanc_needs_its_word_and_a_node_that_serves(
    made: Path, oncall: Command, said: tuple[str, ...], why: str
) -> None:
    with pytest.raises(Refused, match=why):
        oncall("plan-blanc", made, *said)


def test_a_plan_blanc_for_real_queues_a_call_for_everybody(data: Path, oncall: Command) -> None:
    # What a node does that serves this directory; what is queued here no channel takes.
    lock = NodeLock(data)
    try:
        lock.describe({"http_host": "127.0.0.1", "http_port": 1, "aet": "TELEGARDE"})
        code, started = oncall("plan-blanc", data, "--for-real", "PLAN-BLANC", "--role", "radiologist", "--by", "c05")
    finally:
        lock.release()

    assert (code, started["recalled"], started["queued"], started["is_drill"]) == (0, 30, 30, False)


def test_a_simulated_night_has_the_rosters_readers_and_is_the_same_again(made: Path, oncall: Command) -> None:
    give = ("simulate", made, "--night", "2026-12-12", "--seed", "1001", "--volume", "30")

    code, first = oncall(*give)

    assert code == 0
    assert first["readers"] == {"evening": 3, "deep_night": 2}
    assert first["callable_backups"] == 2
    assert 0.5 < first["share_within_60"] <= 1
    assert sum(one["cases"] for one in first["hospitals"]) == first["cases"] > 10
    assert oncall(*give)[1] == first


def test_a_territory_that_is_there_stays_as_it_was_changed(data: Path, oncall: Command) -> None:
    giver = reader(oncall, data)
    oncall("swap", data, "request", "--person", giver, "--line", "lecteur-1", "--shift-at", NIGHT)
    database = Database(sqlite_url(data / "index.sqlite"))

    again = put_in_force(database)
    database.close()

    assert not again.is_new
    assert len(oncall("swap", data, "list")[1]["swaps"]) == 1


def test_errors_are_words_and_one_json_object(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = cli.run(["oncall", "who", "--data", str(made), "--at", "2026-10-25T02:30", "--json"])

    captured = capsys.readouterr()
    assert code == 2
    assert json.loads(captured.out)["exit_code"] == 2
    assert captured.err.startswith("telegarde oncall: --at 2026-10-25T02:30: say the offset")


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("who", ("--at", "9999-12-31T23:59-12:00"), "a year from 1970 to 2200"),
        ("who", ("--at", "0001-01-01T00:00+12:00"), "a year from 1970 to 2200"),
        ("gaps", ("--from", "1900-01-01"), "a year from 1970 to 2200"),
        ("gaps", ("--from", "2027"), "a day like 2026-10-24"),
        ("gaps", ("--from", "2000-01-01", "--to", "2100-01-01"), "at most 3660 days"),
    ],
    ids=["last_year", "first_year", "long_ago", "no_day", "a_century"],
)
def test_a_time_that_no_roster_has_is_refused(
    made: Path, oncall: Command, name: str, options: tuple[str, ...], said: str
) -> None:
    with pytest.raises(Refused, match=said):
        oncall(name, made, *options)


def test_two_people_on_one_seat_are_not_imported_unless_somebody_says_so(
    data: Path, oncall: Command, tmp_path: Path
) -> None:
    shift = "2027-02-10T18:30+01:00,2027-02-11T08:30+01:00"
    table = tmp_path / "two.csv"
    table.write_text(f"line_id,person_id,start,end\nrenfort-2,r05,{shift}\nrenfort-2,r06,{shift}\n")

    code, refused = oncall("import", data, str(table))
    accepted = oncall("import", data, str(table), "--accept-violations")

    assert (code, refused["imported"], refused["version"]) == (1, 0, None)
    assert [(one["line_id"], one["persons"]) for one in refused["overlaps"]] == [("renfort-2", ["r05", "r06"])]
    assert (accepted[0], accepted[1]["imported"]) == (0, 2)


def test_shifts_outside_of_the_time_asked_for_are_counted(data: Path, oncall: Command, tmp_path: Path) -> None:
    table = tmp_path / "past.csv"
    table.write_text("line_id,person_id,start,end\nsenior,r05,2026-02-10T18:30+01:00,2026-02-11T08:30+01:00\n")

    assert oncall("import", data, str(table))[1]["notes"] == ["1 shifts outside of --from and --to were left out"]


def test_an_export_that_cannot_be_written_whole_leaves_the_old_one(made: Path, tmp_path: Path) -> None:
    feed = tmp_path / "feed.ics"
    feed.write_text("the old one")

    # Files may grow to 100 KiB; the feed has 2 MB.
    limited = ("bash", "-c", 'ulimit -f 100; exec "$@"', "bash", sys.executable, "-m", "territory.cli")
    done = subprocess.run(
        [*limited, "oncall", "export", "--data", str(made), "--output", str(feed)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, feed.read_text()) == (2, "the old one"), done.stderr
    assert "choose another --output" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["feed.ics"]
