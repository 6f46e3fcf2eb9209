"""What can be said after ``telegarde routes``.

For: the grammar only, so that ``--help`` answers at once. Not for: doing anything (``territory.cli_routes``).

Stable: the names of commands and options here are promised to stay; others build on them.
"""

import argparse
from pathlib import Path
from typing import Final, TypeAlias

ROUTES_SUMMARY: Final = "Where studies go on to: destinations, what waits for them, and which sites are silent."

_Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def add_routes(command: argparse.ArgumentParser) -> None:
    """Add the routing commands to ``telegarde routes``."""
    commands = command.add_subparsers(dest="routes_command", required=True, metavar="COMMAND")
    _command(commands, "list", "Show routes and destinations: reachable or away, paused, how much waits and went.")
    queue = _command(commands, "queue", "Show studies on their way; exit 1 when one failed or was given up.")
    queue.add_argument("--destination", metavar="NAME", help="of one destination only")
    queue.add_argument("--all", action="store_true", help="also what was sent in the last days")
    retry = _command(commands, "retry", "Make studies due at once, also those given up.")
    retry.add_argument("items", type=int, nargs="*", metavar="ITEM", help="numbers of the queue")
    retry.add_argument("--destination", metavar="NAME", help="everything that failed or was given up for one")
    give_up = _command(commands, "give-up", "End the attempts for studies; retry takes it back.")
    give_up.add_argument("items", type=int, nargs="+", metavar="ITEM", help="numbers of the queue")
    pause = _command(commands, "pause", "Send nothing more to a destination after what is in hand.")
    resume = _command(commands, "resume", "Send to a paused destination again.")
    for one in (pause, resume):
        one.add_argument("destination", metavar="NAME", help="its name in the configuration")
    for one in (retry, give_up, pause):
        one.add_argument("--by", required=True, metavar="NAME", help="who decides; shown in the queue")
    _command(commands, "sites", "Show the sites that are watched; exit 1 when one is silent.")


def _command(commands: _Commands, name: str, summary: str) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=summary, description=summary)
    command.add_argument("--json", action="store_true", help="answer with one JSON object on standard output")
    command.add_argument("--data", type=Path, metavar="DIR", help="the data directory (default: as configured)")
    command.add_argument("--config", type=Path, metavar="FILE", help="configuration (default: DIR/telegarde.toml)")
    return command
