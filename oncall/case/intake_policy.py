"""Which studies that nobody announced are emergencies: by site, AE title, modality, body part and local hours.

Hours are wall time at the site (a night of a clock change included: an instant is looked up in local time, nothing is
added to it). What no rule names is no case by itself; it stays findable in the archive.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time
from typing import Final
from zoneinfo import ZoneInfo

from oncall.case.commands import HOUR_S
from oncall.directory import Directory, Site, SiteId, SubSpecialty
from oncall.reading.board import ExamKind, Urgency

IsPublicHoliday = Callable[[date, str], bool]
"""Tells whether a day is a public holiday in a commune (`oncall.public_holidays`)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OnCallHours:
    """Local wall time at the site, from `start` to `end` (of the next day when not later), on `weekdays` (Monday is 0).

    ``on_holidays`` adds the whole of every public holiday of the site's commune, midnight to midnight.
    """

    weekdays: frozenset[int]
    start: time
    end: time
    on_holidays: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class EmergencyRule:
    """Studies that open a case although nobody asked; an empty set means any.

    The first rule of a policy that fits decides. ``body_parts`` are compared with Body Part Examined in capitals.
    """

    name: str
    sites: frozenset[SiteId] = frozenset()
    ae_titles: frozenset[str] = frozenset()
    modalities: frozenset[str] = frozenset()
    body_parts: frozenset[str] = frozenset()
    hours: tuple[OnCallHours, ...] = ()
    exam: ExamKind = ExamKind.ABDOMEN
    urgency: Urgency = Urgency.P2
    needs: SubSpecialty = SubSpecialty.GENERAL


@dataclass(frozen=True, kw_only=True, slots=True)
class IntakePolicy:
    """Which studies are emergencies, and after how much quiet evidence completes images, or their way has stopped.

    Each is a time in seconds without a new instance. ``quiet_s`` completes images of which nothing else is known;
    ``association_quiet_s`` and ``commitment_quiet_s`` after the sender's association was released, or it has asked to
    commit to them; ``said_quiet_s`` after the radiographer, or the hospital's order, said that these are all without a
    number. While the scanner says that the exam is under way nothing is presumed before ``exam_quiet_s``; when a
    connection was cut in the middle of an image, not before ``cut_quiet_s``. Images that are known to be missing, or
    were cut off, have stalled after ``stalled_s``.
    """

    version: str
    rules: tuple[EmergencyRule, ...] = ()
    quiet_s: float = 90.0
    association_quiet_s: float = 45.0
    commitment_quiet_s: float = 45.0
    said_quiet_s: float = 10.0
    exam_quiet_s: float = 300.0
    cut_quiet_s: float = 600.0
    stalled_s: float = 120.0
    hour_s: float = HOUR_S
    target_s: Mapping[Urgency, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Unexpected:
    """What decides whether an unannounced study is an emergency."""

    site: Site
    calling_aet: str
    modalities: frozenset[str]
    body_part: str
    at: datetime


def rule_for(policy: IntakePolicy, study: Unexpected, is_public_holiday: IsPublicHoliday) -> EmergencyRule | None:
    """Return the first rule that makes the study an emergency, or None."""
    return next((rule for rule in policy.rules if _fits(rule, study, is_public_holiday)), None)


def _fits(rule: EmergencyRule, study: Unexpected, is_public_holiday: IsPublicHoliday) -> bool:
    return (
        (not rule.sites or study.site.site_id in rule.sites)
        and (not rule.ae_titles or study.calling_aet in rule.ae_titles)
        and (not rule.modalities or not rule.modalities.isdisjoint(study.modalities))
        and (not rule.body_parts or study.body_part.upper() in rule.body_parts)
        and (not rule.hours or any(is_within(hours, study.site, study.at, is_public_holiday) for hours in rule.hours))
    )


def is_within(hours: OnCallHours, site: Site, at: datetime, is_public_holiday: IsPublicHoliday) -> bool:
    """Tell whether an instant is within on-call hours at the site."""
    local = at.astimezone(ZoneInfo(site.time_zone))
    if hours.on_holidays and is_public_holiday(local.date(), site.commune):
        return True
    wall, today = local.time(), local.weekday()
    if hours.start < hours.end:
        return today in hours.weekdays and hours.start <= wall < hours.end
    yesterday = (today - 1) % 7
    return (today in hours.weekdays and wall >= hours.start) or (yesterday in hours.weekdays and wall < hours.end)


# Modality (0008,0060) of what is written about images: PS3.3 C.7.3.1.1.1.
_DOCUMENTS: Final = frozenset({"SR", "DOC", "KO"})


def site_of(directory: Directory, calling_aet: str, issuer: str) -> Site | None:
    """Return whose AE title it is, or else whose issuer; None when nobody's, or more than one site's."""
    by_aet = [site for site in directory.sites.values() if calling_aet in site.ae_titles]
    by_issuer = [site for site in directory.sites.values() if issuer and site.issuer == issuer]
    for found in ([site for site in by_aet if site in by_issuer], by_aet, by_issuer):
        if len(found) == 1:
            return found[0]
    return None


def is_document(directory: Directory, calling_aet: str, modalities: frozenset[str]) -> bool:
    """Say whether what came are reports about images, and no images: from no site's AE, and of document modalities.

    A report that is filed with its study is no late image, and asks nobody to look again.
    """
    is_from_site = any(calling_aet in site.ae_titles for site in directory.sites.values())
    return bool(modalities) and modalities <= _DOCUMENTS and not is_from_site
