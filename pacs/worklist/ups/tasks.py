"""Whose tasks some work items show: the port by which requests about them become decisions of somebody else.

For: reading tasks, which the on-call engine decides about. Not for: work items that others create; they are decided
here alone.

Invariant: there are no two truths. A work item with an owner changes only because the owner decided so and wrote what
is so now; nothing of a request is written beside that, but what a performer reports of their progress and results.
"""

from typing import Protocol

from pacs.archive.query_values import Item
from pacs.worklist.ups.model import Caller, Workitem


class TaskOwner(Protocol):
    """Decides about work items that have an owner, and writes them when something changed.

    Each method returns when the work item's row is what was decided, and raises `UpsRefused` with the status that
    answers the request when the decision was no. None of them is called inside a transaction.
    """

    def refresh(self, task: Workitem) -> None:
        """Write what is so now."""

    def claim(self, task: Workitem, transaction_uid: str, caller: Caller) -> None:
        """Somebody begins the task and locks it."""

    def complete(self, task: Workitem, transaction_uid: str, caller: Caller) -> None:
        """The performer says that it is done."""

    def give_back(self, task: Workitem, transaction_uid: str, reason: str, caller: Caller) -> None:
        """The performer stops; another work item replaces this one."""

    def withdraw(self, task: Workitem, reason: str, caller: Caller) -> None:
        """Who asked for the task wants it no more."""

    def assign(self, task: Workitem, performers: tuple[Item, ...], caller: Caller) -> None:
        """Somebody says who should do it: the items of Scheduled Human Performers Sequence."""
