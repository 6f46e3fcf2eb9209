"""A work item: one Unified Procedure Step as it is kept, who asks about it, and how a request is refused.

For: the values that rows, DIMSE and UPS-RS share. Not for: what may follow what (`pacs.worklist.ups.states`), rows
(`pacs.worklist.ups.store`), or encodings.

Invariants
----------
* The Transaction UID is the lock: it is never among the attributes that anybody is told (PS3.4 CC.2.7.3).
* What identifies the work item and says its state is kept apart from its other attributes, so that no request can
  change it among them.

References
----------
PS3.4 CC.1, CC.3.1 (SOP Classes, well-known instances), PS3.3 B.26
"""

import dataclasses
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final, NewType

from foundation.errors import PeerError
from pacs.archive.query_values import Element, Item
from pacs.status import Status
from pacs.worklist.ups import attributes as tag

WorkitemUid = NewType("WorkitemUid", str)

PUSH: Final = "1.2.840.10008.5.1.4.34.6.1"
"""SOP Class of every work item (PS3.4 CC.3.1.1), whichever of the five was negotiated."""
WATCH: Final = "1.2.840.10008.5.1.4.34.6.2"
PULL: Final = "1.2.840.10008.5.1.4.34.6.3"
EVENT: Final = "1.2.840.10008.5.1.4.34.6.4"
QUERY: Final = "1.2.840.10008.5.1.4.34.6.5"

GLOBAL_SUBSCRIPTION: Final = "1.2.840.10008.5.1.4.34.5"
FILTERED_SUBSCRIPTION: Final = "1.2.840.10008.5.1.4.34.5.1"
WELL_KNOWN: Final = frozenset({GLOBAL_SUBSCRIPTION, FILTERED_SUBSCRIPTION})
"""Instances that stand for the whole worklist (PS3.4 CC.2.3.2)."""

APART: Final = frozenset(
    {
        tag.SPECIFIC_CHARACTER_SET,
        tag.SOP_CLASS_UID,
        tag.SOP_INSTANCE_UID,
        tag.TRANSACTION_UID,
        tag.MODIFICATION_DATE_TIME,
        tag.PROCEDURE_STEP_STATE,
    }
)
"""Attributes that `Workitem` keeps in fields of its own."""


class State(StrEnum):
    """Procedure Step State (0074,1000)."""

    SCHEDULED = "SCHEDULED"
    IN_PROGRESS = "IN PROGRESS"
    COMPLETED = "COMPLETED"
    CANCELED = "CANCELED"

    @property
    def is_final(self) -> bool:
        """Nothing follows (PS3.4 CC.1.1)."""
        return self in {State.COMPLETED, State.CANCELED}


@dataclass(frozen=True, kw_only=True, slots=True)
class Workitem:
    """One work item.

    Attributes
    ----------
    attributes : Item
        All that is not in `APART`.
    transaction_uid : str
        Of the claim; '' before it.
    site_id : str
        The hospital whom it concerns; '' for none.
    creator : str
        AE title or person who made it; '' when Telegarde did.
    owner : str
        Whose task it shows: a case of the on-call engine, which then decides about it; '' when nobody does.
    final_at : datetime or None
        When it was completed or canceled, UTC.
    """

    uid: WorkitemUid
    state: State
    attributes: Item = field(repr=False, default_factory=lambda: MappingProxyType({}))
    transaction_uid: str = field(repr=False, default="")
    site_id: str = ""
    creator: str = ""
    owner: str = ""
    created_at: datetime
    changed_at: datetime
    final_at: datetime | None = None

    def moved(self, state: State, now: datetime, *, transaction_uid: str | None = None) -> "Workitem":
        """Return it in another state."""
        return dataclasses.replace(
            self,
            state=state,
            transaction_uid=self.transaction_uid if transaction_uid is None else transaction_uid,
            changed_at=now,
            final_at=now if state.is_final else None,
        )

    def with_attributes(self, attributes: Item, now: datetime) -> "Workitem":
        """Return it with other attributes."""
        return dataclasses.replace(self, attributes=attributes, changed_at=now)

    def dataset(self) -> dict[int, Element]:
        """Return everything that may be told: all but the Transaction UID."""
        return {
            **self.attributes,
            tag.SOP_CLASS_UID: tag.value("UI", PUSH),
            tag.SOP_INSTANCE_UID: tag.value("UI", self.uid),
            tag.MODIFICATION_DATE_TIME: tag.date_time(self.changed_at),
            tag.PROCEDURE_STEP_STATE: tag.value("CS", self.state.value),
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Caller:
    """Who asks, and what they may do with which work items.

    Attributes
    ----------
    name : str
        AE title or person id, for the record.
    sites : frozenset of str or None
        The hospitals whose work items they may see; None for all.
    person_id : str
        Who works at this AE, or holds this token: who claims. '' when nobody is known.
    may_perform, may_request : bool
        Whether they may claim and update; create and ask to cancel.
    may_assign : bool
        Whether they may say who should read.
    may_withdraw : bool
        Whether they speak for who asked for the task.
    is_anybody : bool
        On an open loopback node: nobody knows who this is.
    """

    name: str
    sites: frozenset[str] | None
    person_id: str = ""
    may_perform: bool = True
    may_request: bool = True
    may_assign: bool = False
    may_withdraw: bool = False
    is_anybody: bool = False

    def sees(self, workitem: Workitem) -> bool:
        """Say whether a work item concerns them: of their hospitals, or made by themselves."""
        if self.sites is None or (workitem.site_id and workitem.site_id in self.sites):
            return True
        return bool(workitem.creator) and workitem.creator == self.name


class UpsRefused(PeerError):
    """A request that is not carried out; nothing has changed.

    Parameters
    ----------
    status : Status
        What DIMSE answers.
    comment : str
        Without patient data.
    tag : int or None
        The offending element.
    is_gone : bool
        The work item was here and has been removed (410 rather than 404).
    """

    def __init__(self, status: Status, comment: str, *, tag: int | None = None, is_gone: bool = False) -> None:
        super().__init__(comment)
        self.status = status
        self.tag = tag
        self.is_gone = is_gone


def unknown(*, is_gone: bool = False) -> UpsRefused:
    """Return the refusal for a work item that is not here, or not for the caller: which of them is not told."""
    return UpsRefused(Status.UPS_UNKNOWN, "no such work item is managed here", is_gone=is_gone)
