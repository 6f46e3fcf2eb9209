"""``telegarde oncall evidence``, ``verify-evidence``, ``reconcile``, ``verify-log`` and ``anchor``.

For: making dossiers from the node's database, and proving them with nothing but their files. Not for: what is proved
and how (`oncall.evidence`).

Exit codes: 0 proven, 1 a difference was found (each with its place), 2 the file or the command cannot be used.
"""

import argparse
import os
from collections.abc import Callable, Sequence
from datetime import UTC
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from cryptography.x509 import Certificate
from rich.markup import escape
from sqlalchemy import Connection

from foundation.clock import Clock
from foundation.errors import Refused
from foundation.instants import instant_of_us
from oncall.case.event import Actor, CaseId
from oncall.engine.engine import Engine
from oncall.engine.published_rules import PublishedRules
from oncall.engine.sql_store import SqlStore
from oncall.evidence.against_log import log_differences, node_keys
from oncall.evidence.anchor_store import Anchors
from oncall.evidence.difference import Difference
from oncall.evidence.dossier import Sealed, fingerprint
from oncall.evidence.layout import FILE_BYTES_MAX
from oncall.evidence.log_verification import verify_logs
from oncall.evidence.making import Evidence
from oncall.evidence.pages import pdf
from oncall.evidence.pdf_file import verify_file
from oncall.evidence.reconciliation import CopiesUnrelated, reconcile
from oncall.evidence.stamps import verify_stamps
from oncall.evidence.verification import DossierUnusable, Verdict
from oncall.language import Language
from oncall.notify import Sender
from oncall.report.signing import NODE, Ed25519Keys
from oncall.report.time_stamps import Rfc3161TimeStamper, roots_of
from territory.case_subjects import IndexSubjects
from territory.cli_oncall_case import log_of
from territory.cli_oncall_export import write_whole
from territory.cli_oncall_place import open_database
from territory.cli_output import answer, progress
from territory.cli_tables import print_rows
from territory.data_location import location_of
from territory.oncall_process import SIGNING_KEYS, answer_secret
from territory.oncall_web.texts_events import event_words, reason_words
from territory.settings import load
from territory.settings_model import CONFIGURATION_NAME
from territory.time_stamp_parts import make_time_stamper

# A PDF has the dossier, its fonts and its pages.
_PDF_BYTES_MAX: Final = 2 * FILE_BYTES_MAX
_KEY_BYTES: Final = 32


def run(arguments: argparse.Namespace, clock: Clock) -> int:
    """Run one of the commands."""
    try:
        return _COMMANDS[arguments.oncall_command](arguments, clock)
    except (DossierUnusable, CopiesUnrelated) as error:
        # No difference was found in such a file: it cannot be used.
        raise Refused(str(error)) from error


def words(word: str, language: Language) -> str:
    """Return what an event or a word of the log is called, as the pages call it."""
    found = event_words(word, language.value)
    return found if found != word else reason_words(word, language.value)


def _evidence(arguments: argparse.Namespace, clock: Clock) -> int:
    output: Path = arguments.output
    if output.suffix not in {".json", ".pdf"}:
        raise Refused(f"--output {output}: a name that ends in .json or .pdf says which of the two is wanted")
    now = clock.now().astimezone(UTC)
    keys = _keys(arguments)
    with open_database(arguments) as database:
        case_id = CaseId(log_of(database, arguments.case, now)[0].case_id)
        secret = answer_secret(location_of(arguments).data_dir)
        engine = Engine(
            SqlStore(database),
            PublishedRules(database),
            Sender(answer_url="", secret=secret),
            worker=f"evidence-{os.getpid()}",
        )
        maker = Evidence(database, keys, IndexSubjects(database, secret), _stamper(arguments))
        actor = Actor(who=arguments.by, role="operator", place="command line")
        dossier = maker.make(engine, case_id, arguments.centre, now, actor=actor)
    content = dossier.data if output.suffix == ".json" else pdf(dossier, keys, Language(arguments.language), words)
    try:
        write_whole(output, content)
    except OSError as error:
        raise Refused(f"cannot write {output}: {error.strerror}; choose another --output") from error
    answer(arguments, _made(dossier, keys, output, len(content)), title=f"Sealed: {output}")
    return 0


def _made(dossier: Sealed, keys: Ed25519Keys, output: Path, size_bytes: int) -> dict[str, Any]:
    head = dossier.sections["head"]
    return {
        "output": str(output),
        "size_bytes": size_bytes,
        "case_id": head["case_id"],
        "centre": head["centre"]["centre_id"],
        "events": sum(one["seq"] for one in head["covers"]),
        "digest": dossier.digest,
        "reference": dossier.reference,
        **_key_of(keys),
    }


def _verify(arguments: argparse.Namespace, clock: Clock) -> int:
    del clock
    known = frozenset() if arguments.public_key is None else frozenset({_public_key(arguments.public_key)})
    file = _read(arguments.file)
    if arguments.data is None and arguments.config is None:
        verdict = verify_file(file, node_keys=known)
        found = list(verdict.differences)
    else:
        with open_database(arguments) as database, database.read() as connection:
            verdict = verify_file(file, node_keys=known | _known_keys(arguments, connection))
            found = list(verdict.differences)
            if not found and verdict.sections is not None:
                found += log_differences(connection, verdict.sections)
    about = _about(verdict)
    if arguments.time_stamp_roots is not None and not found and verdict.sections is not None:
        stamps = verify_stamps(verdict.sections, _roots(arguments.time_stamp_roots))
        found += stamps.differences
        sealed_at = None if stamps.sealed_at is None else stamps.sealed_at.isoformat()
        about |= {"time_stamps": stamps.held, "seal_stamped": sealed_at}
    result = {**about, "is_proven": not found, "differences": [one.to_json() for one in found]}
    if arguments.json:
        answer(arguments, result, title="")
        return 1 if found else 0
    title = "A difference was found" if found else "Proven: whole, and as it was sealed"
    answer(arguments, {key: value for key, value in result.items() if key != "differences"}, title=title)
    _print_differences("Differences", found)
    if not found and not verdict.is_key_known:
        print("The key of the seal was compared with none: give --public-key or --data, or compare its SHA-256.")
    return 1 if found else 0


def _about(verdict: Verdict) -> dict[str, Any]:
    about: dict[str, Any] = {"key_sha256": verdict.key, "is_key_known": verdict.is_key_known}
    if verdict.sections is None or verdict.differences:
        return about
    head = verdict.sections["head"]
    zone = ZoneInfo(head["centre"]["time_zone"])
    return {
        "case_id": head["case_id"],
        "centre": head["centre"]["centre_id"],
        "made": instant_of_us(head["made_at_us"]).astimezone(zone).isoformat(),
        "as_of": instant_of_us(head["as_of_us"]).astimezone(zone).isoformat(),
        "events": len(verdict.sections["events"]),
        "anchors": verdict.anchors,
        **about,
    }


def _reconcile(arguments: argparse.Namespace, clock: Clock) -> int:
    del clock
    copies: list[Verdict] = []
    faults: dict[str, list[Difference]] = {}
    for name, path in (("a", arguments.a), ("b", arguments.b)):
        verdict = verify_file(_read(path))
        faults[name] = list(verdict.differences)
        if verdict.sections is None:
            raise DossierUnusable(f"{path} cannot be compared: {faults[name][0].where}: {faults[name][0].detail}")
        copies.append(verdict)
    try:
        found = reconcile(*(one.sections or {} for one in copies))
    except (KeyError, TypeError, AttributeError) as error:
        raise DossierUnusable("one of the copies has lost its shape; verify each of them") from error
    result = {
        "is_same": not found.differences and not any(faults.values()),
        "same_key": copies[0].key == copies[1].key,
        "differences": [one.to_json() for one in found.differences],
        "by_design": [one.to_json() for one in found.by_design],
        "faults": {name: [one.to_json() for one in fault] for name, fault in faults.items()},
    }
    if arguments.json:
        answer(arguments, result, title="")
        return 0 if result["is_same"] else 1
    print("The two copies hold the same." if result["is_same"] else "The two copies differ.")
    if not result["same_key"]:
        print("They are sealed with two keys.")
    _print_differences("Differences (missing: in B; added: in B only)", found.differences)
    for name, fault in faults.items():
        _print_differences(f"Copy {name.upper()} is not as it was sealed", fault)
    _print_differences("One side's only, by design", found.by_design)
    return 0 if result["is_same"] else 1


def _verify_log(arguments: argparse.Namespace, clock: Clock) -> int:
    begun_s = clock.monotonic_s()
    with open_database(arguments) as database, progress("Proving logs", unit="events") as advance:
        with database.read() as connection:
            known = _known_keys(arguments, connection)
        verdict = verify_logs(database, node_keys=known, progress=advance)
    took_s = max(clock.monotonic_s() - begun_s, 1e-9)
    result = {
        "logs": verdict.logs,
        "events": verdict.events,
        "report_versions": verdict.versions,
        "anchors": verdict.anchors,
        "events_since_last_anchor": verdict.unanchored,
        "newest_anchor": verdict.newest_anchor_number,
        "newest_anchor_sha256": verdict.newest_anchor,
        "events_per_s": round(verdict.events / took_s),
        "is_proven": not verdict.found,
        "is_cut_short": verdict.is_cut_short,
        "differences": [one.to_json() for one in verdict.found],
    }
    if arguments.json:
        answer(arguments, result, title="")
        return 1 if verdict.found else 0
    title = "A log is not as it was written" if verdict.found else "Proven: every log, and every anchor"
    answer(arguments, {key: value for key, value in result.items() if key != "differences"}, title=title)
    _print_differences("Differences", verdict.found)
    return 1 if verdict.found else 0


def _known_keys(arguments: argparse.Namespace, connection: Connection) -> frozenset[bytes]:
    """Return the node's public keys: from its key files, else those that the database says were the node's."""
    return _keys(arguments).public_keys_of(NODE) or node_keys(connection)


def _anchor(arguments: argparse.Namespace, clock: Clock) -> int:
    keys = _keys(arguments)
    with open_database(arguments) as database:
        made = Anchors(database, keys, _stamper(arguments)).make(clock.now().astimezone(UTC))
    statement = made.statement
    result = {
        "number": statement.number,
        "made": statement.made_at.isoformat(),
        "logs_changed": statement.leaves,
        "position": statement.position,
        "root": statement.root,
        "sha256": statement.digest(),
        **_key_of(keys),
    }
    answer(arguments, result, title=f"Anchor {statement.number}: keep its SHA-256 somewhere else")
    return 0


_COMMANDS: Final[dict[str, Callable[[argparse.Namespace, Clock], int]]] = {
    "evidence": _evidence,
    "verify-evidence": _verify,
    "reconcile": _reconcile,
    "verify-log": _verify_log,
    "anchor": _anchor,
}


def _keys(arguments: argparse.Namespace) -> Ed25519Keys:
    return Ed25519Keys(location_of(arguments).data_dir / SIGNING_KEYS)


def _stamper(arguments: argparse.Namespace) -> Rfc3161TimeStamper | None:
    """Return the authority that the place's configuration names, if it has one."""
    file = arguments.config or location_of(arguments).data_dir / CONFIGURATION_NAME
    return make_time_stamper(load(file).oncall) if file.exists() else None


def _roots(path: Path) -> tuple[Certificate, ...]:
    try:
        return roots_of(path.read_bytes())
    except OSError as error:
        raise Refused(f"cannot read {path}: {error.strerror}") from error


def _key_of(keys: Ed25519Keys) -> dict[str, str]:
    public = keys.public_key_of(NODE)
    return {"public_key": public.hex(), "key_sha256": fingerprint(public)}


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > _PDF_BYTES_MAX:
            raise DossierUnusable(f"{path} is larger than any dossier; give the file as it was made")
        return path.read_bytes()
    except OSError as error:
        raise Refused(f"cannot read {path}: {error.strerror}") from error


def _public_key(given: str) -> bytes:
    path = Path(given)
    try:
        raw = path.read_bytes() if path.is_file() else given.encode()
        if len(raw) == _KEY_BYTES:
            return raw
        if raw.startswith(b"-----BEGIN"):
            key = load_pem_public_key(raw)
            if isinstance(key, Ed25519PublicKey):
                return key.public_bytes_raw()
        key_bytes = bytes.fromhex(raw.decode("ascii").strip())
        if len(key_bytes) == _KEY_BYTES:
            return key_bytes
    except (OSError, ValueError):
        pass
    raise Refused("--public-key: an Ed25519 public key is wanted: 64 hexadecimal digits, or a file with them or in PEM")


def _print_differences(title: str, found: Sequence[Difference]) -> None:
    rows = [{key: escape(str(value)) for key, value in one.to_json().items()} for one in found]
    print_rows(title, ("where", "what", "detail"), rows)
