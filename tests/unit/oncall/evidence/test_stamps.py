"""Dossier and anchors time-stamped by `openssl ts`: verified by its roots, and not by another's."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from oncall.evidence.anchor_store import Anchors
from oncall.evidence.difference import What
from oncall.evidence.making import Evidence
from oncall.evidence.stamps import verify_stamps
from oncall.evidence.verification import verify
from oncall.report.time_stamps import Rfc3161TimeStamper, roots_of
from tests.harness.evidence_case import CASE, CLERK, Place
from tests.harness.small_territory import at, ready_case
from tests.harness.time_stamping_authority import Authority, serving


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tsa") / "one")


@pytest.fixture
def stamper(authority: Authority) -> Iterator[Rfc3161TimeStamper]:
    with serving(authority) as url:
        yield Rfc3161TimeStamper(url, roots_of(authority.roots))


def test_seal_and_anchor_are_stamped_and_proved_by_the_authoritys_clock(
    empty: Place, stamper: Rfc3161TimeStamper, tmp_path: Path
) -> None:
    ready_case(empty.engine, CASE, at(5))
    Anchors(empty.database, empty.keys, stamper).make(at(6))
    maker = Evidence(empty.database, empty.keys, stamper=stamper)
    dossier = maker.make(empty.engine, CASE, "north", at(7), actor=CLERK)
    assert verify(dossier.data).is_proven

    stamps = verify_stamps(dossier.sections, stamper.roots)
    others = verify_stamps(dossier.sections, roots_of(Authority(tmp_path / "other", "other").roots))

    assert (stamps.held, stamps.differences) == (2, ())
    assert stamps.sealed_at is not None
    assert abs(stamps.sealed_at - datetime.now(tz=UTC)) < timedelta(minutes=5)
    assert [(one.section, one.what) for one in others.differences] == [("seal", What.FORGED), ("anchors", What.FORGED)]


def test_a_dossier_whose_time_stamp_was_taken_off_is_not_proven(empty: Place, stamper: Rfc3161TimeStamper) -> None:
    ready_case(empty.engine, CASE, at(5))
    maker = Evidence(empty.database, empty.keys, stamper=stamper)
    dossier = maker.make(empty.engine, CASE, "north", at(7), actor=CLERK)
    stamp = dossier.sections["seal"]["time_stamp"].encode()

    bare = dossier.data.replace(b'"time_stamp":"' + stamp + b'"', b'"time_stamp":null')

    assert bare != dossier.data
    assert [one.section for one in verify(bare).differences] == ["seal"]
