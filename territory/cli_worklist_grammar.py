"""What can be said after ``telegarde worklist``.

For: the grammar only, so that ``--help`` answers at once. Not for: doing anything (``territory.cli_worklist``).

Stable: the names of commands and options here are promised to stay; others build on them.
"""

import argparse
from pathlib import Path
from typing import Final, TypeAlias

WORKLIST_SUMMARY: Final = "What consoles are to do: open orders, and what one of them looks like at the scanner."

_Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def add_worklist(command: argparse.ArgumentParser) -> None:
    """Add the worklist commands to ``telegarde worklist``."""
    commands = command.add_subparsers(dest="worklist_command", required=True, metavar="COMMAND")
    listed = _command(commands, "list", "Show open orders: emergencies first, then by scheduled time.")
    listed.add_argument("--site", metavar="SITE", help="of one hospital only, as the directory calls it")
    listed.add_argument("--modality", metavar="MODALITY", help="of one modality only, for example CT")
    steps = _command(commands, "steps", "Show what scanners say was done (MPPS), the newest first.")
    steps.add_argument("--site", metavar="SITE", help="of one hospital only, as the directory calls it")
    steps.add_argument("--unscheduled", action="store_true", help="only steps that are tied to no order")
    shown = _command(commands, "show", "Show an order as a console is given it, and which consoles were.")
    shown.add_argument("order", metavar="ORDER", help="its id, its accession number or its step's ID")


def _command(commands: _Commands, name: str, summary: str) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=summary, description=summary)
    command.add_argument("--json", action="store_true", help="answer with one JSON object on standard output")
    command.add_argument("--data", type=Path, metavar="DIR", help="the data directory (default: as configured)")
    command.add_argument("--config", type=Path, metavar="FILE", help="configuration (default: DIR/telegarde.toml)")
    return command
