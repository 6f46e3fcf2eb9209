"""Named fault points for crash tests: a process armed by its environment kills itself exactly there.

``TELEGARDE_FAULT=point`` or ``TELEGARDE_FAULT=point:N`` makes the process send itself SIGKILL when `reach` passes that
point for the Nth time (the first by default): nothing is flushed, no handler runs, as in a power cut of the process.
Unarmed, a fault point costs one comparison.
"""

import itertools
import os
import signal
from typing import Final

ENVIRONMENT_VARIABLE: Final = "TELEGARDE_FAULT"

# Every fault point of an instance, in the order in which it passes them. Crash tests kill at each of them.
POINTS: Final = (
    "lane.created",
    "lane.partly_written",
    "lane.written",
    "lane.durable",
    "index.begun",
    "index.inserted",
    "index.committed",
    "store.before_response",
    "store.after_response",
    "lane.sealing",
    "lane.sealed",
)

# Those of handing a message to a channel: decided but not begun, intent recorded, handed over but not recorded.
MESSAGE_POINTS: Final = ("messages.due", "messages.sending", "messages.handed_over")

# Those of the on-call engine: a due timer is leased, its decision is made, it is committed.
ENGINE_POINTS: Final = ("engine.leased", "engine.decided", "engine.committed")

# A report's version is signed and nothing of it is stored; the engine's points around its commit follow.
REPORT_POINTS: Final = ("report.signed",)

# Those of delivering a report: leased, its documents made but not kept, handed over but not recorded, recorded.
DELIVERY_POINTS: Final = ("delivery.leased", "delivery.made", "delivery.handed_over", "delivery.recorded")

# Those of HL7 messages: one that came is on disk and not answered; one that goes is about to be sent, and is answered
# and not recorded.
HL7_POINTS: Final = ("hl7.committed", "hl7.sending", "hl7.answered")

# Those of forwarding: an item is leased, the destination has answered and nothing is recorded, it is recorded.
ROUTING_POINTS: Final = ("routing.leased", "routing.answered", "routing.recorded")


def _armed() -> tuple[str | None, int]:
    point, _, count = os.environ.get(ENVIRONMENT_VARIABLE, "").partition(":")
    if not point:
        return None, 0
    known = (*POINTS, *MESSAGE_POINTS, *ENGINE_POINTS, *REPORT_POINTS, *DELIVERY_POINTS, *HL7_POINTS, *ROUTING_POINTS)
    if point not in known:
        raise ValueError(f"{ENVIRONMENT_VARIABLE} names no fault point: {point}; known: {', '.join(known)}")
    return point, int(count or 1)


_POINT, _COUNT = _armed()
_passes = itertools.count(1)


def reach(point: str) -> None:
    """Kill this process if it is armed for this point and has now passed it often enough."""
    if _POINT is not None and point == _POINT and next(_passes) == _COUNT:
        os.kill(os.getpid(), signal.SIGKILL)
