"""What can be set about routing: which studies go on to whom, how, and which sites are watched for silence.

For: the values, like `territory.settings_model`. Not for: how they fit together (`territory.settings_checks`), or
acting on them (`pacs.routing`).
"""

# ruff: noqa: RUF009  # `setting` and `required` are dataclasses.field with a reader

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from pacs.routing.hours import NotHours, Weekday, parse_hours
from territory import settings_messages as messages
from territory.settings_reader import (
    Invalid,
    absolute_path,
    ae_title,
    boolean,
    choice,
    list_of,
    number,
    required,
    setting,
    text,
    whole_number,
)

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", re.ASCII)
_MODALITY: Final = re.compile(r"[A-Z0-9_]{1,16}", re.ASCII)


class RouteUrgency(StrEnum):
    """Which studies a route is for."""

    ANY = "any"
    EMERGENCY = "emergency"  # those whose order has the priority STAT or HIGH


def _matching(pattern: re.Pattern[str], complaint: str) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if not pattern.fullmatch(text(value)):
            raise Invalid(complaint)
        return str(value)

    return read


routing_name: Final = _matching(_NAME, messages.ROUTING_NAME_WANTED)
_modality: Final = _matching(_MODALITY, messages.MODALITY_WANTED)


def _hours(value: Any) -> str:
    try:
        parse_hours(text(value))
    except NotHours:
        raise Invalid(messages.HOURS_WANTED) from None
    return str(value)


def _time_zone(value: Any) -> str:
    try:
        ZoneInfo(text(value))
    except (ValueError, OSError):
        raise Invalid(messages.TIME_ZONE_WANTED) from None
    return str(value)


@dataclass(frozen=True, kw_only=True, slots=True)
class Routing:
    """`[routing]`: what all routes and watched sites share."""

    time_zone: str = setting(_time_zone, "Europe/Paris")
    watch_every_site: bool = setting(boolean, False)
    probe_every_s: float = setting(number(1, 3_600), 30.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Destination:
    """One entry of `[[destinations]]`: a peer of this file, or a DICOMweb node, that studies go on to."""

    name: str = required(routing_name)
    aet: str | None = setting(ae_title, None)
    url: str | None = setting(text, None)
    username: str = setting(text, "")
    password_file: Path | None = setting(absolute_path, None)
    token_file: Path | None = setting(absolute_path, None)
    ca_file: Path | None = setting(absolute_path, None)
    bandwidth_bytes_per_s: int | None = setting(whole_number(1_000, 10**11), None)
    associations_max: int = setting(whole_number(1, 16), 2)
    first_wait_s: float = setting(number(1, 3_600), 10.0)
    wait_max_s: float = setting(number(1, 86_400), 900.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Route:
    """One entry of `[[routes]]`: studies for which everything that is given holds go to its destinations."""

    name: str = required(routing_name)
    destinations: tuple[str, ...] = required(list_of(routing_name))
    sites: tuple[str, ...] = setting(list_of(text), ())
    issuers: tuple[str, ...] = setting(list_of(text), ())
    calling_aets: tuple[str, ...] = setting(list_of(ae_title), ())
    modalities: tuple[str, ...] = setting(list_of(_modality), ())
    urgency: RouteUrgency = setting(choice(RouteUrgency), RouteUrgency.ANY)
    hours: str = setting(_hours, "")
    days: tuple[Weekday, ...] = setting(list_of(choice(Weekday)), ())


@dataclass(frozen=True, kw_only=True, slots=True)
class WatchedSite:
    """One entry of `[[watched_sites]]`: a hospital whose silence is told."""

    site: str = required(text)
    silent_after_s: float | None = setting(number(60, 2_592_000), None)
    hours: str = setting(_hours, "")
    days: tuple[Weekday, ...] = setting(list_of(choice(Weekday)), ())
    echo_peers: tuple[str, ...] = setting(list_of(ae_title), ())
