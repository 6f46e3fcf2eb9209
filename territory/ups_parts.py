"""The worklist of Unified Procedure Steps on this node: who may ask, who owns reading tasks, where events go.

For: which object gets which other, for the DICOM workers, the supervisor and the on-call process. Not for: behaviour.
"""

from collections.abc import Callable

from foundation.clock import Clock
from foundation.database import Database
from pacs.archive.query_values import Item
from pacs.scp.services import Peer
from pacs.scu.association import Timeouts
from pacs.worklist.ups.model import Caller, Workitem
from pacs.worklist.ups.relay import EventRelay
from pacs.worklist.ups.scp import UpsService
from pacs.worklist.ups.store import Subscriber
from pacs.worklist.ups.tasks import TaskOwner
from pacs.worklist.ups.worklist import Worklist
from territory.adapters import ConfiguredPeers
from territory.settings import Settings


class LateTasks:
    """The owner of reading tasks, made when somebody first asks something of one; a `TaskOwner`.

    A worker that receives images loads no on-call engine, and does not depend on one.
    """

    def __init__(self, make: Callable[[], TaskOwner]) -> None:
        self._make = make
        self._made: TaskOwner | None = None

    def refresh(self, task: Workitem) -> None:
        """Write what is so now."""
        self._owner().refresh(task)

    def claim(self, task: Workitem, transaction_uid: str, caller: Caller) -> None:
        """Somebody begins the task and locks it."""
        self._owner().claim(task, transaction_uid, caller)

    def complete(self, task: Workitem, transaction_uid: str, caller: Caller) -> None:
        """The performer says that it is done."""
        self._owner().complete(task, transaction_uid, caller)

    def give_back(self, task: Workitem, transaction_uid: str, reason: str, caller: Caller) -> None:
        """The performer stops."""
        self._owner().give_back(task, transaction_uid, reason, caller)

    def withdraw(self, task: Workitem, reason: str, caller: Caller) -> None:
        """Who asked for the task wants it no more."""
        self._owner().withdraw(task, reason, caller)

    def assign(self, task: Workitem, performers: tuple[Item, ...], caller: Caller) -> None:
        """Somebody says who should do it."""
        self._owner().assign(task, performers, caller)

    def _owner(self) -> TaskOwner:
        if self._made is None:
            self._made = self._make()
        return self._made


def make_ups_service(settings: Settings, database: Database, clock: Clock, *, worker: str) -> UpsService:
    """Return the service of a DICOM worker; ``worker`` names its engine's leases."""

    def make() -> TaskOwner:
        # Imported here so that a worker loads the on-call engine only when somebody asks something of a reading task.
        from territory.task_owner_parts import make_task_owner

        return make_task_owner(settings, database, clock, worker=worker)

    worklist = Worklist(database, clock, LateTasks(make))
    return UpsService(worklist, caller_of(settings), subscriber_of(settings))


def make_event_relay(settings: Settings, database: Database, clock: Clock, timeouts: Timeouts) -> EventRelay:
    """Return what sends event reports to subscribed AEs."""
    return EventRelay(
        database,
        clock,
        addresses=ConfiguredPeers(settings).addresses,
        calling_aet=settings.dicom.aet[0],
        timeouts=timeouts,
    )


def caller_of(settings: Settings) -> Callable[[Peer], Caller]:
    """Return who a peer is: everybody on an open loopback node, else what its entry of ``[[peers]]`` says."""

    def caller(peer: Peer) -> Caller:
        if settings.is_open_loopback:
            return Caller(
                name=peer.calling_aet, sites=None, may_assign=True, may_withdraw=True, is_anybody=True,
            )  # fmt: skip
        entry = settings.peer(peer.calling_aet)
        person_id = "" if entry is None else entry.person
        site = peer.rights.site
        return Caller(
            name=peer.calling_aet,
            sites=_sites(site, person_id),
            person_id=person_id,
            may_withdraw=bool(site),
        )

    return caller


def subscriber_of(settings: Settings) -> Callable[[str], Subscriber | None]:
    """Return who receives events under an AE title: a peer that can be called; None for any other."""
    peers = {peer.aet: peer for peer in settings.peers if peer.is_callable}

    def subscriber(aet: str) -> Subscriber | None:
        entry = peers.get(aet)
        if entry is None:
            return None
        sites = None if settings.is_open_loopback else _sites(entry.site, entry.person)
        return Subscriber(aet=aet, sites=sites)

    return subscriber


def _sites(site: str, person_id: str) -> frozenset[str] | None:
    """A reader's workstation sees every hospital, a hospital's AE its own, any other AE what it made itself."""
    if person_id:
        return None
    return frozenset({site}) if site else frozenset()
