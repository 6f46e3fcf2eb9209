"""Verifying every log of a node at once, and every anchor against them: in pages, in bounded memory, to the end.

For: ``telegarde oncall verify-log``. Not for: one dossier (`oncall.evidence.verification`).

For each event: its text has its hash, it is chained to the one before, the columns beside the text say the same. For
each log: no gap, and an end that is the one the case's row knows. For each anchor: number, chain, signature, root, and
every leaf is an event of its log, the last one that the log had then. Each report version that an event says was signed
is there, signed, and has the digest that the event has. So an event that was dropped, altered, moved or
slipped in is found, and, up to the last anchor, also when all hashes after it were made anew.

What is found does not end the work: the first `FOUND_MAX` places are told. Reads one snapshot: the node may go on.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection, Row, func, select, tuple_

from foundation.database import Database
from oncall.case.event import GENESIS_HASH, CaseId
from oncall.evidence.anchor import faults_of, root_over
from oncall.evidence.anchor_store import AnchorDamaged, anchor_of, anchors_after, leaves_of
from oncall.evidence.difference import Difference, What
from oncall.evidence.verification import signed_in
from oncall.report import store as report_store
from oncall.report.signing import verify as verify_signature
from oncall.schema import oncall_anchor, oncall_anchor_leaf, oncall_case, oncall_case_event

PAGE_EVENTS: Final = 2000
"""Events held at once: some megabytes."""

FOUND_MAX: Final = 100
"""Places told: whoever mends the first ones verifies again."""

_ANCHORS_AT_ONCE: Final = 32

Progress = Callable[[int, int], None]


@dataclass(slots=True)
class LogVerdict:
    """What was read, and what was found; ``newest_anchor`` is the digest to compare with one kept elsewhere."""

    logs: int = 0
    events: int = 0
    anchors: int = 0
    versions: int = 0
    unanchored: int = 0
    newest_anchor: str = ""
    newest_anchor_number: int = 0
    found: list[Difference] = field(default_factory=list)
    is_cut_short: bool = False

    def add(self, difference: Difference) -> None:
        """Keep a place, unless there are too many."""
        if len(self.found) < FOUND_MAX:
            self.found.append(difference)
        else:
            self.is_cut_short = True


def verify_logs(
    database: Database, *, node_keys: frozenset[bytes] = frozenset(), progress: Progress = lambda _done, _total: None
) -> LogVerdict:
    """Verify every log and every anchor of a database.

    Parameters
    ----------
    node_keys : frozenset of bytes
        Raw public keys that anchors must be signed with; empty: each by the key that it carries.
    progress : callable
        Told events read, and how many there are.

    Raises
    ------
    foundation.errors.Unavailable
        If the database does not answer.
    """
    verdict = LogVerdict()
    with database.read() as connection:
        total = connection.execute(select(func.count()).select_from(oncall_case_event)).scalar_one()
        _verify_anchors(connection, verdict, node_keys)
        walk = _Walk(connection, verdict)
        for page in _pages(connection):
            walk.take(page)
            progress(verdict.events, total)
        walk.end()
        _find_lost_logs(connection, verdict)
    return verdict


def _pages(connection: Connection) -> Iterator[Sequence[Row[Any]]]:
    event = oncall_case_event.c
    wanted = select(oncall_case_event).order_by(event.case_id, event.seq).limit(PAGE_EVENTS)
    page = connection.execute(wanted).all()
    while page:
        yield page
        last = page[-1]
        # By key, not by offset: each page costs the same.
        page = connection.execute(wanted.where(tuple_(event.case_id, event.seq) > tuple_(last.case_id, last.seq))).all()


class _Walk:
    """One pass over all events, log by log."""

    def __init__(self, connection: Connection, verdict: LogVerdict) -> None:
        self._connection = connection
        self._verdict = verdict
        self._case_id = ""
        self._seq = 0
        self._hash = GENESIS_HASH
        # The rest of a log whose chain broke is not told again event by event.
        self._is_broken = False
        self._heads: dict[str, Row[Any]] = {}
        self._leaves: dict[str, dict[int, str]] = {}
        self._anchored_to = connection.execute(select(func.max(oncall_anchor.c.position))).scalar_one_or_none() or 0

    def take(self, page: Sequence[Row[Any]]) -> None:
        """Look at a page of events."""
        self._prepare(sorted({row.case_id for row in page}))
        for row in page:
            if row.case_id != self._case_id:
                self.end()
                self._case_id, self._seq, self._hash, self._is_broken = row.case_id, 0, GENESIS_HASH, False
                self._verdict.logs += 1
            self._look_at(row)
            self._verdict.events += 1
        self._compare_versions(page)

    def end(self) -> None:
        """Look at the end of the log that was walked."""
        if not self._case_id:
            return
        head = self._heads.pop(self._case_id, None)
        if head is not None and (head.seq, head.head_hash) != (self._seq, self._hash):
            self._tell(What.MISSING, self._seq, f"it is not the last event: the case knows event {head.seq}")
        for seq in sorted(self._leaves.pop(self._case_id, {})):
            if seq > self._seq:
                self._tell(What.MISSING, seq, "an anchor holds it, and the log has no such event any more")
        self._case_id = ""

    def _prepare(self, case_ids: Sequence[str]) -> None:
        new = [case_id for case_id in case_ids if case_id != self._case_id]
        for row in self._connection.execute(select(oncall_case).where(oncall_case.c.case_id.in_(new))):
            self._heads[row.case_id] = row
        leaf = oncall_anchor_leaf.c
        for row in self._connection.execute(select(oncall_anchor_leaf).where(leaf.case_id.in_(new))):
            self._leaves.setdefault(row.case_id, {})[row.seq] = row.hash

    def _look_at(self, row: Row[Any]) -> None:
        fault = None if self._is_broken else self._fault(row)
        if fault is not None:
            self._is_broken = True
            self._tell(fault[0], row.seq, fault[1])
        anchored = self._leaves.get(row.case_id, {})
        if row.seq in anchored and anchored[row.seq] != row.hash and not self._is_broken:
            self._is_broken = True
            self._tell(What.ALTERED, row.seq, "an anchor holds another hash: it, or one before it, was rewritten since")
        if row.position > self._anchored_to:
            self._verdict.unanchored += 1
        elif not self._is_broken and row.seq > max(anchored, default=0):
            self._is_broken = True
            self._tell(What.ADDED, row.seq, "it stands where anchors were made already, and none of them knows it")
        self._seq, self._hash = row.seq, row.hash

    def _compare_versions(self, page: Sequence[Row[Any]]) -> None:
        """Look at the versions that events of a page say were signed."""
        told = [one for row in page if row.type.startswith(("report.", "prelim.")) for one in _signed_in(row.body)]
        for (case_id, number), digest in told:
            name = f"version {number} of the report of case {case_id}"
            detail = ""
            try:
                signed = report_store.find(self._connection, CaseId(case_id), number)
                if signed is None:
                    detail = "the log says that it was signed, and it is not there"
                elif signed.digest != digest or not verify_signature(signed.signature, digest):
                    detail = "it is not what the log says was signed"
                self._verdict.versions += 1
            except report_store.VersionDamaged:
                detail = "it is not what was signed"
            if detail:
                self._verdict.add(Difference(what=What.ALTERED, section="report", name=name, detail=detail))

    def _fault(self, row: Row[Any]) -> tuple[What, str] | None:
        if hashlib.sha256(row.body.encode()).hexdigest() != row.hash:
            return What.ALTERED, "its content does not have its hash"
        if row.seq != self._seq + 1:
            return What.MISSING, f"event {self._seq + 1} should stand here"
        if row.prev_hash != self._hash:
            return What.ALTERED, "it is not chained to the event before"
        if not _says_the_same(row):
            return What.ALTERED, "its columns do not say what its content says"
        return None

    def _tell(self, what: What, seq: int, detail: str) -> None:
        name = f"event {seq} of {self._case_id}"
        self._verdict.add(Difference(what=what, section="log", item=seq, name=name, detail=detail))


def _signed_in(text: str) -> list[tuple[tuple[str, int], str]]:
    try:
        return list(signed_in(json.loads(text)))
    except (ValueError, KeyError, TypeError, AttributeError):
        # The event itself is told already.
        return []


def _says_the_same(row: Row[Any]) -> bool:
    try:
        body = json.loads(row.body)
    except ValueError:
        return False
    names = ("case_id", "seq", "event_id", "type", "occurred_at_us", "recorded_at_us", "prev_hash")
    return isinstance(body, dict) and all(body.get(name) == getattr(row, name) for name in names)


def _verify_anchors(connection: Connection, verdict: LogVerdict, node_keys: frozenset[bytes]) -> None:
    number, digest = 0, ""
    while rows := anchors_after(connection, number, limit=_ANCHORS_AT_ONCE):
        for row in rows:
            for fault in _anchor_faults(connection, row, number, digest, node_keys):
                name = f"anchor {row.number}"
                verdict.add(Difference(what=What.ALTERED, section="anchors", item=row.number, name=name, detail=fault))
            number, digest = row.number, row.digest
            verdict.anchors += 1
    verdict.newest_anchor, verdict.newest_anchor_number = digest, number


def _anchor_faults(
    connection: Connection, row: Row[Any], number: int, digest: str, node_keys: frozenset[bytes]
) -> Iterator[str]:
    try:
        anchor = anchor_of(row)
    except AnchorDamaged:
        yield "it cannot be read"
        return
    statement = anchor.statement
    yield from faults_of(anchor, row.digest, node_keys=node_keys)
    if row.number != number + 1 or statement.number != row.number:
        yield f"anchor {number + 1} should stand here"
    elif statement.previous != digest:
        yield "it does not follow the anchor before"
    leaves = leaves_of(connection, row.number)
    if len(leaves) != statement.leaves or root_over(leaves) != statement.root:
        yield "its leaves do not have the root that was signed"


def _find_lost_logs(connection: Connection, verdict: LogVerdict) -> None:
    for table in (oncall_case, oncall_anchor_leaf):
        has_log = select(oncall_case_event.c.case_id).where(oncall_case_event.c.case_id == table.c.case_id).exists()
        lost = connection.execute(select(table.c.case_id).distinct().where(~has_log).limit(FOUND_MAX)).scalars()
        for case_id in sorted(lost):
            detail = "it is known, and its log is gone"
            difference = Difference(what=What.MISSING, section="log", name=f"log of {case_id}", detail=detail)
            if difference not in verdict.found:
                verdict.add(difference)
