"""The interfaces as a process of its own beside the DICOM workers: HL7 messages in and out, and forwarding of studies.

For: when it runs (``[hl7]`` or routing is configured), and what it is made of. Not for: what the parts do
(`territory.hl7_parts`, `territory.routing_parts`), or keeping processes (`territory.process_keeper`).
"""

import socket
import sys
from collections.abc import Sequence

import pacs.worklist.hl7.context_schema  # adds its tables to those that a node creates
import pacs.worklist.hl7.schema  # adds its tables to those that a node creates
import pacs.worklist.identity_schema  # noqa: F401  # adds its tables to those that a node creates
from foundation.clock import Clock
from territory import kept_process
from territory.launch import Launch
from territory.listening import open_port
from territory.process_keeper import ProcessKeeper
from territory.routing_parts import has_routing
from territory.settings import Settings


def interfaces_keeper(
    settings: Settings, ports: Sequence[tuple[socket.socket, bool]], *, clock: Clock | None = None
) -> ProcessKeeper:
    """Return what keeps the interfaces' process running when anything is configured for it.

    Parameters
    ----------
    ports : sequence of (socket, bool)
        As `hl7_ports` returned them; closed by the caller.
    """
    is_configured = settings.hl7 is not None or has_routing(settings)
    return ProcessKeeper(
        "interfaces", "territory.interfaces_process", settings,
        is_wanted=lambda: is_configured, ports=ports, clock=clock,
    )  # fmt: skip


def hl7_ports(settings: Settings) -> list[tuple[socket.socket, bool]]:
    """Bind the ports for HL7 messages; return them, and whether connections on them begin with TLS.

    Raises
    ------
    territory.listening.PortTaken
        If one cannot be had.
    """
    hl7 = settings.hl7
    if hl7 is None:
        return []
    ports = []
    if hl7.accept_without_tls:
        ports.append((open_port(hl7.host, hl7.port, setting="hl7.port (--hl7-port)"), False))
    if hl7.tls_port is not None:
        ports.append((open_port(hl7.host, hl7.tls_port, setting="hl7.tls_port"), True))
    return ports


class InterfacesParts:
    """Everything in this process, started in one order and stopped in the other."""

    def __init__(self, parts: Sequence[kept_process.Parts], sockets: Sequence[socket.socket]) -> None:
        self._parts = tuple(parts)
        self._sockets = tuple(sockets)

    def start(self) -> None:
        """Begin, in threads of its own; returns at once."""
        for part in self._parts:
            part.start()

    def stop(self) -> None:
        """End after what is in hand, within a bound."""
        for part in reversed(self._parts):
            part.stop()
        for sock in self._sockets:
            sock.close()


def main() -> int:
    """Run the interfaces until told to stop, or until nobody is left who could."""
    return kept_process.run("interfaces", _make)


def _make(launch: Launch, worker: str) -> kept_process.Parts:
    from territory.hl7_parts import Hl7Parts
    from territory.routing_parts import RoutingParts

    settings = launch.settings
    sockets = [socket.socket(fileno=port.descriptor) for port in launch.ports]
    parts: list[kept_process.Parts] = []
    if has_routing(settings):
        parts.append(RoutingParts(settings, worker=worker))
    if settings.hl7 is not None:
        listening = [(sock, port.is_tls) for sock, port in zip(sockets, launch.ports, strict=True)]
        parts.append(Hl7Parts(settings, listening))
    return InterfacesParts(parts, sockets)


if __name__ == "__main__":
    sys.exit(main())
