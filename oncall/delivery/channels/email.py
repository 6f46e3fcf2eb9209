"""E-mail with a link: that a version is there, what it is to those before it, and nothing of the patient.

For: the words and the message. Not for: the exchange with the relay (`oncall.channels`).

Invariants: a text is made of a case's code, a hospital's identifier, the kind of version and a link; the same delivery
has the same Message-ID, so a mailbox that looks shows a repeated one once. A relay's answer is no proof of delivery.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final
from urllib.parse import quote

from oncall.channels.port import Channel
from oncall.delivery.channels.port import Parcel
from oncall.delivery.model import Delivery, DeliveryChannel, RecipientKind
from oncall.delivery.queue import HandedOn, NotArrived, Outcome
from oncall.directory import ChannelKind, PersonId
from oncall.messages import Message, NotSent, Sent, Unsure
from oncall.notify import case_code
from oncall.report.version import VersionKind

_SUBJECTS: Final[Mapping[VersionKind, tuple[str, str]]] = MappingProxyType(
    {
        VersionKind.PRELIMINARY: ("Premiers résultats", "First findings"),
        VersionKind.FINAL: ("Compte rendu signé", "Report signed"),
        VersionKind.ADDENDUM: ("Addendum au compte rendu", "Addendum to the report"),
        VersionKind.REPLACEMENT: ("COMPTE RENDU REMPLACÉ", "REPORT REPLACED"),
        VersionKind.RETRACTION: ("NE PLUS UTILISER : COMPTE RENDU RETIRÉ", "DO NOT USE: REPORT WITHDRAWN"),
    }
)

_SAYINGS: Final[Mapping[VersionKind, tuple[str, str]]] = MappingProxyType(
    {
        VersionKind.PRELIMINARY: (
            "Les premiers résultats du dossier {code} sont disponibles ; le compte rendu suivra.",
            "The first findings of case {code} are there; the report will follow.",
        ),
        VersionKind.FINAL: (
            "Le compte rendu du dossier {code} est disponible. Merci de l'ouvrir et d'en accuser réception.",
            "The report of case {code} is there. Please open it and acknowledge it.",
        ),
        VersionKind.ADDENDUM: (
            "Un addendum complète le compte rendu du dossier {code} : la version {version} est à lire et à acquitter.",
            "An addendum completes the report of case {code}: please read and acknowledge version {version}.",
        ),
        VersionKind.REPLACEMENT: (
            "Le compte rendu du dossier {code} est REMPLACÉ : seule la version {version} vaut. À relire et acquitter.",
            "The report of case {code} is REPLACED: version {version} alone is valid. Read and acknowledge it again.",
        ),
        VersionKind.RETRACTION: (
            "Le compte rendu du dossier {code} est RETIRÉ : ne vous y fiez plus, prévenez qui l'a fait, acquittez.",
            "The report of case {code} is WITHDRAWN: rely on it no longer, tell whoever did, and acknowledge.",
        ),
    }
)


class EmailWay:
    """The channel `DeliveryChannel.EMAIL`.

    Parameters
    ----------
    channel : Channel
        Takes messages of `ChannelKind.EMAIL`: a relay, or a gateway over HTTP.
    report_url : str
        Where a case's report is read; the case's id is appended. Empty: texts say where to look without a link.
    """

    channel: Final = DeliveryChannel.EMAIL

    def __init__(self, channel: Channel, report_url: str) -> None:
        self._channel = channel
        self._report_url = report_url

    def deliver(self, parcel: Parcel) -> Outcome:
        """Hand the mail over; what is in doubt is sent again: a second mail does less harm than none."""
        try:
            outcome = self._channel.hand_over(mail(parcel.delivery, self._report_url))
        finally:
            self._channel.close()
        match outcome:
            case Sent():
                return HandedOn()
            case NotSent() | Unsure():
                return NotArrived(reason=outcome.reason)


def mail(delivery: Delivery, report_url: str) -> Message:
    """Return the mail that tells of a version, in French and English."""
    code = case_code(delivery.case_id)
    french, english = _SUBJECTS[delivery.kind]
    said = [saying.format(code=code, version=delivery.version) for saying in _SAYINGS[delivery.kind]]
    link = f"{report_url}{quote(delivery.case_id, safe='')}" if report_url else "Telegarde"
    paragraphs = [f"{said[0]}\n{link}", f"{said[1]}\n{link}"]
    if delivery.recipient_kind is RecipientKind.READER_OF_EARLIER_VERSION:
        paragraphs.append(
            "Vous recevez ce message car vous avez ouvert une version précédente."
            "\nYou get this message because you have opened an earlier version."
        )
    return Message(
        message_key=f"delivery/{delivery.delivery_id}",
        person_id=PersonId(delivery.recipient),
        channel=ChannelKind.EMAIL,
        address=delivery.address,
        subject=f"Telegarde {code} : {french} / {english}",
        text="\n\n".join(paragraphs),
        due_at=delivery.planned_at,
        case_id=delivery.case_id,
    )
