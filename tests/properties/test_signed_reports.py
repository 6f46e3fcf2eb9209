"""Any order of signing, correcting, reading, closing: versions only grow, nothing is hidden, the case says the same."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import oncall.schema  # noqa: F401  # adds its tables to METADATA
from foundation.database import Database, sqlite_url
from foundation.errors import Refused
from oncall.case import commands, commands_report
from oncall.case.event import Actor
from oncall.case.log import verify_chain
from oncall.case.regions import ReportState
from oncall.case.state import Case, fold
from oncall.engine.ports import Store
from oncall.engine.sql_store import SqlStore
from oncall.report import states
from oncall.report.signing import verify
from oncall.report.version import SignedVersion, VersionKind
from tests.harness import reports
from tests.harness.report_night import CASE, ReportNight
from tests.harness.small_territory import at, memory_store

K = VersionKind
WHO: Final = ("anna", "boris")
COORDINATOR: Final = Actor(who="coline", role="coordinator")

# Nobody named is whoever has the case open; then what is signed is mostly allowed.
_SIGNING = st.tuples(
    st.just("sign"), st.sampled_from([K.FINAL, *K]), st.sampled_from(["", "", "", "serge"]), st.integers(0, 3)
)
_PATIENT = st.tuples(st.just("patient"), st.sampled_from(["key-north", "key-2"]))
_OTHERS = st.one_of(
    _PATIENT,
    st.tuples(st.just("block")),
    st.tuples(st.just("open"), st.sampled_from(WHO)),
    st.tuples(st.just("send")),
    st.tuples(st.just("read"), st.integers(1, 4)),
    st.tuples(st.just("close")),
)
_STEPS = st.tuples(
    st.sampled_from([("sign", K.FINAL, "", 0), ("sign", K.PRELIMINARY, "", 0)]).map(lambda step: [step]),
    st.lists(st.integers(0, 9).flatmap(lambda dice: _SIGNING if dice < 6 else _OTHERS), min_size=3, max_size=14),
).map(lambda parts: [*parts[0], *parts[1]])


class Told:
    """A night told step by step; what a rule refuses is left out."""

    def __init__(self, store: Store, keys: Path) -> None:
        self.night = ReportNight(store, keys)
        self.minutes = 10
        self.uid = 0
        self.kept: tuple[SignedVersion, ...] = ()

    def do(self, step: tuple[object, ...]) -> None:
        """Do a step if it is allowed."""
        self.minutes += 1
        name, *given_ = step
        act: Callable[..., object] = getattr(self, name)  # type: ignore[call-overload]  # one of the names above
        before = self.night.store.versions_of(CASE)
        try:
            act(*given_)
        except Refused:
            assert self.night.store.versions_of(CASE) == before

    def sign(self, kind: VersionKind, who: str, words: int) -> None:
        """Sign one of a few texts."""
        reading = self.night.engine.case(CASE).reading
        by = who or reading.claimed_by or self.night.reader
        self.night.sign(kind, self.minutes, by=by, uid=reading.transaction_uid, words=reports.content(title=str(words)))

    def patient(self, key: str) -> None:
        """Say whose case it is."""
        self.night.engine.settle_identity(CASE, key, at(self.minutes), actor=COORDINATOR, reason="bracelet")

    def block(self) -> None:
        """Say that nobody knows whose case it is."""
        self._say(lambda case, context: commands_report.block_identity(case, context, reason="two bracelets"))

    def open(self, who: str) -> None:
        """Open the case for reading again."""
        self.uid += 1
        self.night.engine.claim(CASE, who, at(self.minutes), transaction_uid=f"2.25.{self.uid}")  # type: ignore[arg-type]

    def send(self) -> None:
        """Send the newest version."""
        self._say(lambda case, context: commands_report.send_report(case, context, channel="web"))

    def read(self, version: int) -> None:
        """A clinician acknowledges a version."""
        self._say(lambda case, context: commands_report.acknowledge_report(case, "Dr M", context, version=version))

    def close(self) -> None:
        """Close the case without a word."""
        self._say(commands.close)
        case = self.night.engine.case(CASE)
        assert case.report.state is ReportState.SIGNED
        assert not case.is_signed_for_another

    def _say(self, command: Callable[..., commands.Facts]) -> None:
        self.night.engine.execute(CASE, command, at(self.minutes))

    def check(self) -> None:
        """Look at everything that must hold after any step."""
        history = self.night.store.versions_of(CASE)
        assert history[: len(self.kept)] == self.kept
        self.kept = history
        states.ensure_history(history)
        assert all(verify(one.signature, one.digest) for one in history)
        case = self.night.engine.case(CASE)
        versions = [one.version for one in history]
        assert [one.version for one in case.report.versions] == [one.version for one in versions]
        assert [one.content_hash for one in case.report.versions] == [one.digest for one in history]
        assert (case.report.signed_at is not None) == states.has_final(versions)
        standing = states.in_force(versions)
        assert (case.report.standing is None) == (not standing)
        withdrawn = states.withdrawn(versions)
        assert {one.version for one in standing}.isdisjoint(withdrawn)
        hidden = [one for one in versions if one.kind is K.ADDENDUM and one in standing and standing[0] is one]
        assert not hidden
        self._check_patient(case, standing)
        assert case.is_closed or self.night.store.timers_of(CASE)

    def _check_patient(self, case: Case, standing: tuple[object, ...]) -> None:
        if case.report.standing is None:
            return
        signed_for = next(
            one.version.patient_key for one in self.kept if one.version.version == case.report.standing.version
        )
        assert signed_for == case.report.standing.patient_key
        assert case.is_signed_for_another == (signed_for != case.patient_key)


def play(store: Store, keys: Path, steps: list[tuple[object, ...]]) -> None:
    told = Told(store, keys)
    for step in steps:
        told.do(step)
        told.check()
    events = store.events_of(CASE)
    verify_chain(CASE, events)
    assert fold(events) == told.night.engine.case(CASE)


@given(steps=_STEPS)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_versions_only_grow_and_the_case_says_what_is_stored(steps: list[tuple[object, ...]]) -> None:
    with TemporaryDirectory() as directory:
        play(memory_store(), Path(directory) / "keys", steps)


@given(steps=_STEPS)
@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_versions_only_grow_in_a_database_too(steps: list[tuple[object, ...]]) -> None:
    with TemporaryDirectory() as directory:
        database = Database(sqlite_url(Path(directory) / "oncall.sqlite"))
        database.create_tables()
        try:
            play(SqlStore(database), Path(directory) / "keys", steps)
        finally:
            database.close()
