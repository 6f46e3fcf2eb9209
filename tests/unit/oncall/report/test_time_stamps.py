"""RFC 3161 time stamps against `openssl ts`: asked for, verified, fetched later, never in the way of a signature."""

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from foundation.database import Database
from foundation.errors import Refused, Unavailable
from oncall.case.event import CaseId
from oncall.report import store
from oncall.report.time_stamping import EVERY_S, WAIT_S_MAX, TimeStamping
from oncall.report.time_stamps import Rfc3161TimeStamper, request, roots_of, signature_digest, verified_at
from tests.harness import reports
from tests.harness.time_stamping_authority import Authority, serving

DIGEST = hashlib.sha256(b"a signature").hexdigest()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tsa") / "one")


@pytest.fixture
def url(authority: Authority) -> Iterator[str]:
    authority.is_down = False
    with serving(authority) as at:
        yield at


def test_openssl_reads_the_request_as_one_over_the_digest(authority: Authority) -> None:
    (authority.directory / "mine.tsq").write_bytes(request(DIGEST, (1 << 62) + 7))

    read = authority.openssl("ts", "-query", "-in", "mine.tsq", "-text").stdout.decode()

    shown = "".join(line[11:59] for line in read.splitlines() if line.startswith("    00"))
    assert shown.replace(" ", "").replace("-", "") == DIGEST
    assert "Hash Algorithm: sha256" in read
    assert "Certificate required: yes" in read
    assert "0x4000000000000007" in read


def test_an_answer_is_verified_by_openssl_and_by_us(authority: Authority, url: str) -> None:
    answer = Rfc3161TimeStamper(url, roots_of(authority.roots)).stamp(DIGEST)

    (authority.directory / "kept.tsr").write_bytes(answer)
    judged = authority.openssl("ts", "-verify", "-digest", DIGEST, "-in", "kept.tsr", "-CAfile", "ca.pem")
    assert judged.returncode == 0, judged.stderr.decode()
    stamped_at = verified_at(answer, DIGEST, roots_of(authority.roots))
    assert stamped_at is not None
    assert abs(datetime.now(tz=UTC) - stamped_at) < timedelta(minutes=5)


def test_each_request_has_a_nonce_of_its_own(authority: Authority, url: str) -> None:
    stamper = Rfc3161TimeStamper(url, roots_of(authority.roots))
    authority.queries.clear()
    for _ in range(2):
        stamper.stamp(DIGEST)

    assert len(set(authority.queries)) == 2


def test_a_stamp_is_over_one_digest_and_by_one_authority(authority: Authority, url: str, tmp_path: Path) -> None:
    answer = Rfc3161TimeStamper(url, roots_of(authority.roots)).stamp(DIGEST)
    other = Authority(tmp_path / "other", "other")

    assert verified_at(answer, hashlib.sha256(b"another").hexdigest(), roots_of(authority.roots)) is None
    assert verified_at(answer, DIGEST, roots_of(other.roots)) is None
    assert verified_at(answer, DIGEST, roots_of(authority.roots), nonce=1) is None
    assert verified_at(b"no answer", DIGEST, roots_of(authority.roots)) is None
    with pytest.raises(Unavailable, match="cannot be verified"):
        Rfc3161TimeStamper(url, roots_of(other.roots)).stamp(DIGEST)


def test_no_byte_of_what_is_stamped_can_be_changed(authority: Authority, url: str) -> None:
    roots = roots_of(authority.roots)
    answer = Rfc3161TimeStamper(url, roots).stamp(DIGEST)
    place = answer.index(bytes.fromhex(DIGEST))

    for position in range(place, place + 32):
        changed = bytearray(answer)
        changed[position] ^= 1
        assert verified_at(bytes(changed), DIGEST, roots) is None
        assert verified_at(bytes(changed), bytes(changed[place : place + 32]).hex(), roots) is None


def test_an_authority_that_is_down_is_said_to_be_unavailable(authority: Authority, url: str) -> None:
    authority.is_down = True
    stamper = Rfc3161TimeStamper(url, roots_of(authority.roots))
    with pytest.raises(Unavailable, match="status 503"):
        stamper.stamp(DIGEST)
    nobody = Rfc3161TimeStamper("http://127.0.0.1:9/", roots_of(authority.roots), timeout_s=1.0)
    with pytest.raises(Unavailable, match="does not answer"):
        nobody.stamp(DIGEST)


def test_settings_that_prove_nothing_are_refused(authority: Authority) -> None:
    with pytest.raises(Refused, match="root certificates"):
        Rfc3161TimeStamper("https://tsa.example.org", ())
    with pytest.raises(Refused, match="http or https"):
        Rfc3161TimeStamper("ftp://tsa.example.org", roots_of(authority.roots))
    with pytest.raises(Refused, match="no PEM"):
        roots_of(b"nothing")
    with pytest.raises(ValueError, match="32 bytes"):
        request("ab", 1 << 60)


def test_versions_are_stamped_when_the_authority_answers_again(
    database: Database, authority: Authority, url: str, tmp_path: Path
) -> None:
    signed = [reports.signed(tmp_path, case_id=CaseId(f"case-{number}")) for number in range(3)]
    with database.write(durable=True) as connection:
        for one in signed:
            store.insert(connection, one)
    roots = roots_of(authority.roots)
    stamping = TimeStamping(database, Rfc3161TimeStamper(url, roots))

    authority.is_down = True
    assert [stamping.round(), stamping.round()] == [0, 0]
    assert stamping.wait_s == EVERY_S * 4
    for _ in range(20):
        stamping.round()
    assert stamping.wait_s == WAIT_S_MAX
    authority.is_down = False
    assert stamping.round() == 3
    assert (stamping.round(), stamping.wait_s) == (0, EVERY_S)

    with database.read() as connection:
        for one in signed:
            kept = store.find(connection, one.version.case_id, 1)
            assert kept is not None
            assert kept.time_stamp is not None
            assert verified_at(kept.time_stamp, signature_digest(kept.signature), roots) is not None
