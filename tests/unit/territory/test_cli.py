"""The command line: what it accepts, what it answers, and which exit code it ends with."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from foundation.errors import Refused
from territory import cli
from territory.cli_serve import settings_of
from territory.settings import InvalidSettings, load

COMMANDS = ("init", "serve", "send", "verify", "reindex", "status", "check-config", "oncall", "demo")


def run(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    code = cli.run(argv)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def answer(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, dict[str, Any]]:
    code, out, _ = run(capsys, *argv, "--json")
    return code, json.loads(out)


def serve_arguments(*argv: str) -> Any:
    return cli.build_parser().parse_args(["serve", *argv])


@pytest.fixture
def configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    assert cli.run(["init", str(tmp_path / "node")]) == 0
    capsys.readouterr()
    return tmp_path / "node" / "telegarde.toml"


def test_help_names_every_command_and_loads_nothing_heavy() -> None:
    program = (
        "import sys; from territory import cli\n"
        "try: cli.run(['--help'])\n"
        "except SystemExit: pass\n"
        "print([name for name in ('sqlalchemy', 'pydicom', 'numpy', 'rich') if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert [command for command in COMMANDS if f"\n    {command}" not in done.stdout] == []
    assert done.stderr.strip() == "[]"


def test_every_command_has_json(capsys: pytest.CaptureFixture[str]) -> None:
    groups = {"oncall": ("who", "gaps", "import", "export", "swap", "simulate", "plan-blanc")}
    for command in COMMANDS:
        for inner in groups.get(command, (None,)):
            with pytest.raises(SystemExit, match="0"):
                cli.run([*filter(None, (command, inner)), "--help"])
            assert "--json" in capsys.readouterr().out


def test_an_unknown_command_is_a_usage_error() -> None:
    with pytest.raises(SystemExit, match="2"):
        cli.run(["recieve"])


def test_the_stable_form_of_serve_gives_an_open_node_on_loopback(tmp_path: Path) -> None:
    settings = settings_of(
        serve_arguments(
            *("--data", str(tmp_path), "--aet", "TELEGARDE", "--dicom-port", "11112", "--http-port", "8042"),
            *("--open-loopback", "--workers", "3", "--peer", "A=127.0.0.1:104", "--peer", "B=127.0.0.1:105"),
        )
    )

    assert settings.is_open_loopback
    assert (settings.dicom.host, settings.dicom.port, settings.http.port) == ("127.0.0.1", 11112, 8042)
    assert (settings.dicom.aet, settings.dicom.workers) == (("TELEGARDE",), 3)
    assert [(peer.aet, peer.port) for peer in settings.peers] == [("A", 104), ("B", 105)]
    assert settings.archive.data_dir == tmp_path


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ([], "nothing says who may connect"),
        (["--open-loopback"], "--open-loopback needs --data"),
        (["--open-loopback", "--data", "d", "--config", "f"], "without a configuration"),
        (["--data", "d", "--peer", "A=h:104"], "--peer goes with --open-loopback"),
    ],
    ids=["neither", "no data", "both", "peer with configuration"],
)
def test_serve_refuses_what_does_not_fit_together(argv: list[str], said: str) -> None:
    with pytest.raises(Refused, match=said):
        settings_of(serve_arguments(*argv))


def test_serve_finds_the_configuration_in_the_data_directory(configuration: Path) -> None:
    settings = settings_of(serve_arguments("--data", str(configuration.parent)))

    assert not settings.is_open_loopback
    assert settings.archive.data_dir == configuration.parent


def test_options_given_win_over_the_configuration(configuration: Path, tmp_path: Path) -> None:
    settings = settings_of(
        serve_arguments(
            *("--config", str(configuration), "--data", str(tmp_path / "other"), "--aet", "NIGHT"),
            *("--dicom-port", "4242", "--http-port", "8043", "--workers", "5"),
        )
    )

    assert settings.archive.data_dir == tmp_path / "other"
    assert (settings.dicom.aet, settings.dicom.port, settings.dicom.workers) == (("NIGHT",), 4242, 5)
    assert settings.http.port == 8043


def test_every_wrong_option_is_reported_together(configuration: Path) -> None:
    with pytest.raises(InvalidSettings) as caught:
        settings_of(
            serve_arguments("--config", str(configuration), "--aet", "A" * 17, "--dicom-port", "0", "--workers", "0")
        )

    assert [problem.key for problem in caught.value.problems] == ["--aet", "--dicom-port", "--workers"]


def test_init_writes_a_configuration_that_can_be_used_and_lets_nobody_in(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data_dir = tmp_path / 'a "quoted" \\ name'

    code, made = answer(capsys, "init", str(data_dir), "--aet", "NORTH")

    assert code == 0
    settings = load(Path(made["configuration"]), environment={})
    assert settings.archive.data_dir == data_dir
    assert settings.dicom.aet == ("NORTH",)
    assert (settings.peers, settings.dicom.tls) == ((), None)


def test_init_never_writes_over_a_configuration(configuration: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = configuration.read_text()

    code, out, err = run(capsys, "init", str(configuration.parent), "--aet", "OTHER")

    assert (code, out) == (2, "")
    assert "is there already" in err
    assert configuration.read_text() == before


def test_init_refuses_a_wrong_ae_title_and_leaves_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "init", str(tmp_path / "node"), "--aet", "A" * 17)

    assert code == 2
    assert "dicom.aet" in err
    assert not (tmp_path / "node").exists()


def test_check_config_accepts_what_init_wrote(configuration: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, described = answer(capsys, "check-config", str(configuration))

    assert code == 0
    assert described["dicom"]["aet"] == ["TELEGARDE"]


def test_check_config_reports_every_problem_and_exits_2(
    configuration: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = configuration.read_text().replace("#port = 11112", "port = 99999")
    configuration.write_text(text.replace("#idle_s = 600.0", 'idel_s = "long"'))

    code, out, err = run(capsys, "check-config", "--config", str(configuration), "--json")

    assert code == 2
    assert "dicom.port" in err
    assert "did you mean `idle_s`?" in err
    assert json.loads(out)["exit_code"] == 2


@pytest.mark.parametrize("command", ["verify", "reindex", "status"])
def test_a_directory_that_holds_no_archive_is_a_usage_error_and_stays_untouched(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run(capsys, command, "--data", str(tmp_path))

    assert code == 2
    assert "holds no archive" in err
    assert list(tmp_path.iterdir()) == []
