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
from urllib.parse import urlsplit

from territory import settings_messages as messages
from territory.settings_hl7 import Hl7, Hl7Sender
from territory.settings_model import DATABASE_PASSWORD_VARIABLE, LOOPBACK, Peer, Right, Secret, Settings
from territory.settings_reader import Network, Problem
from territory.settings_routing import Destination

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
        *_check_routing(settings),
        *_check_hl7(settings),
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
    if settings.hl7 is not None:
        listeners += [("hl7.port", settings.hl7.port)] if settings.hl7.accept_without_tls else []
        listeners += [("hl7.tls_port", settings.hl7.tls_port)] if settings.hl7.tls_port is not None else []
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


def _check_hl7(settings: Settings) -> Iterator[Problem]:
    hl7 = settings.hl7
    if hl7 is None:
        return
    if not hl7.accept_without_tls and hl7.tls_port is None:
        yield Problem(key="hl7.accept_without_tls", message=messages.HL7_NO_LISTENER)
    if hl7.tls_port is not None and settings.dicom.tls is None:
        yield Problem(key="hl7.tls_port", message=messages.HL7_TLS_UNAVAILABLE)
    for position, sender in enumerate(hl7.senders, start=1):
        for key, message in _check_hl7_sender(hl7, sender, position):
            yield Problem(key=f"hl7.senders[{position}].{key}", message=message)
    for position, destination in enumerate(hl7.destinations, start=1):
        key = f"hl7.destinations[{position}]"
        if any(other.name == destination.name for other in hl7.destinations[: position - 1]):
            yield Problem(key=f"{key}.name", message=messages.HL7_DESTINATION_TWICE.format(name=destination.name))
        if destination.tls and settings.dicom.tls is None:
            yield Problem(key=f"{key}.tls", message=messages.HL7_TLS_UNAVAILABLE)
        if destination.sends and not destination.site:
            yield Problem(key=f"{key}.sends", message=messages.HL7_SENDS_WITHOUT_SITE)


def _check_hl7_sender(hl7: Hl7, sender: Hl7Sender, position: int) -> Iterator[tuple[str, str]]:
    earlier = ((other.application, other.facility) for other in hl7.senders[: position - 1])
    if (sender.application, sender.facility) in earlier:
        yield "application", messages.HL7_SENDER_TWICE.format(application=sender.application)
    if not sender.application:
        yield "application", messages.HL7_SENDER_NAMELESS
    if not sender.site:
        yield "site", messages.HL7_SITE_MISSING
    if not sender.addresses:
        yield "addresses", messages.HL7_ADDRESSES_MISSING
    if sender.tls and hl7.tls_port is None:
        yield "tls", messages.HL7_SENDER_TLS_UNAVAILABLE
    if not sender.tls and not hl7.accept_without_tls:
        yield "tls", messages.HL7_SENDER_PLAIN_UNAVAILABLE
    if sender.certificate_names and not sender.tls:
        yield "certificate_names", messages.PEER_CERTIFICATE_WITHOUT_TLS


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


def _check_routing(settings: Settings) -> Iterator[Problem]:
    for key, names in (
        ("destinations", [one.name for one in settings.destinations]),
        ("routes", [one.name for one in settings.routes]),
        ("watched_sites", [one.site for one in settings.watched_sites]),
    ):
        for position, named in enumerate(names, start=1):
            if named in names[: position - 1]:
                where = f"{key}[{position}].{'site' if key == 'watched_sites' else 'name'}"
                yield Problem(key=where, message=messages.NAMED_TWICE.format(name=named))
    for position, destination in enumerate(settings.destinations, start=1):
        for key, message in _check_destination(settings, destination):
            yield Problem(key=f"destinations[{position}].{key}", message=message)
    known = {destination.name for destination in settings.destinations}
    for position, route in enumerate(settings.routes, start=1):
        if not route.destinations:
            yield Problem(key=f"routes[{position}].destinations", message=messages.ROUTE_DESTINATIONS_NONE)
        for named in route.destinations:
            if named not in known:
                message = messages.ROUTE_DESTINATION_UNKNOWN.format(name=named)
                yield Problem(key=f"routes[{position}].destinations", message=message)
    for position, watched in enumerate(settings.watched_sites, start=1):
        for aet in watched.echo_peers:
            if not _is_callable(settings, aet):
                message = messages.PEER_UNCALLABLE.format(aet=aet)
                yield Problem(key=f"watched_sites[{position}].echo_peers", message=message)


def _check_destination(settings: Settings, destination: Destination) -> Iterator[tuple[str, str]]:
    if (destination.aet is None) == (destination.url is None):
        yield "aet", messages.ROUTE_DESTINATION_ONE_WAY
    if destination.aet is not None and not _is_callable(settings, destination.aet):
        yield "aet", messages.PEER_UNCALLABLE.format(aet=destination.aet)
    # Credentials and images of patients go there: whoever reads them on the way could.
    if destination.url and not _is_protected(destination.url):
        yield "url", messages.ROUTE_URL_WANTED
    if destination.url is None:
        for key in ("username", "password_file", "token_file", "ca_file"):
            if getattr(destination, key):
                yield key, messages.ROUTE_PLAIN_ALLOWED
    if bool(destination.username) != bool(destination.password_file) or (
        destination.username and destination.token_file
    ):
        yield "username", messages.ROUTE_PASSWORD_WITHOUT_NAME


def _is_protected(url: str) -> bool:
    parts = urlsplit(url)
    is_here = parts.scheme == "http" and parts.hostname in {LOOPBACK, "localhost", "::1"}
    return bool(parts.hostname) and (parts.scheme == "https" or is_here)


def _is_callable(settings: Settings, aet: str) -> bool:
    peer = settings.peer(aet)
    return peer is not None and peer.is_callable


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
    for position, destination in enumerate(settings.destinations, start=1):
        for name, file in (("password_file", destination.password_file), ("token_file", destination.token_file)):
            # Read again by the process that sends; here only so that what is wrong is said at once.
            _secret(file, "", {}, key=f"destinations[{position}].{name}", problems=problems)
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
