"""What the routes of UPS-RS stand on, and who a holder of a token is to the worklist."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from foundation.clock import Clock
from foundation.database import Database
from pacs.worklist.ups.model import Caller
from pacs.worklist.ups.store import Subscriber
from pacs.worklist.ups.worklist import Worklist
from territory.oncall_web.access import Holder, May

MAY: Final = frozenset({May.READ, May.REQUEST, May.COORDINATE})
"""One of these: work items name patients, so who only watches sees none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkitemRoom:
    """The worklist, and where its events are.

    ``peer_aets`` are the AE titles of configured DICOM peers: no holder of a token speaks for them.
    """

    worklist: Worklist
    database: Database
    clock: Clock
    peer_aets: frozenset[str] = frozenset()


def caller_of(holder: Holder) -> Caller:
    """Return what a holder may see and do; a reader acts as the person that the token names."""
    may_read = May.READ in holder.may
    return Caller(
        name=holder.who,
        sites=frozenset(holder.sites) if holder.sites else None,
        person_id=holder.who if may_read and not holder.is_anybody else "",
        may_perform=may_read,
        may_request=bool(holder.may & {May.REQUEST, May.COORDINATE}),
        may_assign=May.COORDINATE in holder.may,
        may_withdraw=May.REQUEST in holder.may,
        is_anybody=holder.is_anybody,
    )


def subscriber_of(aet: str, holder: Holder) -> Subscriber:
    """Return a holder as one who is told of events under an AE title of their own."""
    sites = frozenset(str(site) for site in holder.sites) if holder.sites else None
    return Subscriber(aet=aet, holder=holder.who, sites=sites)


def site_of(holder: Holder) -> str:
    """Return the hospital that what a holder creates is for; '' when it is for none, or could be for several."""
    return next(iter(holder.sites)) if len(holder.sites) == 1 else ""


def channel_address(headers: Mapping[str, str], *, is_secure: bool, aet: str) -> str:
    """Return where the events of an AE title are told: the Content-Location of a subscription (PS3.18 11.10.3.2)."""
    scheme = "wss" if is_secure else "ws"
    return f"{scheme}://{headers.get('host', '')}/dicom-web/ws/subscribers/{aet.replace(' ', '%20')}"
