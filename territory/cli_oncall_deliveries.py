"""``telegarde oncall deliveries`` and ``authorise``: where reports are, and who else may have them.

Not for: sending (the on-call process does), or the rules (`oncall.delivery`).
"""

import argparse
from typing import Any, Final

from foundation.clock import Clock
from foundation.errors import Refused
from oncall.case.event import CaseId
from oncall.delivery import authorisations, queue
from oncall.delivery.model import Authorisation, DeliveryChannel, DeliveryState, DeliveryStatus, RecipientKind
from territory.cli_oncall_place import local_text, open_database
from territory.cli_output import answer
from territory.cli_tables import print_rows

_COLUMNS: Final = (
    "delivery_id", "case", "version", "kind", "channel", "recipient", "state", "attempts", "reason", "next", "by",
)  # fmt: skip
_ZONE: Final = "UTC"


def run(arguments: argparse.Namespace, clock: Clock) -> int:
    """Run ``deliveries`` or ``authorise``; exit code 1 when a report has not reached somebody."""
    return (_authorise if arguments.oncall_command == "authorise" else _deliveries)(arguments, clock)


def _deliveries(arguments: argparse.Namespace, clock: Clock) -> int:
    chosen = arguments.retry or arguments.give_up
    with open_database(arguments) as database:
        if chosen:
            if not arguments.by:
                raise Refused("--by NAME is wanted: who decides stands in the record of the delivery")
            change = queue.try_again if arguments.retry else queue.give_up
            with database.write(durable=True) as connection:
                found: tuple[DeliveryStatus, ...] = (change(connection, chosen, clock.now(), by=arguments.by),)
        with database.read() as connection:
            if not chosen:
                is_of_case = arguments.case is not None
                found = (
                    queue.deliveries_of(connection, CaseId(arguments.case)) if is_of_case else queue.pending(connection)
                )
            counts = queue.counts(connection)
            records = [queue.record_of(connection, one.delivery.delivery_id) for one in found]
    rows = [_row(one) for one in found]
    if arguments.json:
        for row, record in zip(rows, records, strict=True):
            row["record"] = [
                {"at": one.occurred_at.isoformat(), "happened": one.happened, "reason": one.reason, "by": one.by}
                for one in record
            ]
        result = {"counts": {state.value: counts.get(state, 0) for state in DeliveryState}, "deliveries": rows}
        answer(arguments, result, title="")
    else:
        title = "Deliveries of a case" if arguments.case else "Reports that have not reached somebody"
        print_rows(title, _COLUMNS, rows, nothing="Every report has reached everybody.")
    return 1 if not chosen and any(row["is_waiting"] for row in rows) else 0


def _row(status: DeliveryStatus) -> dict[str, Any]:
    delivery = status.delivery
    is_waiting = status.state in {
        DeliveryState.QUEUED, DeliveryState.SENDING, DeliveryState.FAILED, DeliveryState.GIVEN_UP,
    }  # fmt: skip
    return {
        "delivery_id": delivery.delivery_id,
        "case": delivery.case_id,
        "version": delivery.version,
        "kind": delivery.kind.value,
        "channel": delivery.channel.value,
        "recipient_kind": delivery.recipient_kind.value,
        "recipient": delivery.recipient,
        "state": status.state.value,
        "attempts": status.attempts,
        "reason": status.reason,
        "next": local_text(status.due_at, _ZONE) if is_waiting and status.state is not DeliveryState.GIVEN_UP else "",
        "by": status.ended_by,
        "is_waiting": is_waiting,
    }


def _authorise(arguments: argparse.Namespace, clock: Clock) -> int:
    now, case_id = clock.now(), CaseId(arguments.case)
    with open_database(arguments) as database, database.write(durable=True) as connection:
        if arguments.revoke:
            ended = authorisations.revoke(connection, case_id, arguments.recipient, now, by=arguments.by)
            if not ended:
                raise Refused("the patient has authorised no such recipient for this case")
            planned = 0
        else:
            given = Authorisation(
                case_id=case_id,
                recipient_kind=RecipientKind(arguments.kind),
                recipient=arguments.recipient,
                channel=DeliveryChannel(arguments.channel),
                address=arguments.address or "",
                given_at=now,
                recorded_by=arguments.by,
            )
            authorisations.give(connection, given)
            planned = len(queue.insert_authorised(connection, case_id, now))
    result = {"case": case_id, "recipient": arguments.recipient, "revoked": arguments.revoke, "deliveries": planned}
    answer(arguments, result, title="Recorded")
    return 0
