"""What can be said after ``telegarde hl7``.

For: the grammar only, so that ``--help`` answers at once. Not for: doing anything (``territory.cli_hl7``).

Stable: the names of commands and options here are promised to stay; others build on them.
"""

import argparse
from pathlib import Path
from typing import Final, TypeAlias

HL7_SUMMARY: Final = "HL7 messages: judge a file, look after dead letters and the queue, send by hand."

_Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def add_hl7(command: argparse.ArgumentParser) -> None:
    """Add the commands to ``telegarde hl7``."""
    commands = command.add_subparsers(dest="hl7_command", required=True, metavar="COMMAND")
    validate = _command(commands, "validate", "Judge a message in a file; exit 1 when something is wrong.", data=False)
    validate.add_argument("file", type=Path, metavar="FILE", help="one message; - is standard input")
    _command(commands, "dead-letters", "List messages that had no effect; exit 1 when there are any.")
    show = _command(commands, "show", "Show one message with its errors and its answer; it holds patient data.")
    show.add_argument("message", metavar="ID", help="as dead-letters lists it")
    replay = _command(commands, "replay", "Give dead letters their effect now; exit 1 when one has none again.")
    discard = _command(commands, "discard", "Put dead letters aside: somebody has seen that nothing is missing.")
    for one in (replay, discard):
        one.add_argument("messages", nargs="+", metavar="ID", help="as dead-letters lists them")
    queue = _command(commands, "queue", "Show messages that have not arrived; exit 1 when one is refused or overdue.")
    queue.add_argument("--destination", metavar="NAME", help="of one destination only")
    queue.add_argument("--all", action="store_true", help="also what arrived or was given up in the last days")
    retry = _command(commands, "retry", "Send messages now: those that wait, were refused or given up.")
    give_up = _command(commands, "give-up", "Send messages no more; those behind them go on.")
    for one in (retry, give_up):
        one.add_argument("numbers", type=int, nargs="+", metavar="NUMBER", help="as queue lists them")
    for one in (replay, discard, retry, give_up):
        one.add_argument("--by", required=True, metavar="NAME", help="who decides; it is kept with the message")
    send = _command(commands, "send", "Send a message in a file at once and show the answer; exit 1 unless accepted.")
    send.add_argument("file", type=Path, metavar="FILE", help="one message; - is standard input")
    send.add_argument("--destination", metavar="NAME", help="a destination of the configuration")
    send.add_argument("--host", metavar="HOST", help="instead: any system, without TLS")
    send.add_argument("--port", type=int, metavar="PORT", help="its port")
    send.add_argument(
        "--answer-s", type=float, default=30.0, metavar="S", help="seconds to wait (default: %(default)s)"
    )


def _command(commands: _Commands, name: str, summary: str, *, data: bool = True) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=summary, description=summary)
    command.add_argument("--json", action="store_true", help="answer with one JSON object on standard output")
    if data:
        command.add_argument("--data", type=Path, metavar="DIR", help="the data directory (default: as configured)")
        command.add_argument("--config", type=Path, metavar="FILE", help="configuration (default: DIR/telegarde.toml)")
    return command
