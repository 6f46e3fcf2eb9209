"""The command line ``telegarde``: what can be said, and which module does it.

For: the grammar, exit codes, and turning errors into words. Not for: the work, which is in ``cli_*`` modules, imported
only when their command is given, so that ``--help`` answers at once.

Invariants: with ``--json`` standard output holds exactly one JSON object; logs and progress go to standard error. Exit
codes: 0 all well, 1 something is wrong (found or failed), 2 the command or the configuration cannot be used.
"""

import argparse
import importlib
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, TypeAlias

from territory.cli_hl7_grammar import HL7_SUMMARY, add_hl7
from territory.cli_oncall_grammar import add_oncall
from territory.cli_routes_grammar import ROUTES_SUMMARY, add_routes
from territory.cli_worklist_grammar import WORKLIST_SUMMARY, add_worklist

EXIT_WELL: Final = 0
EXIT_WRONG: Final = 1
EXIT_USAGE: Final = 2
# As shells report a process ended by SIGINT.
EXIT_INTERRUPTED: Final = 130

_COMMAND_MODULES: Final = {
    "init": "territory.cli_setup",
    "check-config": "territory.cli_setup",
    "serve": "territory.cli_serve",
    "send": "territory.cli_send",
    "verify": "territory.cli_archive",
    "reindex": "territory.cli_archive",
    "status": "territory.cli_status",
    "oncall": "territory.cli_oncall",
    "routes": "territory.cli_routes",
    "hl7": "territory.cli_hl7",
    "worklist": "territory.cli_worklist",
    "demo": "territory.demo",
}

STORIES: Final = (
    *("loire", "form", "stalled", "silent", "shift-change", "images-first", "wrong-patient", "link-lost", "october"),
    "all",
)
"""What ``demo --variant`` takes, by the names of `territory.rehearsal.variants`, which is not loaded for parsing."""

_ONCALL_SUMMARY: Final = "Who is on call, gaps, import and export, swaps, simulated nights, plan blanc."

_EPILOG: Final = """\
try it:
  telegarde serve --data DIR --open-loopback
  telegarde send FOLDER --host 127.0.0.1 --port 11112
  telegarde verify --data DIR
  telegarde demo --data DIR --once
  telegarde oncall who --data DIR --at 2026-10-25T02:30+02:00

exit codes: 0 all well; 1 something is wrong (found or failed); 2 the command or the configuration cannot be used
"""


def main() -> int:
    """Run the process's own command line; return the exit code."""
    # What is written holds patients' data: nothing for those outside the service's group.
    os.umask(0o027)
    return run(sys.argv[1:])


def run(argv: Sequence[str]) -> int:
    """Run one command; return the exit code."""
    arguments = build_parser().parse_args(argv)
    module = importlib.import_module(_COMMAND_MODULES[arguments.command])
    # Late as well: only the errors that commands raise on purpose become words, the rest is a defect with a traceback.
    from foundation.errors import Refused, TelegardeError
    from territory.settings_reader import InvalidSettings

    try:
        return int(module.run(arguments))
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has enough; nothing more may be written, also not at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_WRONG
    except TelegardeError as error:
        is_usage = isinstance(error, Refused | InvalidSettings)
        return _explain(arguments, error, EXIT_USAGE if is_usage else EXIT_WRONG)


def _explain(arguments: argparse.Namespace, error: Exception, exit_code: int) -> int:
    if arguments.json:
        print(json.dumps({"error": str(error), "exit_code": exit_code}))
    print(f"telegarde {arguments.command}: {error}", file=sys.stderr)
    return exit_code


def build_parser() -> argparse.ArgumentParser:
    """Return the grammar of the command line."""
    parser = argparse.ArgumentParser(
        prog="telegarde",
        description="Territorial PACS and teleradiology on-call engine.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_init(commands)
    _add_serve(commands)
    _add_send(commands)
    _add_archive_commands(commands)
    _add_check_config(commands)
    add_oncall(commands.add_parser("oncall", help=_ONCALL_SUMMARY, description=_ONCALL_SUMMARY))
    add_routes(commands.add_parser("routes", help=ROUTES_SUMMARY, description=ROUTES_SUMMARY))
    add_hl7(commands.add_parser("hl7", help=HL7_SUMMARY, description=HL7_SUMMARY))
    add_worklist(commands.add_parser("worklist", help=WORKLIST_SUMMARY, description=WORKLIST_SUMMARY))
    _add_demo(commands)
    return parser


_Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def _add_command(commands: _Commands, name: str, summary: str) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=summary, description=summary)
    command.add_argument("--json", action="store_true", help="answer with one JSON object on standard output")
    return command


def _add_init(commands: _Commands) -> None:
    command = _add_command(commands, "init", "Make a data directory with a commented configuration in it.")
    command.add_argument("data", type=Path, metavar="DIR", help="the data directory; made if it is not there")
    command.add_argument("--aet", default="TELEGARDE", help="AE title of the node (default: %(default)s)")


def _add_serve(commands: _Commands) -> None:
    command = _add_command(commands, "serve", "Run the node until SIGTERM or Ctrl-C.")
    command.add_argument("--data", type=Path, metavar="DIR", help="the data directory (default: as configured)")
    command.add_argument("--config", type=Path, metavar="FILE", help="configuration (default: DIR/telegarde.toml)")
    command.add_argument(
        "--open-loopback",
        action="store_true",
        help="no configuration: accept any calling AE, on 127.0.0.1 only; for trying out, never for patients",
    )
    command.add_argument("--aet", help="AE title of the node (default: as configured, else TELEGARDE)")
    command.add_argument("--dicom-port", type=int, metavar="PORT", help="default: as configured, else 11112")
    command.add_argument("--http-port", type=int, metavar="PORT", help="of GET /health; default: 8042")
    command.add_argument(
        "--oncall-port", type=int, metavar="PORT", help="of the on-call pages and interface (default: none)"
    )
    command.add_argument(
        "--hl7-port", type=int, metavar="PORT", help="of HL7 messages by MLLP (default: as configured)"
    )
    command.add_argument("--workers", type=int, metavar="N", help="worker processes (default: one per processor)")
    command.add_argument(
        "--peer",
        action="append",
        default=[],
        metavar="AET=HOST:PORT",
        help="with --open-loopback: a destination that C-MOVE may name; repeat for more",
    )


def _add_send(commands: _Commands) -> None:
    command = _add_command(commands, "send", "Send DICOM files to a node (C-STORE), fast.")
    command.add_argument("paths", type=Path, nargs="+", metavar="PATH", help="files, or folders to look through")
    command.add_argument("--host", required=True, help="where the node is")
    command.add_argument("--port", type=int, required=True, help="its DICOM port")
    command.add_argument("--aet", default="SENDER", help="our own AE title (default: %(default)s)")
    command.add_argument("--aec", default="TELEGARDE", help="AE title of the node (default: %(default)s)")
    command.add_argument(
        "--parallel", type=int, default=1, metavar="N", help="associations at once (default: %(default)s)"
    )
    command.add_argument(
        "--tls-ca", type=Path, metavar="FILE", help="use TLS: authorities that sign the node's certificate"
    )
    command.add_argument("--tls-certificate", type=Path, metavar="FILE", help="our certificate, for TLS")
    command.add_argument("--tls-key", type=Path, metavar="FILE", help="its private key, for TLS")


def _add_archive_commands(commands: _Commands) -> None:
    for name, summary in (
        ("verify", "Read every byte of the archive again and compare; exit 1 when anything is wrong."),
        ("reindex", "Build the whole index anew from the packs; the node must be stopped."),
        ("status", "Say what the archive holds and how the node is."),
    ):
        command = _add_command(commands, name, summary)
        command.add_argument("--data", type=Path, metavar="DIR", help="the data directory (default: as configured)")
        command.add_argument("--config", type=Path, metavar="FILE", help="configuration (default: DIR/telegarde.toml)")


def _add_demo(commands: _Commands) -> None:
    command = _add_command(commands, "demo", "Make a territory that does not exist, and show a node at work on it.")
    command.add_argument("--data", type=Path, metavar="DIR", help="keep everything here (default: a new directory)")
    command.add_argument("--once", action="store_true", help="end when all was shown; exit code 0 if it worked")
    command.add_argument("--slices", type=int, default=250, help="images of each CT study (default: %(default)s)")
    command.add_argument("--pictures", type=Path, metavar="DIR", help="also write the README's pictures")
    command.add_argument(
        "--variant", choices=STORIES, metavar="NAME", help=f"play only this night of the story: {', '.join(STORIES)}"
    )


def _add_check_config(commands: _Commands) -> None:
    command = _add_command(commands, "check-config", "Report everything that is wrong with a configuration.")
    where = command.add_mutually_exclusive_group(required=True)
    where.add_argument("file", type=Path, nargs="?", metavar="FILE", help="the configuration")
    where.add_argument("--config", type=Path, metavar="FILE", help="the same, as other commands spell it")


if __name__ == "__main__":
    sys.exit(main())
