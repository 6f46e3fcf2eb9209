"""Keys in files: made once, private to their owner, changed without making old signatures void."""

import stat
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from foundation.errors import Unavailable
from oncall.report.canonical import digest_of
from oncall.report.signing import NODE, Ed25519Keys, holder_of, is_proved, verify
from tests.harness import reports

DIGEST = "ab" * 32


def test_a_signature_is_over_its_digest_and_no_other(tmp_path: Path) -> None:
    signature = Ed25519Keys(tmp_path / "keys").sign("dr-roux", DIGEST)

    assert verify(signature, DIGEST)
    assert not verify(signature, "ac" * 32)
    assert holder_of(signature) == "dr-roux"


def test_no_byte_of_a_signature_can_be_changed(tmp_path: Path) -> None:
    signature = Ed25519Keys(tmp_path / "keys").sign("dr-roux", DIGEST)

    for position in range(len(signature.value)):
        value = bytearray(signature.value)
        value[position] ^= 1
        assert not verify(replace(signature, value=bytes(value)), DIGEST)


def test_a_key_of_another_cannot_carry_a_signer_s_name(tmp_path: Path) -> None:
    keys = Ed25519Keys(tmp_path / "keys")
    mine, other = keys.sign("dr-roux", DIGEST), keys.sign("dr-petit", DIGEST)

    assert not verify(replace(other, key_id=mine.key_id), DIGEST)
    assert not verify(replace(other, algorithm="rsa"), DIGEST)
    assert not verify(replace(mine, public_key=b"short"), DIGEST)


def test_a_key_is_made_once_and_kept(tmp_path: Path) -> None:
    first = Ed25519Keys(tmp_path / "keys").sign("dr-roux", DIGEST)
    again = Ed25519Keys(tmp_path / "keys").sign("dr-roux", DIGEST)

    assert first == again
    assert Ed25519Keys(tmp_path / "keys").public_key_of("dr-roux") == first.public_key


def test_only_the_owner_may_read_keys(tmp_path: Path) -> None:
    Ed25519Keys(tmp_path / "data" / "keys").sign(NODE, DIGEST)

    directory = tmp_path / "data" / "keys"
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert [stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()] == [0o600]


def test_many_that_make_the_first_key_at_once_use_one(tmp_path: Path) -> None:
    keys = Ed25519Keys(tmp_path / "keys")

    with ThreadPoolExecutor(8) as pool:
        made = set(pool.map(lambda _: keys.sign("dr-roux", DIGEST).public_key, range(32)))

    assert len(made) == 1


def test_old_signatures_stay_true_after_a_key_change(tmp_path: Path) -> None:
    keys = Ed25519Keys(tmp_path / "keys")
    old = keys.sign("dr-roux", DIGEST)
    name = keys.rotate("dr-roux")
    new = keys.sign("dr-roux", DIGEST)

    assert name == new.key_id != old.key_id
    assert verify(old, DIGEST)
    assert verify(new, DIGEST)
    assert len(list((tmp_path / "keys").glob("dr-roux.*.retired"))) == 1


def test_ids_that_are_no_file_names_have_keys_too(tmp_path: Path) -> None:
    keys = Ed25519Keys(tmp_path / "keys")
    odd = keys.sign("../../Ünder^x", DIGEST)

    assert verify(odd, DIGEST)
    assert holder_of(odd) == "../../Ünder^x"
    assert {path.parent for path in tmp_path.rglob("*.key")} == {tmp_path / "keys"}


def test_a_damaged_key_signs_nothing(tmp_path: Path) -> None:
    keys = Ed25519Keys(tmp_path / "keys")
    keys.sign("dr-roux", DIGEST)
    (tmp_path / "keys" / "dr-roux.key").write_bytes(b"short")

    with pytest.raises(Unavailable, match="damaged"):
        keys.sign("dr-roux", DIGEST)


def test_a_directory_that_cannot_be_made_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(Unavailable, match="check their directory"):
        Ed25519Keys(tmp_path / "file" / "keys").sign("dr-roux", DIGEST)


def test_a_version_is_proved_by_its_author_s_key_over_its_own_words(tmp_path: Path) -> None:
    signed = reports.signed(tmp_path)
    other = Ed25519Keys(tmp_path).sign("dr-petit", signed.digest)
    changed = replace(signed.version, content=reports.content(results="other words"))

    assert is_proved(signed)
    assert not is_proved(replace(signed, signature=other))
    assert not is_proved(replace(signed, version=changed))
    assert not is_proved(replace(signed, version=changed, digest=digest_of(changed)))
