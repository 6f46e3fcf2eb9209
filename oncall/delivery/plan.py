"""Which deliveries a signed version needs: a pure function of the version, the case, the directory and who had more.

For: every channel of the requesting emergency department, the archive, those whom the patient has authorised, and
everybody who got or opened an earlier version. Not for: sending, or the words (`oncall.delivery.channels`).

Invariants: the emergency department's page and the archive are always in the plan, whatever the directory says; nobody
else gets a version without the patient's recorded authorisation; a plan is the same for the same arguments.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from oncall.case.event import CaseId
from oncall.case.state import Case
from oncall.delivery.model import Delivery, DeliveryChannel, RecipientKind, delivery_id
from oncall.delivery.policy import DeliveryPolicy
from oncall.directory import ChannelKind, ContactDuty, Directory, PersonId, Site
from oncall.report.version import SignedVersion

ARCHIVE_RECIPIENT: Final = "archive"
"""The recipient of the copy that this node's own archive keeps."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Authorisation:
    """The patient lets one more physician have the reports of a case; revoked, it ends. Instants are UTC."""

    case_id: CaseId
    recipient_kind: RecipientKind
    recipient: str
    channel: DeliveryChannel
    address: str
    given_at: datetime
    recorded_by: str
    revoked_at: datetime | None = None


def plan(
    signed: SignedVersion,
    case: Case,
    directory: Directory,
    policy: DeliveryPolicy,
    now: datetime,
    *,
    authorisations: Iterable[Authorisation] = (),
    earlier: Iterable[Delivery] = (),
    opened_by: Iterable[PersonId] = (),
) -> tuple[Delivery, ...]:
    """Return every delivery that this version needs, in a stable order.

    Parameters
    ----------
    authorisations : iterable of Authorisation
        Of this case; revoked ones are left out.
    earlier : iterable of Delivery
        Deliveries of earlier versions that arrived or may have: their recipients are told of this one, too, even if
        the directory or the patient names them no longer, because what they have is no longer the whole truth.
    opened_by : iterable of PersonId
        Who opened an earlier version on a page.
    """
    planned: dict[str, Delivery] = {}

    def add(recipient_kind: RecipientKind, recipient: str, channel: DeliveryChannel, address: str = "") -> None:
        one = Delivery(
            delivery_id=delivery_id(
                case.case_id, signed.version.version, recipient_kind, recipient, channel, address
            ),
            case_id=case.case_id,
            version=signed.version.version,
            kind=signed.version.kind,
            recipient_kind=recipient_kind,
            recipient=recipient,
            channel=channel,
            address=address,
            planned_at=now,
            policy_version=policy.version,
        )  # fmt: skip
        planned.setdefault(one.delivery_id, one)

    department = RecipientKind.EMERGENCY_DEPARTMENT
    add(department, case.site_id, DeliveryChannel.WEB)
    add(RecipientKind.ARCHIVE, ARCHIVE_RECIPIENT, DeliveryChannel.ARCHIVE)
    site = directory.sites.get(case.site_id)
    for channel, address in () if site is None else channels_of(site, directory):
        add(department, case.site_id, channel, address)
    for one in authorisations:
        if one.revoked_at is None:
            add(one.recipient_kind, one.recipient, one.channel, one.address)
    for before in earlier:
        add(before.recipient_kind, before.recipient, before.channel, before.address)
    mailboxes = {one.address for one in planned.values() if one.channel is DeliveryChannel.EMAIL}
    for person_id in sorted(set(opened_by)):
        mailbox = _mailbox(person_id, directory)
        if mailbox and mailbox not in mailboxes:
            add(RecipientKind.READER_OF_EARLIER_VERSION, person_id, DeliveryChannel.EMAIL, mailbox)
    return tuple(planned.values())


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


def _mailbox(person_id: PersonId, directory: Directory) -> str:
    person = directory.persons.get(person_id)
    methods = () if person is None else person.contact_methods
    return next((method.address for method in methods if method.kind is ChannelKind.EMAIL), "")
