"""Where messages go: the systems that this node sends to, as the settings name them.

For: values. Not for: sockets (`pacs.worklist.hl7.exchange`) or queues (`pacs.worklist.hl7.outgoing`).
"""

import ssl
from dataclasses import dataclass
from typing import Final

CONNECT_S: Final = 10.0
"""To connect, TLS included; as `dicom.timeouts.connect_s`."""

ANSWER_S_MAX: Final = 120.0
"""The longest wait for an acknowledgement that can be configured."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Destination:
    """A system that takes messages by MLLP.

    Attributes
    ----------
    name : str
        As in ``[[hl7.destinations]]``.
    site_id : str
        The hospital whose system it is; '' for one of the territory.
    tls : ssl.SSLContext or None
    application, facility : str
        MSH-5 and MSH-6 of what it is sent.
    character_set : str
        MSH-18 of what it is sent.
    answer_s : float
        Seconds to wait for each acknowledgement.
    """

    name: str
    site_id: str
    host: str
    port: int
    tls: ssl.SSLContext | None = None
    application: str = ""
    facility: str = ""
    character_set: str = "UNICODE UTF-8"
    answer_s: float = 30.0
