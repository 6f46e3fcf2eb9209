"""Whom the patient lets have the reports of a case beside the requester: rows, given and revoked, never deleted.

Without one nobody but the requesting emergency department gets a report (articles L.1110-4 and R.6316-3 of the French
public health code: the patient may object to what is shared with others).
"""

from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Row, insert, select, update

from foundation.errors import Refused
from foundation.instants import instant_of_us, instant_of_us_or_none, microseconds
from oncall.case.event import CaseId
from oncall.delivery.model import Authorisation, DeliveryChannel, RecipientKind
from oncall.schema import oncall_delivery_authorisation as table

OF_CASE_MAX: Final = 20
"""Physicians whom one patient names for one case; more is a mistake."""

_MAY_BE_NAMED: Final = frozenset({RecipientKind.TREATING_PHYSICIAN, RecipientKind.OTHER_PHYSICIAN})
_MAY_BE_USED: Final = frozenset({DeliveryChannel.EMAIL, DeliveryChannel.DICOM, DeliveryChannel.HL7})


def give(connection: Connection, authorisation: Authorisation) -> None:
    """Record that the patient authorised one more recipient; the same again changes nothing.

    Raises
    ------
    foundation.errors.Refused
        If who recorded it is not named, the recipient is none that a patient authorises, the address is missing, the
        channel cannot reach outside, or there are `OF_CASE_MAX` already.
    """
    if not authorisation.recorded_by.strip() or not authorisation.recipient.strip():
        raise Refused("an authorisation names the physician and who recorded it")
    if authorisation.recipient_kind not in _MAY_BE_NAMED:
        raise Refused("a patient authorises the treating physician or another one; the requester has it anyway")
    if authorisation.channel not in _MAY_BE_USED or not authorisation.address.strip():
        raise Refused("a further recipient has an address by e-mail, DICOM or HL7")
    given = [one for one in of_case(connection, authorisation.case_id) if one.revoked_at is None]
    if any(one.way == authorisation.way for one in given):
        return
    if len(given) >= OF_CASE_MAX:
        message = f"a case has at most {OF_CASE_MAX} further recipients; revoke one first"
        raise Refused(message)
    connection.execute(
        insert(table).values(
            case_id=authorisation.case_id,
            recipient_kind=authorisation.recipient_kind.value,
            recipient=authorisation.recipient,
            channel=authorisation.channel.value,
            address=authorisation.address,
            given_at_us=microseconds(authorisation.given_at),
            recorded_by=authorisation.recorded_by,
        )
    )


def revoke(connection: Connection, case_id: CaseId, recipient: str, now: datetime, *, by: str) -> int:
    """End the authorisations of one recipient for a case; return how many.

    Who got a version is still told when it is replaced or withdrawn, and of nothing else.
    """
    done = connection.execute(
        update(table)
        .where(table.c.case_id == case_id, table.c.recipient == recipient, table.c.revoked_at_us.is_(None))
        .values(revoked_at_us=microseconds(now), revoked_by=by)
    )
    return done.rowcount


def of_case(connection: Connection, case_id: CaseId) -> tuple[Authorisation, ...]:
    """Return the authorisations of a case in the order in which they were recorded, revoked ones included."""
    rows = connection.execute(select(table).where(table.c.case_id == case_id).order_by(table.c.position))
    return tuple(map(_authorisation, rows))


def _authorisation(row: Row[Any]) -> Authorisation:
    return Authorisation(
        case_id=CaseId(row.case_id),
        recipient_kind=RecipientKind(row.recipient_kind),
        recipient=row.recipient,
        channel=DeliveryChannel(row.channel),
        address=row.address,
        given_at=instant_of_us(row.given_at_us),
        recorded_by=row.recorded_by,
        revoked_at=instant_of_us_or_none(row.revoked_at_us),
    )
