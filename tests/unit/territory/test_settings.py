"""The settings file: read strictly, every problem at once, nothing open that is not configured, no secret shown."""

import itertools
import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from foundation.database import sqlite_url
from territory import settings as settings_module
from territory import settings_model, settings_routing
from territory.settings import Duplicates, InvalidSettings, Right, Settings, Tls, describe, load, open_loopback, parse
from territory.settings_reader import keys_of, reader_of

EXAMPLE = Path(settings_module.__file__).with_name("telegarde.example.toml")

SMALLEST = """
[archive]
data_dir = "/srv/telegarde"
[dicom]
aet = ["TELEGARDE"]
"""

# The first peer of the example shows every key of an entry.
TABLES: dict[str, type[Any]] = {
    "archive": settings_model.Archive,
    "dicom": settings_model.Dicom,
    "dicom.limits": settings_model.Limits,
    "dicom.timeouts": settings_model.Timeouts,
    "dicom.storage": settings_model.Storage,
    "dicom.tls": settings_model.Tls,
    "http": settings_model.Http,
    "oncall": settings_model.Oncall,
    "oncall.email": settings_model.OncallEmail,
    "oncall.web": settings_model.OncallWeb,
    "oncall.delivery": settings_model.OncallDelivery,
    "oncall.time_stamps": settings_model.OncallTimeStamps,
    "peers": settings_model.Peer,
    "routing": settings_routing.Routing,
    "destinations": settings_routing.Destination,
    "routes": settings_routing.Route,
    "watched_sites": settings_routing.WatchedSite,
}


def parse_text(toml: str, **environment: str) -> Settings:
    return parse(toml.encode(), source="telegarde.toml", environment=environment)


def problems_of(toml: str, **environment: str) -> dict[str, str]:
    with pytest.raises(InvalidSettings) as caught:
        parse_text(toml, **environment)
    return {problem.key: problem.message for problem in caught.value.problems}


def peer(**keys: object) -> str:
    lines = [f"{key} = {json.dumps(value)}" for key, value in {"aet": "CT1", **keys}.items()]
    return "\n".join(["[[peers]]", *lines, ""])


def test_the_smallest_file_accepts_no_peer_and_no_private_sop_class() -> None:
    settings = parse_text(SMALLEST)

    assert settings.peers == ()
    assert settings.dicom.storage.private_sop_classes == ()
    assert settings.dicom.tls is None
    assert not settings.is_open_loopback


def test_the_index_is_sqlite_in_the_data_directory_by_default() -> None:
    assert parse_text(SMALLEST).database_url == sqlite_url(Path("/srv/telegarde/index.sqlite"))


def test_zero_workers_means_one_per_processor() -> None:
    by_default = parse_text(SMALLEST).dicom.workers

    assert by_default >= 1
    assert parse_text(SMALLEST + "workers = 0").dicom.workers == by_default
    assert parse_text(SMALLEST + "workers = 3").dicom.workers == 3


def test_every_problem_is_reported_together_with_its_key() -> None:
    problems = problems_of(
        """
        surprise = 1
        [archive]
        data_dir = "relative"
        [dicom]
        port = 70000
        [dicom.limits]
        associations_maximum = 3
        [dicom.timeouts]
        idle_s = "ten"
        [[peers]]
        aet = "TOO LONG FOR AN AE TITLE"
        rights = ["delete"]
        """
    )

    assert set(problems) == {
        "surprise",
        "archive.data_dir",
        "dicom.aet",
        "dicom.port",
        "dicom.limits.associations_maximum",
        "dicom.timeouts.idle_s",
        "peers[1].aet",
        "peers[1].rights",
    }


def test_an_unknown_key_is_refused_with_the_nearest_known_one() -> None:
    problems = problems_of(SMALLEST + "[dicom.limits]\nassociation_max = 5")

    assert "`associations_max`" in problems["dicom.limits.association_max"]


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ("port = true", "dicom.port"),
        ("port = 0", "dicom.port"),
        ("port = 1.5", "dicom.port"),
        ("workers = 65", "dicom.workers"),
        ("accept_without_tls = 1", "dicom.accept_without_tls"),
        ("accept_without_tls = false", "dicom.accept_without_tls"),
        ('host = "host:104"', "dicom.host"),
        ("[dicom.limits]\npdu_length_bytes_max = 4095", "dicom.limits.pdu_length_bytes_max"),
        ("[dicom.timeouts]\nartim_s = nan", "dicom.timeouts.artim_s"),
        ("[dicom.timeouts]\nartim_s = 0", "dicom.timeouts.artim_s"),
        ('[dicom.storage]\nduplicates = "replace"', "dicom.storage.duplicates"),
        ('[dicom.storage]\nprivate_sop_classes = ["1.2.840.10008.5.1.4.1.1.2"]', "dicom.storage.private_sop_classes"),
        ('[dicom.storage]\nprivate_sop_classes = ["1.2.840.10008."]', "dicom.storage.private_sop_classes"),
        ('[dicom.storage]\nprivate_sop_classes = ["1.3.012.2"]', "dicom.storage.private_sop_classes"),
        ('[dicom.storage]\nprivate_sop_classes = ["1.2.3", "1.2.3"]', "dicom.storage.private_sop_classes"),
        ('[dicom.tls]\nport = 2762\nkey_file = "/k"\nca_file = "/c"', "dicom.tls.certificate_file"),
        ("[http]\nport = 11112", "http.port"),
        ("[dicom.limits.more]", "dicom.limits.more"),
        ('[http]\nhost = ""', "http.host"),
        ("peers = 3", "dicom.peers"),
    ],
)
def test_a_value_out_of_bounds_is_refused_under_its_key(line: str, key: str) -> None:
    assert list(problems_of(SMALLEST + line)) == [key]


@pytest.mark.parametrize("title", ["", "   ", "A" * 17, "A\\B", "É", "A\tB"])
def test_an_ae_title_that_the_standard_forbids_is_refused(title: str) -> None:
    assert list(problems_of(SMALLEST + peer(aet=title))) == ["peers[1].aet"]


def test_spaces_around_an_ae_title_mean_nothing() -> None:
    assert parse_text(SMALLEST + peer(aet=" CT 1 ")).peers[0].aet == "CT 1"


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({"rights": ["query"]}, "addresses"),
        ({"rights": ["query"], "host": "ct1.north.example", "port": 104}, "addresses"),
        ({"rights": ["store"], "addresses": ["10.0.0.1"]}, "issuer"),
        ({"rights": ["worklist"], "addresses": ["10.0.0.1"]}, "site"),
        ({"host": "10.0.0.1"}, "host"),
        ({"port": 104}, "host"),
        ({"addresses": ["10.0.0.1/8"]}, "addresses"),
        ({"addresses": ["ct1.north.example"]}, "addresses"),
        ({"tls": True}, "tls"),
        ({"certificate_names": ["ct1"]}, "certificate_names"),
        ({"move_destinations": ["*"]}, "move_destinations"),
        ({"rights": ["retrieve"], "addresses": ["10.0.0.1"], "move_destinations": ["NOBODY"]}, "move_destinations"),
        ({"rights": ["retrieve"], "addresses": ["10.0.0.1"], "move_destinations": ["CT1"]}, "move_destinations"),
        ({"rights": ["retrieve"], "addresses": ["10.0.0.1"], "move_destinations": ["*", "CT1"]}, "move_destinations"),
    ],
)
def test_a_peer_whose_settings_do_not_fit_together_is_refused(keys: dict[str, object], problem: str) -> None:
    assert list(problems_of(SMALLEST + peer(**keys))) == [f"peers[1].{problem}"]


def test_a_host_that_is_an_address_says_where_the_peer_calls_from() -> None:
    settings = parse_text(SMALLEST + peer(host="10.0.0.1", port=104, rights=["query"]))

    assert settings.peers[0].rights == (Right.QUERY,)


def test_one_ae_title_is_configured_once() -> None:
    assert "peers[2].aet" in problems_of(SMALLEST + peer() + peer())


def test_a_peer_without_tls_is_refused_when_only_tls_listens() -> None:
    toml = (
        SMALLEST
        + 'accept_without_tls = false\n[dicom.tls]\ncertificate_file = "/c"\nkey_file = "/k"\nca_file = "/a"\n'
        + peer(rights=["query"], addresses=["10.0.0.1"])
    )

    assert list(problems_of(toml)) == ["peers[1].tls"]


def test_a_file_that_is_not_toml_names_the_line() -> None:
    problems = problems_of("[archive\n")

    assert "line 1" in problems["telegarde.toml"]


def test_a_missing_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match="telegarde init"):
        load(tmp_path / "none.toml")


POSTGRESQL = SMALLEST.replace("[dicom]", 'database_url = "postgresql+psycopg://archive@db.example/archive"\n[dicom]')


def test_a_password_in_the_url_is_refused_and_not_repeated() -> None:
    toml = POSTGRESQL.replace("archive@", "archive:hunter2@")

    with pytest.raises(InvalidSettings) as caught:
        parse_text(toml)

    assert [problem.key for problem in caught.value.problems] == ["archive.database_url"]
    assert "hunter2" not in str(caught.value)


def test_the_database_password_comes_from_the_environment() -> None:
    settings = parse_text(POSTGRESQL, TELEGARDE_DATABASE_PASSWORD="hunter2")

    assert settings.database_url == "postgresql+psycopg://archive:hunter2@db.example/archive"


def test_the_database_password_comes_from_the_first_line_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("hunter2\nsecond line\n")
    toml = POSTGRESQL.replace("[dicom]", f'database_password_file = "{tmp_path}/password"\n[dicom]')

    assert parse_text(toml).database_url == "postgresql+psycopg://archive:hunter2@db.example/archive"


def test_a_secret_file_that_is_missing_empty_or_doubled_is_a_problem(tmp_path: Path) -> None:
    toml = POSTGRESQL.replace("[dicom]", f'database_password_file = "{tmp_path}/password"\n[dicom]')
    key = "archive.database_password_file"

    assert "cannot be read" in problems_of(toml)[key]
    (tmp_path / "password").write_text("")
    assert "is empty" in problems_of(toml)[key]
    (tmp_path / "password").write_text("hunter2")
    assert "given twice" in problems_of(toml, TELEGARDE_DATABASE_PASSWORD="hunter2")[key]


def test_no_secret_is_printed() -> None:
    toml = POSTGRESQL + '[dicom.tls]\ncertificate_file = "/c"\nkey_file = "/k"\nca_file = "/a"\n'
    settings = parse_text(toml, TELEGARDE_DATABASE_PASSWORD="hunter2", TELEGARDE_TLS_KEY_PASSWORD="swordfish")

    shown = json.dumps(describe(settings)) + repr(settings)

    assert "hunter2" not in shown
    assert "swordfish" not in shown
    assert settings.key_password is not None
    assert settings.key_password.reveal() == "swordfish"


def test_the_description_shows_the_effective_settings_as_json() -> None:
    shown = json.loads(json.dumps(describe(parse_text(SMALLEST + peer(addresses=["10.1.0.0/16"])))))

    assert shown["dicom"]["limits"]["associations_max"] == 256
    assert shown["dicom"]["storage"]["duplicates"] == Duplicates.KEEP_FIRST.value
    assert shown["peers"][0]["addresses"] == ["10.1.0.0/16"]
    assert shown["database_url"].endswith("/srv/telegarde/index.sqlite")


def test_open_loopback_listens_on_this_machine_only_and_says_that_it_is_open(tmp_path: Path) -> None:
    settings = open_loopback(
        data=tmp_path, aet="DEMO", dicom_port=11112, http_port=8042, workers=2, peers=["WORKSTATION=127.0.0.1:11113"]
    )

    assert settings.is_open_loopback
    assert (settings.dicom.host, settings.http.host) == ("127.0.0.1", "127.0.0.1")
    assert settings.dicom.aet == ("DEMO",)
    assert settings.dicom.workers == 2
    workstation = settings.peer("WORKSTATION")
    assert workstation is not None
    assert (workstation.host, workstation.port) == ("127.0.0.1", 11113)
    assert "OPEN ON LOOPBACK" in describe(settings)["notice"]


@pytest.mark.parametrize("argument", ["WORKSTATION", "WORKSTATION=host", "=host:104", "WORKSTATION=host:0", "A=:104"])
def test_a_peer_argument_that_is_not_aet_host_port_is_refused(tmp_path: Path, argument: str) -> None:
    with pytest.raises(InvalidSettings):
        open_loopback(data=tmp_path, aet="DEMO", dicom_port=11112, http_port=8042, peers=[argument])


def test_no_settings_file_can_open_the_node() -> None:
    assert "is_open_loopback" in problems_of("is_open_loopback = true\n" + SMALLEST)


def uncommented_example() -> dict[str, Any]:
    return tomllib.loads(re.sub(r"^#(?=\w+ = )", "", EXAMPLE.read_text(), flags=re.MULTILINE))


def test_the_example_is_a_file_that_can_be_used() -> None:
    settings = load(EXAMPLE, environment={})

    assert isinstance(settings.dicom.tls, Tls)
    assert [peer.aet for peer in settings.peers] == ["CT1_NORTH", "READING_ROOM"]


def _holds_tables(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and any(isinstance(one, dict) for one in value))


def table_of(root: Any, name: str) -> dict[str, Any]:
    for part in name.split("."):
        root = root[part]
    table = root[0] if isinstance(root, list) else root
    return {key: value for key, value in table.items() if not _holds_tables(value)}


@pytest.mark.parametrize("table", TABLES)
def test_the_example_shows_every_setting_and_no_other(table: str) -> None:
    assert set(table_of(uncommented_example(), table)) == set(keys_of(TABLES[table]))


@pytest.mark.parametrize("table", TABLES)
def test_a_commented_setting_in_the_example_shows_its_default(table: str) -> None:
    fields = keys_of(TABLES[table])
    active = table_of(tomllib.loads(EXAMPLE.read_text()), table)
    shown = {key: value for key, value in table_of(uncommented_example(), table).items() if key not in active}

    # A setting that is absent by default (None) is shown with a value that means something.
    by_default = {key: fields[key].default for key in shown if fields[key].default is not None}
    assert {key: reader_of(fields[key])(shown[key]) for key in by_default} == by_default


def test_each_setting_in_the_example_has_a_reason_before_it() -> None:
    lines = EXAMPLE.read_text().splitlines()[: EXAMPLE.read_text().splitlines().index('aet = "READING_ROOM"')]
    bare = [
        line
        for before, line in itertools.pairwise(lines)
        if re.match(r"#?\w+ = ", line) and not before.startswith("# ")
    ]

    assert bare == []
