"""A requestor that does one step at a time and may stop in the middle of an instance.

For: tests of what the node does to an association in a given moment. Not for: sending (`pacs.scu`).
"""

import socket
from collections import deque
from pathlib import Path
from typing import Self

import pydicom
from pydicom.filereader import read_file_meta_info

from pacs.archive.file_meta import IMPLEMENTATION_CLASS_UID
from pacs.upper_layer.associate import AssociateRequest, PresentationContextProposal, UserInformation
from pacs.upper_layer.connection import Role, UpperLayer
from pacs.upper_layer.dimse import Command, store_request
from pacs.upper_layer.events import AssociateAccepted, CommandReceived, Event, ReleaseCompleted

VERIFICATION = "1.2.840.10008.1.1"
IMPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2"
CONTEXT_ID = 1
WAIT_S_MAX = 60.0


class Refused(Exception):
    """The node did not accept the association; has the event that came instead."""


class StepwiseRequestor:
    """One association on the loopback; closed at the end without saying goodbye.

    Parameters
    ----------
    port : int
        Where the node listens.
    file : Path, optional
        What will be sent: decides the presentation context; without it, Verification.
    """

    def __init__(
        self, port: int, *, file: Path | None = None, calling_aet: str = "STEPWISE", called_aet: str = "TELEGARDE"
    ) -> None:
        self._file = file
        self._upper = UpperLayer(Role.REQUESTOR)
        self._events: deque[Event] = deque()
        self._rest = b""
        abstract_syntax, transfer_syntax = VERIFICATION, IMPLICIT_VR_LITTLE_ENDIAN
        if file is not None:
            meta = read_file_meta_info(file)
            abstract_syntax, transfer_syntax = str(meta.MediaStorageSOPClassUID), str(meta.TransferSyntaxUID)
        self._abstract_syntax = abstract_syntax
        proposal = PresentationContextProposal(
            context_id=CONTEXT_ID, abstract_syntax=abstract_syntax, transfer_syntaxes=(transfer_syntax,)
        )
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=WAIT_S_MAX)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(
            self._upper.associate_request(
                AssociateRequest(
                    called_ae_title=called_aet,
                    calling_ae_title=calling_aet,
                    presentation_contexts=(proposal,),
                    user_information=UserInformation(
                        maximum_length=16_384,
                        implementation_class_uid=IMPLEMENTATION_CLASS_UID,
                        implementation_version_name="STEPWISE",
                    ),
                )
            )
        )
        event = self.next_event()
        if not isinstance(event, AssociateAccepted):
            self.close()
            raise Refused(event)

    def begin_store(self) -> None:
        """Send a C-STORE request and the first half of its data set."""
        assert self._file is not None
        meta = read_file_meta_info(self._file)
        command = store_request(1, self._abstract_syntax, str(meta.MediaStorageSOPInstanceUID))
        pdus = b"".join(self._upper.pdata_dataset(CONTEXT_ID, dataset_bytes(self._file)))
        half = len(pdus) // 2
        self._socket.sendall(self._upper.pdata_command(CONTEXT_ID, command) + pdus[:half])
        self._rest = pdus[half:]

    def finish_store(self) -> Command:
        """Send the rest of the data set and return the response."""
        self._socket.sendall(self._rest)
        event = self.next_event()
        assert isinstance(event, CommandReceived), event
        return event.command

    def release(self) -> None:
        """End the association politely."""
        self._socket.sendall(self._upper.release_request())
        event = self.next_event()
        assert isinstance(event, ReleaseCompleted), event
        self.close()

    def next_event(self) -> Event:
        """Wait for what the node does next; an end of the connection is an event too.

        Raises
        ------
        TimeoutError
            If it does nothing within `WAIT_S_MAX`.
        """
        while not self._events:
            buffer = self._upper.receive_buffer()
            try:
                received = self._socket.recv_into(buffer)
            except ConnectionResetError:
                received = 0
            self._events.extend(self._upper.bytes_received(received))
        return self._events.popleft()

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def __enter__(self) -> Self:
        """Return this requestor."""
        return self

    def __exit__(self, *_: object) -> None:
        """Hang up."""
        self.close()


def dataset_bytes(file: Path) -> bytes:
    """Return what C-STORE carries of a Part 10 file: everything after the file meta information."""
    content = file.read_bytes()
    meta = pydicom.dcmread(file, specific_tags=[]).file_meta
    # Preamble, prefix, the group length element itself, and as much as it says (PS3.10 7.1).
    return content[132 + 12 + int(meta.FileMetaInformationGroupLength) :]
