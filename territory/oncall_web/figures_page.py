"""Pages and downloads of figures: the hour with all that belongs to it, the morning, the month, exams for billing.

For: who may see the figures (`May.FIGURES`, or who coordinates). Not for: counting (`oncall.figures`).

Invariants: a share is never shown alone, but with p95, p99, the longest, the wait of P1 and the lowest hospital; what
is of the whole territory is for who may see all of it; no patient is named.
"""

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from oncall.case.clocks import Clock
from oncall.case.event import CaseId
from oncall.figures import documents
from oncall.figures.row import Cause, Period
from oncall.figures.summary import Share
from oncall.figures.texts import cause_name, clock_name, dimension_name, duration_text, period_name, share_text, word
from oncall.language import Language
from oncall.notify import case_code
from territory.oncall_web.access import Holder, May
from territory.oncall_web.app import Forbidden, Handler, Site
from territory.oncall_web.case_page import address
from territory.oncall_web.report_page import pdf_answer
from territory.oncall_web.texts import language_of

_SEEN_BY: Final = frozenset({May.FIGURES, May.COORDINATE})


def figures(site: Site, request: Request, holder: Holder, sent: dict[str, Any]) -> Response:
    """Show the figures of a period."""
    del sent
    language, room = _language(request), site.rooms.figures
    since, until = request.query_params.get("since", ""), request.query_params.get("until", "")
    counted = room.counted(holder, since, until)

    def name_of(dimension: str, key: str) -> str:
        if dimension == "period" and key in set(Period):
            return period_name(Period(key), language)
        return counted.names.get(key, key) or word("none", language)

    return site.page(
        request,
        "figures.html",
        found=counted.summary,
        since=counted.since,
        until=counted.until,
        hour=counted.summary.hour,
        is_territory=not holder.sites,
        worst=counted.names.get(counted.summary.hour.worst_site or "", counted.summary.hour.worst_site),
        month=f"{counted.until:%Y-%m}",
        name_of=name_of,
        time=lambda seconds: duration_text(seconds, language),
        share=lambda one: share_text(one, language) if isinstance(one, Share) else "–",
        clock_name=lambda one: f"{Clock(one).value} {clock_name(one, language)}",
        cause_name=lambda one: cause_name(Cause(one), language),
        by=lambda one: f"{word('by', language)} {dimension_name(one, language)}",
        word=lambda one: word(one, language),
    )


def morning(site: Site, request: Request, holder: Holder, sent: dict[str, Any]) -> Response:
    """Show last night: what was late, why, and what its readers could have had in time."""
    del sent
    _ensure_territory(holder)
    language = _language(request)
    report = site.rooms.figures.morning(request.query_params.get("night", ""))
    names = site.desk.in_force().directory.sites
    return site.page(
        request,
        "morning.html",
        report=report,
        verdict=report.verdict,
        hour=report.figures.hour,
        late=[(one, case_code(CaseId(one.case_id)), address(CaseId(one.case_id))) for one in report.verdict.late],
        site_name=lambda key: names[key].name if key in names else key,
        time=lambda seconds: duration_text(seconds, language),
        share=lambda one: share_text(one, language) if isinstance(one, Share) else "–",
        cause_name=lambda one: cause_name(one, language),
        word=lambda one: word(one, language),
    )


def picture(site: Site, request: Request, holder: Holder, sent: dict[str, Any]) -> Response:
    """Return the pictures of a period as SVG."""
    del sent
    asked = request.query_params
    drawn = site.rooms.figures.picture(holder, asked.get("since", ""), asked.get("until", ""), _language(request))
    # The picture has styles of its own; as an image nothing of it can run.
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return Response(drawn, media_type="image/svg+xml", headers={"Content-Security-Policy": policy})


def monthly(site: Site, request: Request, holder: Holder, sent: dict[str, Any]) -> Response:
    """Return the report of a month as PDF; readers and fairness only for who coordinates."""
    del sent
    _ensure_territory(holder)
    month = request.query_params.get("month", "")
    body = site.rooms.figures.monthly(month, _language(request), with_people=May.COORDINATE in holder.may)
    return pdf_answer(body, f"telegarde-{month or 'month'}.pdf")


def billing(site: Site, request: Request, holder: Holder, sent: dict[str, Any]) -> Response:
    """Return the exams of a month for billing, as CSV."""
    del sent
    _ensure_territory(holder)
    month = request.query_params.get("month", "")
    # With a byte order mark, without which spreadsheets misread accents.
    body = site.rooms.figures.billing_csv(month).encode("utf-8-sig")
    headers = {"Content-Disposition": f'attachment; filename="billing-{month or "month"}.csv"'}
    return Response(body, media_type="text/csv; charset=utf-8", headers=headers)


def figures_json(site: Site, request: Request, holder: Holder, sent: dict[str, Any]) -> Response:
    """Return the figures of a period."""
    del sent
    asked = request.query_params
    counted = site.rooms.figures.counted(holder, asked.get("since", ""), asked.get("until", ""))
    return JSONResponse(documents.to_json(counted.summary, counted.names))


def _ensure_territory(holder: Holder) -> None:
    if holder.sites:
        raise Forbidden("this is of the whole territory; this token is for some hospitals", is_known=True)


def _language(request: Request) -> Language:
    return Language(language_of(request.headers.get("accept-language", "")))


FIGURES_PAGES: Final[tuple[tuple[str, tuple[str, ...], frozenset[May], Handler], ...]] = (
    ("/oncall/figures", ("GET",), _SEEN_BY, figures),
    ("/oncall/figures/plot.svg", ("GET",), _SEEN_BY, picture),
    ("/oncall/figures/morning", ("GET",), _SEEN_BY, morning),
    ("/oncall/figures/month.pdf", ("GET",), _SEEN_BY, monthly),
    ("/oncall/figures/billing.csv", ("GET",), _SEEN_BY, billing),
)
"""Address, methods, what a token must be good for, and who answers."""

FIGURES_API: Final[tuple[tuple[str, tuple[str, ...], frozenset[May], Handler], ...]] = (
    ("/oncall/api/figures", ("GET",), _SEEN_BY, figures_json),
)
