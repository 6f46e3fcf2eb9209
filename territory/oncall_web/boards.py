"""Boards of what still wants somebody: critical findings, second readings, deliveries that have not arrived.

For: lists with their countdowns, each line leading to its case. Not for: acting, which the page of a case does.

Invariants: only cases of the holder's hospitals; findings are shown to who treats, reads or coordinates; a board that
cannot be read is an error, never an empty list.
"""

from typing import Any, Final
from zoneinfo import ZoneInfo

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from oncall.critical.calls import hospital_numbers
from oncall.critical.open_criticals import OpenCritical
from oncall.delivery.model import DeliveryState, DeliveryStatus
from oncall.directory import SiteId
from oncall.notify import case_code
from oncall.second_reading.board import PendingReading
from territory.oncall_web.access import Holder, May
from territory.oncall_web.app import Handler, Site
from territory.oncall_web.case_page import address
from territory.oncall_web.report_reading import report_rows
from territory.oncall_web.texts import language_of, text
from territory.oncall_web.texts_events import reason_words

_CONCERNED: Final = frozenset({May.READ, May.REQUEST, May.COORDINATE})
_TERRITORY: Final = frozenset({May.READ, May.COORDINATE})


# Critical findings


def criticals(site: Site, request: Request, holder: Holder, sent: dict[str, Any]) -> Response:
    """Show the critical findings that are not closed, with whom to call."""
    del sent
    now, directory = site.desk.now(), site.desk.in_force().directory
    found = _criticals(site, holder)
    return site.page(
        request,
        "criticals.html",
        refresh_s=15,
        rows=[(one, case_code(one.case_id), address(one.case_id), (one.due_at - now).total_seconds()) for one in found],
        numbers={one.site_id: hospital_numbers(directory, one.site_id) for one in found},
        site_name=lambda key: _site_name(site, key),
        name_of=lambda key: _name(site, key),
        clock=lambda key, at: _clock(site, key, at),
    )


def criticals_json(site: Site, request: Request, holder: Holder, sent: dict[str, Any]) -> Response:
    """Return the critical findings that are not closed."""
    del request, sent
    return JSONResponse({"criticals": [_critical(one) for one in _criticals(site, holder)]})


def _criticals(site: Site, holder: Holder) -> list[OpenCritical]:
    found = site.desk.ask(lambda engine, now: engine.open_criticals(now))
    return [one for one in found if holder.may_see(one.site_id)]


def _critical(one: OpenCritical) -> dict[str, Any]:
    known = one.finding
    return {
        "case_id": one.case_id,
        "site": one.site_id,
        "critical_id": known.critical_id,
        "category": known.category,
        "state": known.state.value,
        "due_at": one.due_at.isoformat(),
        "is_overdue": one.is_overdue,
        "is_escalating": one.is_escalating,
        "finding": known.finding,
        "radiologist": known.radiologist,
        "recipient": known.recipient,
        "read_back": known.read_back,
        "acknowledged_by": known.acknowledged_by,
        "attempts": known.attempts,
        "missing": list(known.missing),
    }


# Second readings


def second_readings(site: Site, request: Request, holder: Holder, sent: dict[str, Any]) -> Response:
    """Show the second readings still to be made: mine first, then the next to be due; and discrepancies not closed."""
    del sent
    now = site.desk.now()
    mine, others = _pending(site, holder)
    found = site.desk.ask(lambda engine, at: engine.open_discrepancies(at))
    return site.page(
        request,
        "second_readings.html",
        groups=[("second.mine", mine), ("second.others", others)],
        discrepancies=[one for one in found if holder.may_see(one.site_id)],
        now=now,
        code=case_code,
        address=address,
        site_name=lambda key: _site_name(site, key),
        name_of=lambda key: _name(site, key),
        clock=lambda key, at: _clock(site, key, at, day=True),
        left=lambda at: (at - now).total_seconds(),
    )


def second_readings_json(site: Site, request: Request, holder: Holder, sent: dict[str, Any]) -> Response:
    """Return the second readings still to be made."""
    del request, sent
    now = site.desk.now()
    mine, others = _pending(site, holder)
    return JSONResponse(
        {
            "second_readings": [
                {
                    "case_id": one.case_id,
                    "site": one.site_id,
                    "exam": one.exam.value,
                    "reasons": list(one.reasons),
                    "earliest_at": one.earliest_at.isoformat(),
                    "due_at": one.due_at.isoformat(),
                    "is_blind": one.is_blind,
                    "assigned_to": one.assigned_to,
                    "is_overdue": one.is_overdue(now),
                }
                for one in (*mine, *others)
            ]
        }
    )


def _pending(site: Site, holder: Holder) -> tuple[list[PendingReading], list[PendingReading]]:
    found = site.desk.ask(lambda engine, now: engine.second_readings_due(now))
    seen = [one for one in found if holder.may_see(one.site_id)]
    return [one for one in seen if one.assigned_to == holder.who], [
        one for one in seen if one.assigned_to != holder.who
    ]


# Deliveries


def deliveries(site: Site, request: Request, holder: Holder, sent: dict[str, Any]) -> Response:
    """Show what is still on its way, or was given up."""
    del sent
    found = _on_their_way(site, holder)
    rows = [(one, key, case_code(one.delivery.case_id), address(one.delivery.case_id)) for one, key in found]
    return site.page(
        request,
        "deliveries.html",
        refresh_s=15,
        rows=rows,
        unread=[one for one in report_rows(site, request, holder) if one.state != "acknowledged"],
        recipient_of=lambda one: _recipient(site, one),
        clock=lambda key, at: _clock(site, key, at, day=True),
        channel_of=lambda one: text(f"way.{one.delivery.channel.value}", _language(request)),
        reason_of=lambda word: reason_words(word, _language(request)),
        is_given_up=lambda one: one.state is DeliveryState.GIVEN_UP,
    )


def deliveries_json(site: Site, request: Request, holder: Holder, sent: dict[str, Any]) -> Response:
    """Return what is still on its way."""
    del request, sent
    return JSONResponse({"deliveries": [delivery_json(one) for one, _ in _on_their_way(site, holder)]})


def delivery_json(one: DeliveryStatus) -> dict[str, Any]:
    """Return a delivery for programs."""
    return {
        "delivery_id": one.delivery.delivery_id,
        "case_id": one.delivery.case_id,
        "version": one.delivery.version,
        "kind": one.delivery.kind.value,
        "recipient": one.delivery.recipient,
        "channel": one.delivery.channel.value,
        "state": one.state.value,
        "attempts": one.attempts,
        "due_at": one.due_at.isoformat(),
        "reason": one.reason,
    }


def _on_their_way(site: Site, holder: Holder) -> list[tuple[DeliveryStatus, SiteId]]:
    found = site.rooms.deliveries.pending()
    sites = site.rooms.deliveries.sites(frozenset(one.delivery.case_id for one in found))
    of_cases = [(one, SiteId(sites.get(one.delivery.case_id, ""))) for one in found]
    return [(one, key) for one, key in of_cases if key and holder.may_see(key)]


def _recipient(site: Site, one: DeliveryStatus) -> str:
    named = one.delivery.recipient
    return _site_name(site, SiteId(named)) if named in site.desk.in_force().directory.sites else _name(site, named)


# Names


def _site_name(site: Site, site_id: SiteId) -> str:
    found = site.desk.in_force().directory.sites.get(site_id)
    return site_id if found is None else found.name


def _name(site: Site, person_id: str) -> str:
    found = {str(key): one.name for key, one in site.desk.in_force().directory.persons.items()}
    return found.get(person_id, person_id)


def _clock(site: Site, site_id: SiteId, at: Any, *, day: bool = False) -> str:
    found = site.desk.in_force().directory.sites.get(site_id)
    zone = ZoneInfo("UTC" if found is None else found.time_zone)
    return "" if at is None else at.astimezone(zone).strftime("%d/%m %H:%M %Z" if day else "%H:%M %Z")


def _language(request: Request) -> str:
    return language_of(request.headers.get("accept-language", ""))


BOARD_PAGES: Final[tuple[tuple[str, tuple[str, ...], frozenset[May], Handler], ...]] = (
    ("/oncall/criticals", ("GET",), _CONCERNED, criticals),
    ("/oncall/second-readings", ("GET",), _TERRITORY, second_readings),
    ("/oncall/deliveries", ("GET",), _CONCERNED, deliveries),
)
"""Address, methods, what a token must be good for, and who answers."""

BOARD_API: Final[tuple[tuple[str, tuple[str, ...], frozenset[May], Handler], ...]] = (
    ("/oncall/api/criticals", ("GET",), _CONCERNED, criticals_json),
    ("/oncall/api/second-readings", ("GET",), _TERRITORY, second_readings_json),
    ("/oncall/api/deliveries", ("GET",), _CONCERNED, deliveries_json),
)
