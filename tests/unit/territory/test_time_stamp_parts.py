"""Settings of the time-stamping authority: nothing without the table, and nothing that nobody could verify."""

from pathlib import Path

import pytest

from foundation.errors import Refused
from oncall.report.time_stamps import verified_at
from territory.settings import InvalidSettings, Settings, parse
from territory.time_stamp_parts import make_time_stamper
from tests.harness.time_stamping_authority import Authority, serving

DIGEST = "ab" * 32


def settings(tables: str) -> Settings:
    smallest = '[archive]\ndata_dir = "/srv/telegarde"\n[dicom]\naet = ["TELEGARDE"]\n'
    return parse((smallest + tables).encode(), source="telegarde.toml", environment={})


def test_without_the_table_nobody_stamps() -> None:
    assert make_time_stamper(settings("").oncall) is None


def test_the_named_authority_is_asked_and_verified_with_the_named_roots(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "tsa")
    roots_file = tmp_path / "roots.pem"
    roots_file.write_bytes(authority.roots)
    with serving(authority) as url:
        made = make_time_stamper(settings(f'[oncall.time_stamps]\nurl = "{url}"\nroots_file = "{roots_file}"\n').oncall)
        assert made is not None
        answer = made.stamp(DIGEST)

    assert verified_at(answer, DIGEST, made.roots) is not None


def test_an_authority_without_roots_or_of_another_scheme_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings) as caught:
        settings('[oncall.time_stamps]\nurl = "ftp://tsa.example.org"\nroots_file = "/etc/roots.pem"\n')
    assert [problem.key for problem in caught.value.problems] == ["oncall.time_stamps.url"]
    with pytest.raises(InvalidSettings, match="roots_file"):
        settings('[oncall.time_stamps]\nurl = "https://tsa.example.org"\n')
    (tmp_path / "roots.pem").write_text("nothing")
    named = settings(f'[oncall.time_stamps]\nurl = "https://a.example"\nroots_file = "{tmp_path}/roots.pem"\n')
    with pytest.raises(Refused, match="no PEM certificate"):
        make_time_stamper(named.oncall)
