"""One night may pass from one provider to another: hours, holidays, the baton at 23:30, clock changes."""

from dataclasses import replace
from datetime import time

import pytest

from foundation.errors import PeerError, Refused
from oncall.directory import Directory, Provider, ProviderHours, ProviderId, ProviderKind, Site, SiteId
from oncall.rota.model import Roster
from oncall.rota.timeline import Timeline, provider_on
from tests.unit.oncall.rota.timeline_parts import NIGHT, line, span, turns, utc

EVERY_DAY = frozenset(range(7))
POOL, COMPANY, GROUP = ProviderId("pool"), ProviderId("company"), ProviderId("group")


def provider(provider_id: ProviderId, *hours: ProviderHours, zone: str = "Europe/Paris") -> Provider:
    return Provider(
        provider_id=provider_id, name=provider_id, kind=ProviderKind.PUBLIC_POOL, time_zone=zone, hours=hours
    )


# PIMM Centre-Val de Loire: the public pool until 23:30 and on weekends and holidays by day, then a private company.
PROVIDERS = {
    POOL: provider(
        POOL,
        ProviderHours(weekdays=EVERY_DAY, start=time(18, 30), end=time(23, 30)),
        ProviderHours(weekdays=frozenset({5, 6}), start=time(8, 30), end=time(18, 30), on_holidays=True),
    ),
    COMPANY: provider(COMPANY, ProviderHours(weekdays=EVERY_DAY, start=time(23, 30), end=time(8, 30))),
    GROUP: provider(GROUP),
}
SITE = Site(
    site_id=SiteId("orleans"),
    name="Orléans",
    time_zone="Europe/Paris",
    commune="45234",
    provider_order=(POOL, COMPANY),
)
DIRECTORY = Directory(sites={SITE.site_id: SITE}, persons={}, providers=PROVIDERS)


@pytest.mark.parametrize(
    ("at", "serving"),
    [
        pytest.param("2026-02-04T17:29:59", [], id="nobody on a workday"),
        pytest.param("2026-02-04T17:30", [POOL], id="18:30"),
        pytest.param("2026-02-04T22:29:59", [POOL], id="a second before the baton"),
        pytest.param("2026-02-04T22:30", [COMPANY], id="the baton at 23:30"),
        pytest.param("2026-02-05T07:29:59", [COMPANY], id="until 08:30 of the next day"),
        pytest.param("2026-02-05T07:30", [], id="08:30"),
        pytest.param("2026-02-07T12:00", [POOL], id="Saturday by day"),
        pytest.param("2026-05-14T12:00", [POOL], id="Ascension, a Thursday"),
        pytest.param("2026-10-25T07:29:59", [COMPANY], id="the long night"),
        pytest.param("2026-10-25T07:30", [POOL], id="the Sunday after it"),
    ],
)
def test_the_night_passes_from_the_pool_to_the_company(at: str, serving: list[ProviderId]) -> None:
    assert list(provider_on(SITE, utc(at), DIRECTORY)) == serving


def test_a_holiday_is_the_sites_and_not_the_providers() -> None:
    saint_stephen = utc("2025-12-26T12:00")

    assert provider_on(SITE, saint_stephen, DIRECTORY) == ()
    assert provider_on(replace(SITE, commune="67482"), saint_stephen, DIRECTORY) == (POOL,)


def test_without_hours_a_provider_always_serves_and_the_order_is_the_sites() -> None:
    site = replace(SITE, provider_order=(COMPANY, GROUP, POOL))

    assert provider_on(site, utc("2026-02-04T18:00"), DIRECTORY) == (GROUP, POOL)


def test_hours_are_of_the_providers_clocks() -> None:
    # It is 18:30 in Saint-Denis at 14:30Z.
    reunion = provider(
        POOL, ProviderHours(weekdays=EVERY_DAY, start=time(18, 30), end=time(23, 30)), zone="Indian/Reunion"
    )
    directory = replace(DIRECTORY, providers={**PROVIDERS, POOL: reunion})

    assert provider_on(SITE, utc("2026-02-04T14:30"), directory) == (POOL,)
    assert provider_on(SITE, utc("2026-02-04T19:30"), directory) == ()


def test_in_a_repeated_hour_both_serve_and_in_a_missing_one_the_next_takes_over_at_once() -> None:
    at_half_past_two = {
        POOL: provider(POOL, ProviderHours(weekdays=EVERY_DAY, start=time(18, 30), end=time(2, 30))),
        COMPANY: provider(COMPANY, ProviderHours(weekdays=EVERY_DAY, start=time(2, 30), end=time(8, 30))),
    }
    directory = replace(DIRECTORY, providers=at_half_past_two)

    assert [
        len(provider_on(SITE, utc(f"2026-10-25T{at}"), directory)) for at in ("00:29", "00:30", "01:29", "01:30")
    ] == [1, 2, 2, 1]
    assert provider_on(SITE, utc("2026-03-29T00:59:59"), directory) == (POOL,)
    assert provider_on(SITE, utc("2026-03-29T01:00"), directory) == (COMPANY,)


def test_hours_that_the_clocks_leave_out_are_nobodys() -> None:
    short = provider(POOL, ProviderHours(weekdays=EVERY_DAY, start=time(2, 10), end=time(2, 50)))
    directory = replace(DIRECTORY, providers={**PROVIDERS, POOL: short})

    assert provider_on(SITE, utc("2026-03-29T01:00"), directory) == (COMPANY,)


def test_a_provider_that_is_not_in_the_directory_is_an_error_and_not_nobody() -> None:
    with pytest.raises(PeerError, match="gone"):
        provider_on(replace(SITE, provider_order=(ProviderId("gone"),)), utc("2026-02-04T18:00"), DIRECTORY)


def test_whoever_serves_a_site_is_of_the_providers_that_serve_it_now_in_its_order() -> None:
    lines = (
        line(NIGHT),
        replace(line(NIGHT, line_id="company-1"), provider_id=COMPANY),
        replace(line(NIGHT, line_id="elsewhere"), sites=frozenset({SiteId("tours")})),
    )
    rotations = tuple(
        replace(turns(who, "2026-01-01"), line_id=one.line_id) for who, one in zip("ABC", lines, strict=True)
    )
    roster = Roster(version="1", lines=lines, rotations=rotations)
    timeline = Timeline(roster, DIRECTORY, span("2026-02-01T00:00", "2026-02-08T00:00"))

    assert [shift.person_id for shift in timeline.on_duty_for(SITE.site_id, utc("2026-02-04T22:29"))] == ["A"]
    assert [shift.person_id for shift in timeline.on_duty_for(SITE.site_id, utc("2026-02-04T22:30"))] == ["B"]
    with pytest.raises(Refused, match="not in the directory"):
        timeline.on_duty_for(SiteId("nowhere"), utc("2026-02-04T22:30"))
