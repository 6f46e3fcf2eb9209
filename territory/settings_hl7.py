"""What can be set about HL7 messages: where they come in, whose are taken, and where they go.

For: the values, like `territory.settings_model`. Not for: how they fit together (`territory.settings_checks`), or
acting on them (`territory.hl7_parts`).
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from pacs.worklist.hl7 import characters
from pacs.worklist.hl7.destinations import ANSWER_S_MAX
from territory import settings_messages as messages
from territory.settings_reader import (
    Invalid,
    Network,
    boolean,
    choice,
    host_name,
    list_of,
    network,
    number,
    port,
    required,
    setting,
    text,
    whole_number,
)
from territory.settings_routing import routing_name

# Two settings of one table are ports, and the first is called so.
_tcp_port: Final = port


class Hl7Traffic(StrEnum):
    """What a destination is sent of its site's orders, beside the reports that the directory addresses to it."""

    ANSWERS = "answers"  # to whoever asked: accepted with its protocol, or refused (ORU^R01)
    ORDER_STATUS = "order_status"  # in progress, completed, cancelled (ORM^O01 with SC)
    ORDERS = "orders"  # to the hospital's RIS: what is asked of it (ORM^O01)


def _character_set(value: Any) -> str:
    try:
        characters.codec_of(text(value))
    except characters.UnknownCharacterSet:
        raise Invalid(messages.HL7_CHARACTER_SET_WANTED.format(known=", ".join(characters.TABLE_NAMES))) from None
    return str(value)


def _processing_id(value: Any) -> str:
    if value not in ("P", "T", "D"):
        raise Invalid(messages.CHOICE_WANTED.format(choices="P, T, D"))
    return str(value)


@dataclass(frozen=True, kw_only=True, slots=True)
class Hl7Sender:
    """One entry of `[[hl7.senders]]`: an application whose messages are taken."""

    application: str = required(text)
    facility: str = setting(text, "")
    site: str = required(text)
    issuer: str = setting(text, "")
    character_set: str = setting(_character_set, characters.ASCII)
    addresses: tuple[Network, ...] = required(list_of(network))
    tls: bool = setting(boolean, False)
    certificate_names: tuple[str, ...] = setting(list_of(text), ())


@dataclass(frozen=True, kw_only=True, slots=True)
class Hl7Destination:
    """One entry of `[[hl7.destinations]]`: a system that messages go to."""

    name: str = required(routing_name)
    site: str = setting(text, "")
    host: str = required(host_name)
    port: int = required(_tcp_port)
    tls: bool = setting(boolean, False)
    application: str = setting(text, "")
    facility: str = setting(text, "")
    character_set: str = setting(_character_set, "UNICODE UTF-8")
    answer_s: float = setting(number(1, ANSWER_S_MAX), 30.0)
    sends: tuple[Hl7Traffic, ...] = setting(list_of(choice(Hl7Traffic)), ())


@dataclass(frozen=True, kw_only=True, slots=True)
class Hl7:
    """`[hl7]`: messages by MLLP; without the table there are none."""

    host: str = setting(host_name, "0.0.0.0")  # noqa: S104  # access is decided per sender address
    port: int = setting(_tcp_port, 2575)
    tls_port: int | None = setting(_tcp_port, None)
    accept_without_tls: bool = setting(boolean, True)
    application: str = setting(text, "TELEGARDE")
    facility: str = setting(text, "")
    organisation: str = setting(text, "")
    finess: str = setting(text, "")
    processing_id: str = setting(_processing_id, "P")
    message_bytes_max: int = setting(whole_number(65_536, 268_435_456), 8_388_608)
    connections_max: int = setting(whole_number(1, 1_000), 64)
    idle_s: float = setting(number(1, 604_800), 86_400.0)
    message_s: float = setting(number(1, 3_600), 60.0)
    keep_days: int = setting(whole_number(1, 3_650), 90)
    senders: tuple[Hl7Sender, ...] = ()
    destinations: tuple[Hl7Destination, ...] = ()

    def destination(self, name: str) -> Hl7Destination | None:
        """Return the destination of this name, if any."""
        return next((one for one in self.destinations if one.name == name), None)
