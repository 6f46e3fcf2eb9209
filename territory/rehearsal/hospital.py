"""The emergency department's system in a rehearsal: it asks for exams by HL7 and listens for reports, over MLLP.

For: a peer that is not ours: messages are read and sent by the library `hl7`. Not for: what a hospital's system does
with a report.

Invariant: it acknowledges what it was given, each message with its own control id, and keeps all of them.
"""

import asyncio
import threading
from datetime import datetime
from typing import Any, Final

import hl7
import hl7.mllp
from hl7.client import MLLPClient

from territory.demo_node import LOOPBACK, StepFailed

NAME: Final = "SIH_FONTCLAIRE"
"""Its sending application, MSH-3."""


class HospitalSystem:
    """Sends requests to the node, and is sent reports."""

    def __init__(self) -> None:
        self.received: list[str] = []
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._server: Any = None
        self._thread = threading.Thread(target=self._serve, name="hospital-system", daemon=True)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.sockets[0].getsockname()[1])

    def start(self) -> None:
        """Listen from now on."""
        self._thread.start()
        self._ready.wait()

    def close(self) -> None:
        """Listen no more."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def send(self, port: int, message: str) -> str:
        """Send a message to the node; return MSA-1 of the answer.

        Raises
        ------
        StepFailed
            If it answers nothing that can be read.
        """
        with MLLPClient(LOOPBACK, port, encoding="utf-8") as client:
            answer = client.send_message(message)
        try:
            return str(hl7.parse(answer.decode().strip("\x0b\x1c\r") + "\r").segment("MSA")[1])
        except (hl7.HL7Exception, KeyError) as error:
            raise StepFailed("the node's answer is no acknowledgement") from error

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._server = self._loop.run_until_complete(
            hl7.mllp.start_hl7_server(self._take, host=LOOPBACK, port=0, encoding="utf-8")
        )
        self._ready.set()
        self._loop.run_forever()
        self._server.close()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.close()

    async def _take(self, reader: Any, writer: Any) -> None:
        try:
            while not writer.is_closing():
                message = await reader.readmessage()
                self.received.append(str(message))
                writer.writemessage(message.create_ack())
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            writer.close()


def request(
    *, control_id: str, order: str, patient_id: str, name: str, at: datetime, accession_number: str = "",
    is_cancelled: bool = False,
) -> str:  # fmt: skip
    """Return an order for an emergency CT of the head (ORM^O01): a stroke, STAT.

    Parameters
    ----------
    at : datetime
        When it is sent, with its offset.
    """
    stamp = f"{at:%Y%m%d%H%M%S%z}"
    requester, placer = "10003456789^ROY^CLAIRE", f"{order}^{NAME}"
    control = "CA" if is_cancelled else "NW"
    sent = f"MSH|^~\\&|{NAME}|FONTCLAIRE|TELEGARDE|GIE|{stamp}||ORM^O01^ORM_O01|{control_id}|P|2.5.1"
    asked = f"OBR|1|{placer}||TDMCRANE^TDM crane, AVC^L|S||{stamp}||||||deficit brutal|||{requester}"
    segments = (
        f"{sent}|||||FRA|UNICODE UTF-8",
        f"PID|1||{patient_id}^^^FONTCLAIRE^PI||{name}||19580312|F",
        "PV1|1|E|URG^BOX3",
        f"ORC|{control}|{placer}|||||1^once^^{stamp}^^S||{stamp}|||{requester}",
        f"{asked}||{accession_number}||||||CT",
    )
    return "\r".join(segments) + "\r"
