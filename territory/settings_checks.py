"""How settings must fit together, where their secrets come from, and how they are printed.

For: what no single value shows (a move destination that no peer is, TLS wanted but not set up). Pure but for reading
the files of secrets.
"""

import dataclasses
import ipaddress
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from territory import settings_messages as messages
from territory.settings_model import DATABASE_PASSWORD_VARIABLE, Peer, Right, Secret, Settings
from territory.settings_reader import Network, Problem

KEY_PASSWORD_VARIABLE: Final = "TELEGARDE_TLS_KEY_PASSWORD"  # noqa: S105  # the name of the variable, not a password
"""Environment variable with the password of the TLS private key."""

SMTP_PASSWORD_VARIABLE: Final = "TELEGARDE_SMTP_PASSWORD"  # noqa: S105  # the name of the variable, not a password
"""Environment variable with the password at the mail relay."""


def check(settings: Settings) -> list[Problem]:
    """Return what does not fit together, in the order of the file."""
    return [
        *_check_dicom(settings),
        *_check_oncall(settings),
        *(
            Problem(key=f"peers[{position}].{key}", message=message)
            for position, peer in enumerate(settings.peers, start=1)
            for key, message in _check_peer(settings, peer, position)
        ),
    ]


def _check_dicom(settings: Settings) -> Iterator[Problem]:
    dicom = settings.dicom
    if not dicom.aet:
        yield Problem(key="dicom.aet", message=messages.AET_NONE)
    if not dicom.accept_without_tls and dicom.tls is None:
        yield Problem(key="dicom.accept_without_tls", message=messages.NO_LISTENER)
    taken: dict[int, str] = {}
    if dicom.accept_without_tls:
        taken[dicom.port] = "dicom.port"
    listeners = [("dicom.tls.port", dicom.tls.port)] if dicom.tls else []
    if settings.oncall.web is not None:
        listeners.append(("oncall.web.port", settings.oncall.web.port))
    for key, port in [*listeners, ("http.port", settings.http.port)]:
        if port in taken:
            yield Problem(key=key, message=messages.PORT_TAKEN.format(other=taken[port]))
        taken[port] = key


def _check_oncall(settings: Settings) -> Iterator[Problem]:
    oncall = settings.oncall
    urls = (
        ("answer_url", oncall.answer_url),
        ("ntfy_url", oncall.ntfy_url),
        ("delivery.report_url", oncall.delivery.report_url),
    )
    for key, url in urls:
        # A link in a page answers it: whoever reads it on the way could.
        if url and not url.startswith(("https://", "http://127.0.0.1", "http://localhost")):
            yield Problem(key=f"oncall.{key}", message=messages.HTTPS_WANTED)
    stamps = oncall.time_stamps
    if stamps is not None and not stamps.url.startswith(("https://", "http://")):
        yield Problem(key="oncall.time_stamps.url", message=messages.HTTP_URL_WANTED)


def _check_peer(settings: Settings, peer: Peer, position: int) -> Iterator[tuple[str, str]]:
    if any(other.aet == peer.aet for other in settings.peers[: position - 1]):
        yield "aet", messages.PEER_TWICE.format(aet=peer.aet)
    if (peer.host is None) != (peer.port is None):
        yield "host", messages.PEER_HOST_AND_PORT
    if peer.tls and settings.dicom.tls is None:
        yield "tls", messages.PEER_TLS_UNAVAILABLE
    if peer.rights and not peer.tls and not settings.dicom.accept_without_tls:
        yield "tls", messages.PEER_PLAIN_UNAVAILABLE
    if peer.certificate_names and not peer.tls:
        yield "certificate_names", messages.PEER_CERTIFICATE_WITHOUT_TLS
    if peer.rights and not calling_networks(peer):
        yield "addresses", messages.PEER_ADDRESSES_MISSING
    if Right.STORE in peer.rights and not peer.issuer:
        yield "issuer", messages.PEER_ISSUER_MISSING
    if Right.WORKLIST in peer.rights and not peer.site:
        yield "site", messages.PEER_SITE_MISSING
    yield from _check_destinations(settings, peer)


def _check_destinations(settings: Settings, peer: Peer) -> Iterator[tuple[str, str]]:
    if peer.move_destinations and Right.RETRIEVE not in peer.rights:
        yield "move_destinations", messages.DESTINATION_WITHOUT_RETRIEVE
    if "*" in peer.move_destinations:
        if len(peer.move_destinations) > 1:
            yield "move_destinations", messages.DESTINATION_STAR_ALONE
        return
    for aet in peer.move_destinations:
        destination = settings.peer(aet)
        if destination is None:
            yield "move_destinations", messages.DESTINATION_UNKNOWN.format(aet=aet)
        elif not destination.is_callable:
            yield "move_destinations", messages.DESTINATION_NOT_CALLABLE.format(aet=aet)


def calling_networks(peer: Peer) -> tuple[Network, ...]:
    """Return where the peer may call from: its `addresses`, else its `host` when that is an IP address."""
    if peer.addresses or peer.host is None:
        return peer.addresses
    try:
        return (ipaddress.ip_network(peer.host),)
    except ValueError:
        return ()


def with_secrets(settings: Settings, environment: Mapping[str, str], problems: list[Problem]) -> Settings:
    """Return the settings with their secrets read; append what is wrong to `problems`."""
    archive, tls, email = settings.archive, settings.dicom.tls, settings.oncall.email
    return dataclasses.replace(
        settings,
        database_password=_secret(
            archive.database_password_file, DATABASE_PASSWORD_VARIABLE, environment,
            key="archive.database_password_file", problems=problems,
        ),
        key_password=_secret(
            tls.key_password_file if tls else None, KEY_PASSWORD_VARIABLE, environment,
            key="dicom.tls.key_password_file", problems=problems,
        ),
        smtp_password=_secret(
            email.password_file if email else None, SMTP_PASSWORD_VARIABLE, environment,
            key="oncall.email.password_file", problems=problems,
        ),
    )  # fmt: skip


def _secret(
    file: Path | None, variable: str, environment: Mapping[str, str], *, key: str, problems: list[Problem]
) -> Secret | None:
    from_environment = environment.get(variable)
    if file is None:
        return Secret(from_environment) if from_environment else None
    if from_environment:
        problems.append(Problem(key=key, message=messages.SECRET_TWICE.format(variable=variable)))
        return None
    try:
        lines = file.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        problems.append(Problem(key=key, message=messages.SECRET_FILE_UNREADABLE.format(reason=reason)))
        return None
    if not lines or not lines[0]:
        problems.append(Problem(key=key, message=messages.SECRET_FILE_EMPTY))
        return None
    return Secret(lines[0])


def plain(value: Any) -> Any:
    """Return settings as JSON values: dataclasses as objects, paths, networks and secrets (masked) as text."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    if isinstance(value, StrEnum):
        return value.value
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(value)
