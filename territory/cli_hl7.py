"""``telegarde hl7``: messages that had no effect, messages on their way, and one by hand.

Not for: listening or sending (the interfaces' process does), or what messages mean (`pacs.worklist.hl7`).

Invariant: lists hold no patient data; only ``show`` prints a message.
"""

import argparse
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import pacs.worklist.hl7.schema  # noqa: F401  # adds its tables to METADATA
from foundation.clock import SystemClock
from foundation.database import Database
from foundation.errors import Refused
from pacs.worklist.hl7 import characters, dead_letters, outgoing, received
from pacs.worklist.hl7.acknowledgement import TAKEN
from pacs.worklist.hl7.destinations import Destination
from pacs.worklist.hl7.exchange import exchange
from pacs.worklist.hl7.framing import is_framable
from pacs.worklist.hl7.header import read_header
from pacs.worklist.hl7.message import Accepted, FieldError
from pacs.worklist.hl7.outgoing import Outgoing, OutgoingState
from pacs.worklist.hl7.received import Kept, ReceivedState
from territory.cli_oncall_place import open_database
from territory.cli_output import answer
from territory.cli_tables import print_rows
from territory.hl7_handlers import make_handler
from territory.hl7_parts import destinations, sender_rules
from territory.settings import Settings, load, open_loopback
from territory.settings_model import CONFIGURATION_NAME

_DEAD_COLUMNS: Final = ("message", "received", "application", "site", "type", "control_id", "reason", "errors", "by")
_QUEUE_COLUMNS: Final = (
    "number", "destination", "type", "control_id", "state", "attempts", "reason", "may_have_arrived", "next", "by",
)  # fmt: skip
_ERROR_COLUMNS: Final = ("place", "code", "text")


def run(arguments: argparse.Namespace) -> int:
    """Run one of the HL7 commands."""
    if arguments.hl7_command == "validate":
        return _validate(arguments)
    if arguments.hl7_command == "send":
        return _send(arguments)
    commands = {
        "dead-letters": _dead_letters, "show": _show, "replay": _replay, "discard": _discard, "queue": _queue,
        "retry": _retry, "give-up": _give_up,
    }  # fmt: skip
    with open_database(arguments) as database:
        return commands[arguments.hl7_command](arguments, database)


def content_of(file: Path) -> bytes:
    """Return a message from a file: editors end lines in other ways than HL7 ends segments.

    Raises
    ------
    Refused
        If the file cannot be read, or holds what no message can.
    """
    try:
        content = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        raise Refused(f"{file} cannot be read ({error.strerror})") from error
    content = content.strip(b"\x0b\x1c\r\n")
    if b"\r\n" in content or b"\r" not in content:
        content = content.replace(b"\r\n", b"\r").replace(b"\n", b"\r")
    if not is_framable(content):
        raise Refused(f"{file} holds more than one message, or bytes that no message may hold")
    return content + b"\r"


def _validate(arguments: argparse.Namespace) -> int:
    # Imported here: the structures of the standard take a while to load.
    from pacs.worklist.hl7.validation import is_good, validate

    content = content_of(arguments.file)
    character_set = read_header(content).character_set
    try:
        findings = validate(characters.decode(content, character_set or "UNICODE UTF-8"))
    except (characters.UnknownCharacterSet, characters.NotInCharacterSet) as error:
        raise Refused(f"MSH-18: {error}") from error
    rows = [
        {"severity": one.severity.value, "place": one.place, "rule": one.rule, "text": one.text} for one in findings
    ]
    if arguments.json:
        answer(arguments, {"is_good": is_good(findings), "findings": rows}, title="")
    else:
        print_rows("Findings", ("severity", "place", "rule", "text"), rows, nothing="Nothing is wrong.")
    return 0 if is_good(findings) else 1


def _dead_letters(arguments: argparse.Namespace, database: Database) -> int:
    with database.read() as connection:
        found = received.dead(connection)
        counts = received.counts(connection)
    rows = [_dead_row(one) for one in found]
    if arguments.json:
        counted = {state.value: counts.get(state, 0) for state in ReceivedState}
        answer(arguments, {"counts": counted, "dead_letters": rows}, title="")
    else:
        print_rows("Messages that had no effect", _DEAD_COLUMNS, rows, nothing="There are no dead letters.")
    return 1 if rows else 0


def _dead_row(kept: Kept) -> dict[str, Any]:
    return {
        "message": kept.message_id,
        "received": _time(kept.received_at),
        "application": kept.application,
        "facility": kept.facility,
        "site": kept.site_id,
        "type": kept.message_type,
        "control_id": kept.control_id,
        "reason": kept.reason,
        "errors": [f"{_place(error)} {error.text}".strip() for error in kept.errors],
        "is_whole": kept.is_whole,
        "by": kept.settled_by,
    }


def _show(arguments: argparse.Namespace, database: Database) -> int:
    with database.read() as connection:
        kept = dead_letters.show(connection, arguments.message)
    text = _text(kept.content)
    answers = [_text(one) for one in (kept.answers.accept, kept.answers.application) if one]
    if arguments.json:
        row = {**_dead_row(kept), "state": kept.state.value, "settled": _time(kept.settled_at)}
        answer(arguments, {**row, "content": text, "answers": answers}, title="")
        return 0
    answer(arguments, {"state": kept.state.value, **_dead_row(kept)}, title="Message")
    errors = [{"place": _place(error), "code": error.code.value, "text": error.text} for error in kept.errors]
    print_rows("Errors", _ERROR_COLUMNS, errors)
    for part in (text, *answers):
        print(part.replace("\r", "\n"))
    return 0


def _replay(arguments: argparse.Namespace, database: Database) -> int:
    settings, clock = _settings(arguments), SystemClock()
    handler, rules = make_handler(database, clock), sender_rules(settings, database, clock)
    processing_id = settings.hl7.processing_id if settings.hl7 else "P"
    rows = []
    for message_id in arguments.messages:
        with database.write(durable=True) as connection:
            outcome = dead_letters.replay(
                connection, message_id, handler, rules, processing_id=processing_id, now=clock.now(), by=arguments.by
            )
            row = _dead_row(dead_letters.show(connection, message_id))
        rows.append({**row, "accepted": isinstance(outcome, Accepted)})
    if arguments.json:
        answer(arguments, {"messages": rows}, title="")
    else:
        print_rows("Replayed", ("message", "accepted", "reason", "errors"), rows)
    return 0 if all(row["accepted"] for row in rows) else 1


def _discard(arguments: argparse.Namespace, database: Database) -> int:
    now = SystemClock().now()
    with database.write(durable=True) as connection:
        for message_id in arguments.messages:
            dead_letters.discard(connection, message_id, now=now, by=arguments.by)
    answer(arguments, {"messages": arguments.messages, "by": arguments.by}, title="Put aside")
    return 0


def _queue(arguments: argparse.Namespace, database: Database) -> int:
    states = frozenset(OutgoingState) if arguments.all else outgoing.SHOWN
    with database.read() as connection:
        found = outgoing.listed(connection, states)
        counts = outgoing.counts(connection)
    wanted = [one for one in found if arguments.destination in (None, one.destination)]
    _show_queue(arguments, wanted, {f"{name} {state.value}": count for (name, state), count in counts.items()})
    return 1 if any(_is_stuck(one) for one in wanted) else 0


def _is_stuck(message: Outgoing) -> bool:
    is_failing = message.state is OutgoingState.QUEUED and message.attempts > 0 and bool(message.reason)
    return message.state is OutgoingState.REFUSED or is_failing


def _retry(arguments: argparse.Namespace, database: Database) -> int:
    now = SystemClock().now()
    with database.write(durable=True) as connection:
        changed = [outgoing.try_again(connection, number, now, by=arguments.by) for number in arguments.numbers]
    _show_queue(arguments, changed, {})
    return 0


def _give_up(arguments: argparse.Namespace, database: Database) -> int:
    now = SystemClock().now()
    with database.write(durable=True) as connection:
        changed = [outgoing.give_up(connection, number, now, by=arguments.by) for number in arguments.numbers]
    _show_queue(arguments, changed, {})
    return 0


def _show_queue(arguments: argparse.Namespace, found: Sequence[Outgoing], counts: dict[str, int]) -> None:
    rows = [
        {
            "number": one.number,
            "destination": one.destination,
            "type": one.message_type,
            "control_id": one.control_id,
            "state": one.state.value,
            "attempts": one.attempts,
            "reason": one.reason,
            "may_have_arrived": one.is_uncertain,
            "queued": _time(one.enqueued_at),
            "next": _time(one.due_at) if one.state is OutgoingState.QUEUED else "",
            "by": one.ended_by,
        }
        for one in found
    ]
    if arguments.json:
        answer(arguments, {"counts": counts, "messages": rows}, title="")
    else:
        print_rows("Messages on their way", _QUEUE_COLUMNS, rows, nothing="Every message has arrived.")


def _send(arguments: argparse.Namespace) -> int:
    content = content_of(arguments.file)
    said = exchange(_destination(arguments), content)
    result = {"code": said.code.value, "control_id": said.control_id, "answer": _text(said.content)}
    if arguments.json:
        answer(arguments, result, title="")
    else:
        print(_text(said.content).replace("\r", "\n"))
    return 0 if said.code in TAKEN else 1


def _destination(arguments: argparse.Namespace) -> Destination:
    if arguments.destination is not None:
        if arguments.host or arguments.port:
            raise Refused("--destination says where it is; leave --host and --port out")
        found = destinations(_settings(arguments)).get(arguments.destination)
        if found is None:
            raise Refused("there is no such destination; [[hl7.destinations]] of the configuration lists them")
        return found
    if not (arguments.host and arguments.port):
        raise Refused("where to? give --destination NAME, or --host and --port")
    name = f"{arguments.host}:{arguments.port}"
    return Destination(name=name, site_id="", host=arguments.host, port=arguments.port, answer_s=arguments.answer_s)


def _settings(arguments: argparse.Namespace) -> Settings:
    if arguments.config is not None:
        return load(arguments.config)
    if arguments.data is None:
        raise Refused("which node? give --data DIR or --config FILE")
    if (arguments.data / CONFIGURATION_NAME).exists():
        return load(arguments.data / CONFIGURATION_NAME)
    return open_loopback(data=arguments.data, aet="TELEGARDE", dicom_port=11112, http_port=8042, hl7_port=2575)


def _place(error: FieldError) -> str:
    if not error.segment:
        return ""
    place = f"{error.segment}[{error.sequence}]" if error.sequence > 1 else error.segment
    return ".".join(
        [f"{place}-{error.field}" if error.field else place, *([str(error.component)] * bool(error.component))]
    )


def _text(content: bytes) -> str:
    try:
        return characters.decode(content, read_header(content).character_set or characters.ASCII)
    except (characters.UnknownCharacterSet, characters.NotInCharacterSet):
        return content.decode("ascii", errors="backslashreplace")


def _time(instant: datetime) -> str:
    return instant.isoformat(timespec="seconds")
