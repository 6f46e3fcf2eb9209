"""Facts of the conformance statement about DIMSE statuses: which there are, and which service answers them when.

For: `territory.conformance`. The conditions are words, in ``conformance_templates/statuses.toml``; which statuses there
are, and which modules answer them, is read from the code. Where the two differ no statement is made, so a new status
cannot be forgotten and an old one cannot linger.

References
----------
PS3.2 N.7.3.2; PS3.7 Annex C; PS3.4 B.2.3, C.4.1.1.4, C.4.2.1.5, C.4.3.1.4, J.3; PS3.3 C.14
"""

import ast
import importlib
import inspect
import re
import tomllib
from collections.abc import Collection, Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from foundation.errors import DiskFull, PeerError, TelegardeError, Unavailable
from pacs import status as status_module
from pacs.archive.commitment import FailureReason
from pacs.archive.header import UnusableDataSet
from pacs.archive.ingest import NotAsAnnounced
from pacs.scp import store
from pacs.status import Status
from territory.conformance_associations import command_errors
from territory.conformance_markdown import code, table, text

_WORDS: Final = Path(__file__).with_name("conformance_templates") / "statuses.toml"
_REASONS: Final = "failure_reasons"
_STORAGE: Final = "storage"
# What `pacs.scp.store.status_of` is asked about.
_STORE_ERRORS: Final[tuple[TelegardeError, ...]] = (
    NotAsAnnounced(""),
    UnusableDataSet(""),
    DiskFull(""),
    Unavailable(""),
    PeerError(""),
)
# PS3.2 Table N.7-42 calls it so; `pacs.upper_layer.command_reader` answers it, `pacs.status` does not name it.
_UNNAMED: Final[Mapping[int, str]] = {0x0117: "Invalid SOP instance"}
_MEMBER: Final = re.compile(r"^\s+([A-Z_]+) = 0x[0-9A-F]{4}(?:\s+# (.*))?$")
_COMMENT: Final = re.compile(r"^\s+# (.*)$")
# Which clause of the annex differs between editions of the standard; the annex does not.
_PS3_7_CLAUSE: Final = re.compile(r"PS3\.7 C(?:\.\d+)+")


@dataclass(frozen=True, kw_only=True, slots=True)
class Service:
    """A service, the names of the statuses that its modules mention, and when it answers what.

    ``conditions`` are by the name of the status in its code; ``unanswered`` are statuses that the modules mention
    without answering them, with the reason.
    """

    name: str
    mentioned: frozenset[str]
    conditions: Mapping[str, str]
    unanswered: Mapping[str, str]


def facts() -> dict[str, str]:
    """Return Markdown by the name that templates use.

    Raises
    ------
    ValueError
        If the words are not those of the code.
    """
    words = tomllib.loads(_WORDS.read_text())
    reasons = words.pop(_REASONS)
    services = {key: _service(entry) for key, entry in words.items()}
    for service in services.values():
        compare(service.name, service.mentioned, {*service.conditions, *service.unanswered})
    compare("Failure Reason", set(FailureReason.__members__), set(reasons))
    answered = {store.status_of(error).name for error in _STORE_ERRORS}
    compare("errors of C-STORE", answered, answered & services[_STORAGE].conditions.keys())
    return {
        **{f"statuses_{key}": _conditions(service) for key, service in services.items()},
        "statuses_all": _all_statuses(services.values()),
        "statuses_kept": _kept(),
        "commitment_failures": table(
            ["Failure Reason (0008,1197)", "Meaning", "Condition"],
            [[_hexadecimal(FailureReason[name]), _words(name), when] for name, when in reasons.items()],
        ),
    }


def mentioned_in(module: ModuleType) -> frozenset[str]:
    """Return the names of the statuses that a module's code mentions."""
    return frozenset(
        node.attr
        for node in ast.walk(ast.parse(inspect.getsource(module)))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == Status.__name__
    )


def references() -> dict[str, str]:
    """Return where the standard defines each status, by name: the comment beside the member, or above it."""
    found: dict[str, str] = {}
    above: list[str] = []
    for line in inspect.getsource(Status).splitlines():
        member, comment = _MEMBER.match(line), _COMMENT.match(line)
        if member:
            found[member[1]] = member[2] or " ".join(above)
        above = [*above, comment[1]] if comment else []
    return found


def _service(entry: Mapping[str, Any]) -> Service:
    modules = [importlib.import_module(name) for name in entry["modules"]]
    return Service(
        name=entry["name"],
        mentioned=frozenset[str]().union(*map(mentioned_in, modules)),
        conditions=entry["conditions"],
        unanswered=entry.get("unanswered", {}),
    )


def compare(what: str, in_code: Set[str], in_words: Set[str]) -> None:
    """Say which names the code has and the words have not, or the other way round.

    Raises
    ------
    ValueError
        If there is any.
    """
    if in_code != in_words:
        differing = ", ".join(sorted(in_code ^ in_words))
        raise ValueError(f"{what}: the code and {_WORDS.name} differ in {differing}")


def _conditions(service: Service) -> str:
    rows = [
        [_kind(Status[name]), _words(name), _hexadecimal(Status[name]), condition]
        for name, condition in sorted(service.conditions.items(), key=lambda item: Status[item[0]])
    ]
    return table(["Service Status", "Further Meaning", "Status Code", "Condition"], rows)


def _all_statuses(services: Collection[Service]) -> str:
    defined = references()
    by_command_set = {status for _, status in command_errors()}
    named: dict[int, list[str]] = {}
    for name, member in Status.__members__.items():
        named.setdefault(int(member), []).append(name)
    if by_command_set - named.keys() != _UNNAMED.keys():
        raise ValueError("territory.conformance_statuses names other statuses than those that pacs.status does not")
    rows = []
    for number in sorted({*named, *by_command_set}):
        names = named.get(number, [])
        answers = [service.name for service in services if not service.conditions.keys().isdisjoint(names)]
        if number in by_command_set:
            answers.append("any command set that cannot be carried out")
        rows.append(
            [
                _hexadecimal(number),
                "; ".join(map(_words, names)) or _UNNAMED[number],
                _kind(number),
                "; ".join(_defined_in(defined[name]) for name in names) or "PS3.7 Annex C",
                ", ".join(answers) or "nothing, in this version",
            ]
        )
    return table(["Status Code", "Meaning", "Service Status", "Defined in", "Answers"], rows)


def _defined_in(comment: str) -> str:
    return _PS3_7_CLAUSE.sub("PS3.7 Annex C", text(comment).rstrip("."))


def _kept() -> str:
    """Say which answers to C-STORE mean, for the node as SCU, that the peer keeps the instance."""
    ranges: list[list[int]] = []
    for number in filter(status_module.is_success_or_warning, range(0x10000)):
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    shown: list[str] = []
    for low, high in ranges:
        if high - low > 1:
            shown.append(f"{_hexadecimal(low)} to {_hexadecimal(high)}")
        else:
            shown += map(_hexadecimal, range(low, high + 1))
    return ", ".join(shown)


def _hexadecimal(number: int) -> str:
    return code(f"{number:04X}H")


def _words(name: str) -> str:
    words = name.removeprefix("WARNING_").lower().replace("_", " ").replace("suboperations", "sub-operations")
    words = re.sub(r"\bsop\b", "SOP", words)
    return words[0].upper() + words[1:]


def _kind(number: int) -> str:
    """Return the status type (PS3.7 Annex C)."""
    if number == Status.SUCCESS:
        return "Success"
    if number == Status.CANCEL:
        return "Cancel"
    if number in {Status.PENDING, Status.PENDING_WITH_WARNING}:
        return "Pending"
    return "Warning" if status_module.is_success_or_warning(number) else "Failure"
