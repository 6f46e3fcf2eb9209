"""The words in which a rule says no: which rule, which shift, what would make it right; in French and English.

Names of lines and local times only: no patient is ever in a roster, and people appear by their id elsewhere.
"""

from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from oncall.directory import LineId
from oncall.rota.model import Shift

# A hospital session has no line; where a rule names one, it appears as a shift of this line.
SESSION_LINE: Final = LineId("session")


def named(shift: Shift, zone: ZoneInfo) -> tuple[str, str]:
    """Return the shift in words (French, English): line and local times with their offsets at a clock change."""
    start, end = shift.span.start.astimezone(zone), shift.span.end.astimezone(zone)
    if start.utcoffset() == end.utcoffset():
        times = f"{start:%Y-%m-%d %H:%M}-{end:%H:%M}"
    else:
        times = f"{start:%Y-%m-%d %H:%M%z}-{end:%H:%M%z}"
    if shift.line_id == SESSION_LINE:
        return f"vacation hospitalière {times}", f"hospital session {times}"
    return f"{shift.line_id} {times}", f"{shift.line_id} {times}"


def hours(value: float) -> str:
    """Return hours without idle decimals: ``10``, ``10.25``."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def short_rest(first: Shift, second: Shift, rest_h: float, needed_h: float, zone: ZoneInfo) -> tuple[str, str]:
    """Two works with too little rest between them."""
    (first_fr, first_en), (second_fr, second_en) = named(first, zone), named(second, zone)
    return (
        (
            f"Repos insuffisant : {hours(rest_h)} h entre « {first_fr} » et « {second_fr} », "
            f"il en faut {hours(needed_h)} (repos de sécurité, arrêté du 30 avril 2003 ; R.6152-708)."
        ),
        (
            f"Too little rest: {hours(rest_h)} h between '{first_en}' and '{second_en}', {hours(needed_h)} are needed "
            "(arrêté of 30 April 2003; R.6152-708)."
        ),
    )


def long_run(first: Shift, last: Shift, length_h: float, limit_h: float, zone: ZoneInfo) -> tuple[str, str]:
    """More than the longest continuous work without the daily rest."""
    (first_fr, first_en), (last_fr, last_en) = named(first, zone), named(last, zone)
    return (
        (
            f"De « {first_fr} » à « {last_fr} » : {hours(length_h)} h sans repos quotidien de 11 h, au plus "
            f"{hours(limit_h)} h continues (R.6152-708)."
        ),
        (
            f"From '{first_en}' to '{last_en}': {hours(length_h)} h without the daily rest of 11 h, at most "
            f"{hours(limit_h)} h on end (R.6152-708)."
        ),
    )


def long_shift(
    shift: Shift, length_h: float, limit_h: float, zone: ZoneInfo, *, is_clock_change: bool
) -> tuple[str, str]:
    """A period of more than 14 h."""
    shift_fr, shift_en = named(shift, zone)
    because_fr = ", par le changement d'heure : à signaler, non interdit" if is_clock_change else ""
    because_en = ", by the clock change: flagged, not forbidden" if is_clock_change else ""
    return (
        (
            f"« {shift_fr} » dure {hours(length_h)} h, amplitude au plus {hours(limit_h)} h (arrêté du 30 avril 2003)"
            f"{because_fr}."
        ),
        (
            f"'{shift_en}' lasts {hours(length_h)} h, amplitude at most {hours(limit_h)} h (arrêté of 30 April 2003)"
            f"{because_en}."
        ),
    )


def long_weeks(
    shift: Shift, average_h: float, limit_h: float, since: datetime, until: datetime, zone: ZoneInfo
) -> tuple[str, str]:
    """More than 48 h a week on average."""
    shift_fr, shift_en = named(shift, zone)
    days = f"{since.astimezone(zone):%Y-%m-%d}", f"{until.astimezone(zone):%Y-%m-%d}"
    return (
        (
            f"{hours(average_h)} h par semaine en moyenne du {days[0]} au {days[1]} avec « {shift_fr} », au plus "
            f"{hours(limit_h)} h sur quatre mois (R.6152-708)."
        ),
        (
            f"{hours(average_h)} h a week on average from {days[0]} to {days[1]} with '{shift_en}', at most "
            f"{hours(limit_h)} h over four months (R.6152-708)."
        ),
    )


def large_share(
    shift: Shift, share: float, limit: float, since: datetime, until: datetime, zone: ZoneInfo
) -> tuple[str, str]:
    """More teleradiology than the charter allows."""
    shift_fr, shift_en = named(shift, zone)
    days = f"{since.astimezone(zone):%Y-%m-%d}", f"{until.astimezone(zone):%Y-%m-%d}"
    return (
        (
            f"Téléradiologie {share:.1%} de l'activité du {days[0]} au {days[1]} avec « {shift_fr} », au plus "
            f"{limit:.0%} (charte G4)."
        ),
        (
            f"Teleradiology {share:.1%} of the activity from {days[0]} to {days[1]} with '{shift_en}', at most "
            f"{limit:.0%} (G4 charter)."
        ),
    )


def booked_twice(first: Shift, second: Shift, zone: ZoneInfo) -> tuple[str, str]:
    """Two places at one time."""
    (first_fr, first_en), (second_fr, second_en) = named(first, zone), named(second, zone)
    return (
        f"« {first_fr} » et « {second_fr} » se chevauchent : une personne n'est qu'à un seul endroit.",
        f"'{first_en}' and '{second_en}' overlap: one person is in one place only.",
    )


def absent(shift: Shift, kind: str, zone: ZoneInfo) -> tuple[str, str]:
    """On duty while away."""
    shift_fr, shift_en = named(shift, zone)
    return (f"« {shift_fr} » tombe pendant une absence ({kind}).", f"'{shift_en}' falls into an absence ({kind}).")
