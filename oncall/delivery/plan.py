"""Which deliveries a signed version needs: a pure function of the version, the case, the directory and who had more.

For: every channel of the requesting emergency department, the archive, those whom the patient has authorised, and
everybody who got or opened an earlier version. Not for: sending, or the words (`oncall.delivery.channels`).

Invariants: the emergency department's page and the archive are always in the plan, whatever the directory says; nobody
else gets a first version without the patient's recorded authorisation; a plan is the same for the same arguments.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from oncall.case.state import Case
from oncall.delivery.model import Authorisation, Delivery, DeliveryChannel, RecipientKind, delivery_id
from oncall.delivery.policy import DeliveryPolicy
from oncall.directory import ChannelKind, ContactDuty, Directory, PersonId, Site
from oncall.report.version import SignedVersion, VersionKind

ARCHIVE_RECIPIENT: Final = "archive"
"""The recipient of the copy that this node's own archive keeps."""

_WITHDRAWING: Final = frozenset({VersionKind.REPLACEMENT, VersionKind.RETRACTION})


def plan(
    signed: SignedVersion,
    case: Case,
    directory: Directory,
    policy: DeliveryPolicy,
    now: datetime,
    *,
    opened_by: Iterable[PersonId] = (),
) -> tuple[Delivery, ...]:
    """Return the deliveries that follow from the directory, in a stable order.

    Parameters
    ----------
    opened_by : iterable of PersonId
        Who opened an earlier version on a page: they are told of this one.
    """
    department = Delivery(
        delivery_id="",
        case_id=case.case_id,
        version=signed.version.version,
        kind=signed.version.kind,
        recipient_kind=RecipientKind.EMERGENCY_DEPARTMENT,
        recipient=case.site_id,
        channel=DeliveryChannel.WEB,
        address="",
        planned_at=now,
        policy_version=policy.version,
    )
    archive = replace(
        department,
        recipient_kind=RecipientKind.ARCHIVE,
        recipient=ARCHIVE_RECIPIENT,
        channel=DeliveryChannel.ARCHIVE,
    )
    site = directory.sites.get(case.site_id)
    named = () if site is None else channels_of(site, directory)
    told = [department, archive, *(replace(department, channel=channel, address=address) for channel, address in named)]
    mailboxes = {address for channel, address in named if channel is DeliveryChannel.EMAIL}
    for person_id in sorted(set(opened_by)):
        mailbox = _mailbox(person_id, directory)
        if mailbox and mailbox not in mailboxes:
            kind = RecipientKind.READER_OF_EARLIER_VERSION
            told.append(
                replace(
                    department,
                    recipient_kind=kind,
                    recipient=person_id,
                    channel=DeliveryChannel.EMAIL,
                    address=mailbox,
                )
            )
    return _identified(told)


def for_others(
    one: Delivery, earlier: Iterable[Delivery], authorisations: Sequence[Authorisation]
) -> tuple[Delivery, ...]:
    """Return the deliveries of a version to everybody who is not in its plan by the directory, or may not be.

    Parameters
    ----------
    one : Delivery
        Any of the version.
    earlier : iterable of Delivery
        Those of earlier versions that arrived or may have: their recipients are told of this one, too, even if the
        directory names them no longer, because what they have is no longer the whole truth. Whose authorisation was
        revoked is told only that what they have was replaced or withdrawn.
    authorisations : sequence of Authorisation
        Of this case, revoked ones included.
    """
    allowed = {given.way for given in authorisations if given.revoked_at is None}
    revoked = {given.way for given in authorisations} - allowed
    got = {before.way for before in earlier}
    if one.kind not in _WITHDRAWING:
        got -= revoked
    others = [
        replace(one, recipient_kind=kind, recipient=recipient, channel=channel, address=address)
        for kind, recipient, channel, address in sorted(got | allowed)
    ]
    return _identified(others)


def channels_of(site: Site, directory: Directory) -> tuple[tuple[DeliveryChannel, str], ...]:
    """Return the channels of a site's emergency department beside its page, each with its address.

    Without a mailbox of the department the first emergency physician on its list who has one is written to.
    """
    named = [(DeliveryChannel(one.kind.value), one.address) for one in site.report_channels]
    if not any(channel is DeliveryChannel.EMAIL for channel, _ in named):
        physicians = site.contacts.get(ContactDuty.EMERGENCY_PHYSICIAN, ())
        mailboxes = (_mailbox(person_id, directory) for person_id in physicians)
        named += [(DeliveryChannel.EMAIL, mailbox) for mailbox in mailboxes if mailbox][:1]
    return tuple(dict.fromkeys(named))


def _identified(told: Iterable[Delivery]) -> tuple[Delivery, ...]:
    found = (
        replace(
            one,
            delivery_id=delivery_id(
                one.case_id, one.version, one.recipient_kind, one.recipient, one.channel, one.address
            ),
        )
        for one in told
    )
    return tuple({one.delivery_id: one for one in found}.values())


def _mailbox(person_id: PersonId, directory: Directory) -> str:
    person = directory.persons.get(person_id)
    methods = () if person is None else person.contact_methods
    return next((method.address for method in methods if method.kind is ChannelKind.EMAIL), "")
