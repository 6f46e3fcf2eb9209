"""What subscribers are told when a work item changes: a pure function of the work item before and after.

For: the five event types and their information. Not for: who is subscribed, or how reports travel.

References
----------
PS3.4 CC.2.4.1 (Table CC.2.4-1), CC.2.4.3
"""

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from pacs.archive.query_values import Item
from pacs.worklist.ups import attributes as tag
from pacs.worklist.ups.model import State, Workitem


class EventType(IntEnum):
    """Event Type ID (0000,1002)."""

    STATE_REPORT = 1
    CANCEL_REQUESTED = 2
    PROGRESS_REPORT = 3
    SCP_STATUS_CHANGE = 4
    ASSIGNED = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """One event, without whom it is told."""

    event_type: EventType
    information: Item = field(repr=False)


_WHO: Final = (tag.SCHEDULED_STATION_NAME_CODE_SEQUENCE, tag.SCHEDULED_HUMAN_PERFORMERS_SEQUENCE)
_PROGRESS: Final = (tag.PROCEDURE_STEP_PROGRESS, tag.PROGRESS_DESCRIPTION, tag.COMMUNICATIONS_URI_SEQUENCE)
_WHY: Final = (tag.REASON_FOR_CANCELLATION, tag.DISCONTINUATION_REASON_CODE_SEQUENCE)
_ASKED: Final = (*_WHY, tag.CONTACT_URI, tag.CONTACT_DISPLAY_NAME)


def reports(before: Workitem | None, after: Workitem) -> tuple[Report, ...]:
    """Return what is told of a change; `before` is None for a new work item."""
    told: list[Report] = []
    if before is None or (before.state, _readiness(before)) != (after.state, _readiness(after)):
        told += [state_report(after, state) for state in _states_between(before, after)]
    if _is_assigned_anew(before, after):
        told.append(Report(event_type=EventType.ASSIGNED, information=tag.picked(after.attributes, _WHO)))
    progress = tag.first_item(after.attributes, tag.PROGRESS_INFORMATION_SEQUENCE)
    was = {} if before is None else tag.first_item(before.attributes, tag.PROGRESS_INFORMATION_SEQUENCE)
    if before is not None and tag.picked(was, _PROGRESS) != tag.picked(progress, _PROGRESS):
        information = {tag.PROGRESS_INFORMATION_SEQUENCE: tag.sequence(progress)}
        told.append(Report(event_type=EventType.PROGRESS_REPORT, information=information))
    return tuple(told)


def state_report(workitem: Workitem, state: State | None = None) -> Report:
    """Return a UPS State Report, of the state that it has or of one that it passed through."""
    shown = state or workitem.state
    information = {
        tag.PROCEDURE_STEP_STATE: tag.value("CS", shown.value),
        tag.INPUT_READINESS_STATE: tag.value("CS", _readiness(workitem)),
    }
    if shown is State.CANCELED:
        progress = tag.first_item(workitem.attributes, tag.PROGRESS_INFORMATION_SEQUENCE)
        information |= tag.picked(progress, _WHY)
    return Report(event_type=EventType.STATE_REPORT, information=information)


def cancel_requested(requesting_aet: str, asked: Item) -> Report:
    """Return a UPS Cancel Requested, with what the request said."""
    information = {tag.REQUESTING_AE: tag.value("AE", requesting_aet), **tag.picked(asked, _ASKED)}
    return Report(event_type=EventType.CANCEL_REQUESTED, information=information)


def restarted() -> Report:
    """Return an SCP Status Change: started again, with every work item and subscription."""
    information = {
        tag.SCP_STATUS: tag.value("CS", "RESTARTED"),
        tag.SUBSCRIPTION_LIST_STATUS: tag.value("CS", "WARM START"),
        tag.STEP_LIST_STATUS: tag.value("CS", "WARM START"),
    }
    return Report(event_type=EventType.SCP_STATUS_CHANGE, information=information)


def _readiness(workitem: Workitem) -> str:
    return tag.text_of(workitem.attributes, tag.INPUT_READINESS_STATE)


def _states_between(before: Workitem | None, after: Workitem) -> tuple[State, ...]:
    """A final state is reached through IN PROGRESS only: who follows the reports sees each (CC.2.2.3)."""
    was = None if before is None else before.state
    if was is State.SCHEDULED and after.state.is_final:
        return (State.IN_PROGRESS, after.state)
    if was is None and after.state.is_final:
        return (State.SCHEDULED, State.IN_PROGRESS, after.state)
    if was is None and after.state is State.IN_PROGRESS:
        return (State.SCHEDULED, State.IN_PROGRESS)
    return (after.state,)


def _is_assigned_anew(before: Workitem | None, after: Workitem) -> bool:
    now = tag.picked(after.attributes, _WHO)
    if before is None:
        return any(element.items for element in now.values())
    return tag.picked(before.attributes, _WHO) != now
