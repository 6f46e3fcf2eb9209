"""Settings of routes, destinations and watched sites: what does not fit together is said with its key."""

import json
from pathlib import Path

import pytest

from foundation.errors import Refused
from pacs.routing.hours import Weekday, parse_hours
from territory.routing_parts import destination_policy, has_routing, routing_rules, watch_plan, web_service
from territory.settings import InvalidSettings, Settings, parse

SMALLEST = """
[archive]
data_dir = "/srv/telegarde"
[dicom]
aet = ["TELEGARDE"]
[[peers]]
aet = "CHU"
host = "10.0.0.1"
port = 104
[[peers]]
aet = "SILENT"
"""
CHU = {"name": "chu", "aet": "CHU"}
WEB = {"name": "web", "url": "https://pacs.example.org/dicom-web"}


def table(name: str, keys: dict[str, object]) -> str:
    return "\n".join([f"[[{name}]]", *(f"{key} = {json.dumps(value)}" for key, value in keys.items()), ""])


def read(*tables: tuple[str, dict[str, object]]) -> Settings:
    toml = SMALLEST + "".join(table(name, keys) for name, keys in tables)
    return parse(toml.encode(), source="telegarde.toml", environment={})


def problems(*tables: tuple[str, dict[str, object]]) -> list[str]:
    with pytest.raises(InvalidSettings) as caught:
        read(*tables)
    return [problem.key for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({"name": "both", "aet": "CHU", "url": "https://pacs.example.org"}, "aet"),
        ({"name": "neither"}, "aet"),
        ({"name": "unknown", "aet": "NOBODY"}, "aet"),
        ({"name": "silent", "aet": "SILENT"}, "aet"),
        ({"name": "plain", "url": "http://pacs.example.org/dicom-web"}, "url"),
        ({"name": "lookalike", "url": "http://localhost.example.org/dicom-web"}, "url"),
        ({"name": "nameless", "url": "https://"}, "url"),
        ({"name": "half", "url": "https://pacs.example.org", "username": "me"}, "username"),
        ({"name": "pointless", "aet": "CHU", "ca_file": "/etc/ca.crt"}, "ca_file"),
        ({"name": "with space", "aet": "CHU"}, "name"),
        ({"name": "slow", "aet": "CHU", "bandwidth_bytes_per_s": 10}, "bandwidth_bytes_per_s"),
    ],
    ids=lambda value: value["name"] if isinstance(value, dict) else value,
)
def test_a_destination_that_does_not_fit_is_refused(keys: dict[str, object], problem: str) -> None:
    assert problems(("destinations", keys)) == [f"destinations[1].{problem}"]


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({"name": "r", "destinations": []}, "destinations"),
        ({"name": "r", "destinations": ["elsewhere"]}, "destinations"),
        ({"name": "r", "destinations": ["chu"], "hours": "18h-8h"}, "hours"),
        ({"name": "r", "destinations": ["chu"], "days": ["lundi"]}, "days"),
        ({"name": "r", "destinations": ["chu"], "modalities": ["ct"]}, "modalities"),
        ({"name": "r", "destinations": ["chu"], "urgency": "soon"}, "urgency"),
        ({"name": "r", "destinations": ["chu"], "modality": ["CT"]}, "modality"),
    ],
    ids=["none", "unknown", "hours", "days", "modalities", "urgency", "misspelt"],
)
def test_a_route_that_does_not_fit_is_refused(keys: dict[str, object], problem: str) -> None:
    assert problems(("destinations", CHU), ("routes", keys)) == [f"routes[1].{problem}"]


def test_names_are_given_once_and_machines_can_be_called() -> None:
    assert problems(
        ("destinations", CHU), ("destinations", CHU),
        ("watched_sites", {"site": "north", "echo_peers": ["SILENT", "CHU"]}),
    ) == ["destinations[2].name", "watched_sites[1].echo_peers"]  # fmt: skip


def test_settings_become_rules_policies_and_plans() -> None:
    settings = read(
        ("destinations", {**CHU, "bandwidth_bytes_per_s": 1_000_000, "first_wait_s": 5}),
        ("routes", {"name": "night", "destinations": ["chu"], "hours": "18:00-08:00", "days": ["friday"],
                    "urgency": "emergency", "modalities": ["CT"]}),
        ("watched_sites", {"site": "north", "silent_after_s": 3600, "echo_peers": ["CHU"]}),
    )  # fmt: skip

    rules = routing_rules(settings)
    assert (rules.rules[0].name, rules.rules[0].is_for_emergencies) == ("night", True)
    assert rules.rules[0].hours == parse_hours("18:00-08:00", frozenset({Weekday.FRIDAY}))
    assert (dict(rules.ae_titles), str(rules.zone)) == ({"chu": "CHU"}, "Europe/Paris")
    policy = destination_policy(settings.destinations[0])
    assert (policy.ae_title, policy.bandwidth_bytes_per_s, policy.retry.first_wait_s) == ("CHU", 1_000_000, 5.0)
    assert watch_plan(settings.watched_sites[0]).silent_after_s == 3600
    assert has_routing(settings)
    assert has_routing(read(("destinations", CHU))), "what is queued for it still goes"
    assert not has_routing(read())


def test_the_secrets_of_a_web_destination_come_from_files_and_are_not_shown(tmp_path: Path) -> None:
    token, missing = tmp_path / "token", tmp_path / "missing"
    token.write_text("very-secret\n")
    (found,) = read(("destinations", {**WEB, "token_file": str(token)})).destinations
    service = web_service(found)
    assert service.authorization == "Bearer very-secret"
    assert "very-secret" not in repr(service)

    assert problems(("destinations", {**WEB, "token_file": str(missing)})) == ["destinations[1].token_file"]
    (broken,) = read(("destinations", {**WEB, "ca_file": str(missing)})).destinations
    with pytest.raises(Refused, match="destination web: ca_file"):
        web_service(broken)
    token.unlink()
    with pytest.raises(Refused, match="destination web: token_file"):
        web_service(found)
