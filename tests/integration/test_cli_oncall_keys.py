"""``telegarde oncall keys`` on a data directory of its own: who signs, a new key, a key that signs nothing more."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from foundation.clock import ManualClock
from foundation.database import Database, sqlite_url
from foundation.errors import Refused
from oncall.report import store
from territory import cli, cli_oncall
from territory.oncall_process import SIGNING_KEYS
from tests.harness import reports

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)


def asked(capsys: pytest.CaptureFixture[str], data: Path, *arguments: str) -> dict[str, Any]:
    parsed = cli.build_parser().parse_args(["oncall", "keys", *arguments, "--data", str(data), "--json"])
    capsys.readouterr()
    assert cli_oncall.run(parsed, ManualClock(NOW)) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def sign(data: Path, **changed: object) -> str:
    signed = reports.signed(data / SIGNING_KEYS, **changed)
    database = Database(sqlite_url(data / "index.sqlite"))
    database.create_tables()
    with database.write(durable=True) as connection:
        store.insert(connection, signed)
    database.close()
    return signed.signature.key_id


def test_a_key_is_listed_revoked_and_changed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key_id = sign(tmp_path)
    (listed,) = asked(capsys, tmp_path, "list")["keys"]
    assert (listed["key_id"], listed["holder"], listed["revoked_at"]) == (key_id, reports.AUTHOR.person_id, None)

    revoked = asked(capsys, tmp_path, "revoke", key_id, "--reason", "lost laptop", "--by", "admin")
    assert (revoked["revoked_at"], revoked["revoked_by"]) == ("2026-11-22T10:00:00+00:00", "admin")
    with pytest.raises(Refused, match="keys rotate"):
        sign(tmp_path, version=2)
    made = asked(capsys, tmp_path, "rotate", reports.AUTHOR.person_id)["key_id"]

    assert sign(tmp_path, version=2) == made != key_id
    assert len(asked(capsys, tmp_path, "list", "--holder", reports.AUTHOR.person_id)["keys"]) == 2
    assert asked(capsys, tmp_path, "list", "--holder", "nobody")["keys"] == []
    private = [path.read_bytes().hex() for path in (tmp_path / SIGNING_KEYS).iterdir()]
    assert not any(key in json.dumps(asked(capsys, tmp_path, "list")) for key in private)


def test_a_key_that_never_signed_is_not_revoked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sign(tmp_path)

    with pytest.raises(Refused, match="no such signing key"):
        asked(capsys, tmp_path, "revoke", "nobody#00", "--reason", "x")
