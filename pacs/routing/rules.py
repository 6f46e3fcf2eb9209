"""Which destinations a study goes to: a pure decision on what is known of it.

Not for: when it is sent (`pacs.routing.queue`), or where the facts come from (`pacs.routing.intake`).
"""

from collections.abc import Iterable, Mapping
from datetime import tzinfo

from pacs.routing.model import RouteRule, StudyFacts


def destinations_of(
    rules: Iterable[RouteRule], facts: StudyFacts, zone: tzinfo, ae_titles: Mapping[str, str]
) -> dict[str, str]:
    """Return the destinations of a study, each with the first rule that names it.

    Parameters
    ----------
    zone : tzinfo
        By whose wall clock the rules' hours are.
    ae_titles : mapping
        AE title by destination; a destination that sent the study does not get it back, or two nodes that forward to
        each other would never end.
    """
    found: dict[str, str] = {}
    for rule in rules:
        if not holds(rule, facts, zone):
            continue
        for destination in rule.destinations:
            if not facts.calling_aet or ae_titles.get(destination) != facts.calling_aet:
                found.setdefault(destination, rule.name)
    return found


def holds(rule: RouteRule, facts: StudyFacts, zone: tzinfo) -> bool:
    """Say whether everything that a rule gives holds for a study."""
    return (
        (not rule.sites or facts.site_id in rule.sites)
        and (not rule.issuers or facts.study.issuer in rule.issuers)
        and (not rule.calling_aets or facts.calling_aet in rule.calling_aets)
        and (not rule.modalities or not rule.modalities.isdisjoint(facts.modalities))
        and (facts.is_emergency or not rule.is_for_emergencies)
        and rule.hours.contains(facts.first_received_at, zone)
    )
