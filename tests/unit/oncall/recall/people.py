"""Staff lists for tests of recalls."""

from oncall.directory import ChannelKind, ContactMethod, PersonId
from oncall.plan_blanc import Recalled, RecallOrder

EMAIL, SMS = ChannelKind.EMAIL, ChannelKind.SMS


def recalled(name: str, *kinds: ChannelKind, addresses: tuple[str, ...] = ()) -> Recalled:
    given = addresses or tuple(f"{name}@example.org" if kind is EMAIL else f"+33{name}" for kind in kinds)
    methods = tuple(ContactMethod(kind=kind, address=address) for kind, address in zip(kinds, given, strict=True))
    return Recalled(person_id=PersonId(name), language="fr", methods=methods)


def order(*people: Recalled, recall_id: str = "r1") -> RecallOrder:
    return RecallOrder(
        recall_id=recall_id, place="CH Ambert", zone="Europe/Paris", people=people, started_by="coordinator"
    )
