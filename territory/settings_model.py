"""What can be set: frozen dataclasses, one per table of the settings file, with unit, default and bounds.

For: the values. Not for: reading them (`territory.settings`), or how they fit together (`territory.settings_checks`).

Invariant: the defaults refuse; every right, peer and private SOP class is configured by name. `telegarde.example.toml`
shows every setting with its reason; a test keeps it equal to this module.
"""

# ruff: noqa: RUF009  # `setting` and `required` are dataclasses.field with a reader

import dataclasses
import os
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from foundation.database import sqlite_url
from territory import settings_messages as messages
from territory.settings_hl7 import Hl7
from territory.settings_reader import (
    Invalid,
    Network,
    absolute_path,
    ae_title,
    ae_title_or_star,
    boolean,
    choice,
    host_name,
    list_of,
    network,
    number,
    port,
    private_sop_class,
    required,
    setting,
    text,
    whole_number,
)
from territory.settings_routing import Destination, Route, Routing, WatchedSite

PDU_LENGTH_BYTES_DEFAULT: Final = 131_072
"""Five PDUs for a CT image instead of 33 at DCMTK's 16 KiB; larger gains nothing measurable."""

WORKERS_MAX: Final = 64
"""Each holds a thread and a buffer per association; more processes than processors gain nothing."""

DATABASE_PASSWORD_VARIABLE: Final = "TELEGARDE_DATABASE_PASSWORD"  # noqa: S105  # its name, not a password
"""Environment variable with the password of the database."""

LOOPBACK: Final = "127.0.0.1"
"""The only address of the open demonstration configuration."""

DATABASE_FILE_NAME: Final = "index.sqlite"
"""The default database, inside the data directory."""

CONFIGURATION_NAME: Final = "telegarde.toml"
"""The configuration that ``telegarde init`` writes into a data directory."""


class Duplicates(StrEnum):
    """What other bytes under a known SOP Instance UID get; the same bytes are always acknowledged and kept once."""

    KEEP_FIRST = "keep_first"  # 0xB000; the first stays served, the other is kept as evidence and an event says so
    REFUSE_CONFLICTS = "refuse_conflicts"  # 0x0111; the first stays served, the other is not kept


class Right(StrEnum):
    """What a peer may ask for."""

    STORE = "store"
    QUERY = "query"
    RETRIEVE = "retrieve"
    COMMIT = "commit"
    WORKLIST = "worklist"  # Modality Worklist and Modality Performed Procedure Step, of its own site
    WORKITEMS = "workitems"  # Unified Procedure Step


class OncallMode(StrEnum):
    """When the on-call engine runs."""

    AUTO = "auto"  # once a directory and a roster are published
    ON = "on"
    OFF = "off"


class SmtpSecurity(StrEnum):
    """How the session with the mail relay is protected."""

    TLS = "tls"
    STARTTLS = "starttls"
    NONE = "none"  # for a relay on this machine


class Secret:
    """Text that no `repr`, log line or printed configuration shows."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the secret itself, for the one call that needs it."""
        return self._text

    def __repr__(self) -> str:
        """Return a mask."""
        return "***"

    def __eq__(self, other: object) -> bool:
        """Compare the secrets."""
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        """Hash the secret."""
        return hash(self._text)


def _database_url(value: Any) -> str:
    try:
        url = make_url(text(value))
    except ArgumentError:
        raise Invalid(messages.DATABASE_URL_WANTED) from None
    if url.drivername not in {"sqlite", "postgresql+psycopg"} or not url.database:
        raise Invalid(messages.DATABASE_URL_WANTED)
    if url.password is not None or "password" in url.query:
        raise Invalid(messages.DATABASE_PASSWORD_IN_URL.format(variable=DATABASE_PASSWORD_VARIABLE))
    return value  # type: ignore[no-any-return]  # text() has checked it


def _processors(value: Any) -> int:
    count = whole_number(0, WORKERS_MAX)(value)
    return count or _processor_count()


def _processor_count() -> int:
    return min(len(os.sched_getaffinity(0)), WORKERS_MAX)


@dataclass(frozen=True, kw_only=True, slots=True)
class Archive:
    """`[archive]`: where bytes and index live."""

    data_dir: Path = required(absolute_path)
    database_url: str | None = setting(_database_url, None)
    database_password_file: Path | None = setting(absolute_path, None)
    free_space_reserve_bytes: int = setting(whole_number(0, 2**50), 1_073_741_824)


@dataclass(frozen=True, kw_only=True, slots=True)
class Tls:
    """`[dicom.tls]`: DICOM over TLS by BCP 195 (PS3.15 B.12); peers must show a certificate that `ca_file` signed."""

    port: int = setting(port, 2762)
    certificate_file: Path = required(absolute_path)
    key_file: Path = required(absolute_path)
    key_password_file: Path | None = setting(absolute_path, None)
    ca_file: Path = required(absolute_path)


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """`[dicom.limits]`: bounds on what peers can make this node hold or do."""

    associations_max: int = setting(whole_number(1, 10_000), 256)
    associations_per_peer_max: int = setting(whole_number(1, 10_000), 64)
    pdu_length_bytes_max: int = setting(whole_number(4_096, 1_048_576), PDU_LENGTH_BYTES_DEFAULT)
    find_results_max: int = setting(whole_number(1, 1_000_000), 10_000)


@dataclass(frozen=True, kw_only=True, slots=True)
class Timeouts:
    """`[dicom.timeouts]`, in seconds."""

    artim_s: float = setting(number(0.1, 3_600), 30.0)
    idle_s: float = setting(number(1, 86_400), 600.0)
    connect_s: float = setting(number(0.1, 600), 10.0)
    response_s: float = setting(number(1, 3_600), 60.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Storage:
    """`[dicom.storage]`: what is taken in. Every standard storage SOP class is; private ones are listed."""

    private_sop_classes: tuple[str, ...] = setting(list_of(private_sop_class), ())
    duplicates: Duplicates = setting(choice(Duplicates), Duplicates.KEEP_FIRST)


@dataclass(frozen=True, kw_only=True, slots=True)
class Dicom:
    """`[dicom]`: the node's own AE titles and ports."""

    aet: tuple[str, ...] = required(list_of(ae_title))
    host: str = setting(host_name, "0.0.0.0")  # noqa: S104  # access is decided per peer address, not by the interface
    port: int = setting(port, 11112)
    accept_without_tls: bool = setting(boolean, True)
    workers: int = setting(_processors, _processor_count())
    limits: Limits
    timeouts: Timeouts
    storage: Storage
    tls: Tls | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Http:
    """`[http]`: health and status."""

    host: str = setting(host_name, LOOPBACK)
    port: int = setting(port, 8042)


@dataclass(frozen=True, kw_only=True, slots=True)
class OncallEmail:
    """`[oncall.email]`: the relay that pages and notices by e-mail go through."""

    host: str = required(host_name)
    port: int = setting(port, 587)
    sender: str = required(text)
    security: SmtpSecurity = setting(choice(SmtpSecurity), SmtpSecurity.STARTTLS)
    username: str = setting(text, "")
    password_file: Path | None = setting(absolute_path, None)


@dataclass(frozen=True, kw_only=True, slots=True)
class OncallWeb:
    """`[oncall.web]`: the pages and the JSON interface of the on-call engine; without the table there are none."""

    host: str = setting(host_name, LOOPBACK)
    port: int = setting(port, 8043)
    access_file: Path | None = setting(absolute_path, None)


@dataclass(frozen=True, kw_only=True, slots=True)
class OncallDelivery:
    """`[oncall.delivery]`: how signed reports reach the hospitals and this node's own archive."""

    aet: str = setting(ae_title, "TELEGARDE_CR")
    report_url: str | None = setting(text, None)
    first_wait_s: float = setting(number(1, 3_600), 5.0)
    wait_max_s: float = setting(number(1, 86_400), 300.0)
    font_directory: Path | None = setting(absolute_path, None)


@dataclass(frozen=True, kw_only=True, slots=True)
class OncallImages:
    """`[oncall.images]`: how long without a new image evidence takes to complete an exam (docs/completeness.md)."""

    quiet_s: float = setting(number(1, 3_600), 90.0)
    association_quiet_s: float = setting(number(1, 3_600), 45.0)
    commitment_quiet_s: float = setting(number(1, 3_600), 45.0)
    said_quiet_s: float = setting(number(1, 600), 10.0)
    exam_quiet_s: float = setting(number(1, 7_200), 300.0)
    cut_quiet_s: float = setting(number(1, 7_200), 600.0)
    stalled_s: float = setting(number(1, 3_600), 120.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class OncallTimeStamps:
    """`[oncall.time_stamps]`: who stamps signatures and seals (RFC 3161); without the table nobody does."""

    url: str = required(text)
    roots_file: Path = required(absolute_path)
    timeout_s: float = setting(number(1, 60), 10.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Oncall:
    """`[oncall]`: the on-call engine, a process of its own."""

    mode: OncallMode = setting(choice(OncallMode), OncallMode.AUTO)
    tick_s: float = setting(number(0.1, 60), 1.0)
    answer_url: str | None = setting(text, None)
    ntfy_url: str | None = setting(text, None)
    gateways_file: Path | None = setting(absolute_path, None)
    gateway_secrets_file: Path | None = setting(absolute_path, None)
    email: OncallEmail | None = None
    web: OncallWeb | None = None
    delivery: OncallDelivery = dataclasses.field(default_factory=OncallDelivery)
    time_stamps: OncallTimeStamps | None = None
    images: OncallImages = dataclasses.field(default_factory=OncallImages)


@dataclass(frozen=True, kw_only=True, slots=True)
class Peer:
    """One entry of `[[peers]]`: an AE that may call this node, that this node calls, or both."""

    aet: str = required(ae_title)
    host: str | None = setting(host_name, None)
    port: int | None = setting(port, None)
    tls: bool = setting(boolean, False)
    certificate_names: tuple[str, ...] = setting(list_of(text), ())
    addresses: tuple[Network, ...] = setting(list_of(network), ())
    rights: tuple[Right, ...] = setting(list_of(choice(Right)), ())
    issuer: str = setting(text, "")
    site: str = setting(text, "")
    person: str = setting(text, "")
    move_destinations: tuple[str, ...] = setting(list_of(ae_title_or_star), ())
    associations_max: int | None = setting(whole_number(1, 10_000), None)

    @property
    def is_callable(self) -> bool:
        """Say whether this node can open an association with the peer."""
        return self.host is not None and self.port is not None


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """Everything, checked: a `Settings` that exists can be used.

    Attributes
    ----------
    is_open_loopback : bool
        Any calling AE title has every right, from 127.0.0.1 only; no settings file can turn this on.
    database_password, key_password, smtp_password : Secret or None
        As read from the environment or the named files.
    """

    archive: Archive
    dicom: Dicom
    http: Http
    peers: tuple[Peer, ...]
    oncall: Oncall = dataclasses.field(default_factory=Oncall)
    routing: Routing = dataclasses.field(default_factory=Routing)
    destinations: tuple[Destination, ...] = ()
    routes: tuple[Route, ...] = ()
    watched_sites: tuple[WatchedSite, ...] = ()
    hl7: Hl7 | None = None
    is_open_loopback: bool = False
    database_password: Secret | None = None
    key_password: Secret | None = None
    smtp_password: Secret | None = None

    @property
    def database_url(self) -> str:
        """The URL for `foundation.database.Database`, password included: never print it, use `describe`."""
        if self.archive.database_url is None:
            return sqlite_url(self.archive.data_dir / DATABASE_FILE_NAME)
        url = make_url(self.archive.database_url)
        if self.database_password is not None:
            url = url.set(password=self.database_password.reveal())
        return url.render_as_string(hide_password=False)

    def peer(self, aet: str) -> Peer | None:
        """Return the configured peer with this AE title, if any."""
        return next((peer for peer in self.peers if peer.aet == aet), None)
