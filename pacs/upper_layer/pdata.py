"""Receiving P-DATA-TF: the hot path.

For: turning P-DATA-TF PDUs into `CommandReceived` and `DataFragment` events as their bytes arrive, without waiting
for a whole PDU and without copying data sets. Not for: other PDUs and states (`connection`).

Invariants: memory held is at most one command set, whatever lengths a peer announces. A data set is
announced by a command, on the same context, and ends before the next command begins.

References
----------
PS3.8 9.3.5, Annex E; PS3.7 6.3
"""

from __future__ import annotations

import struct
from collections.abc import Container
from typing import Final

from pacs.upper_layer.dimse import decode_command
from pacs.upper_layer.errors import AbortReason, RemoteProtocolError
from pacs.upper_layer.events import CommandReceived, DataFragment, Event
from pacs.upper_layer.limits import PDU_HEADER_BYTES, PDV_HEADER_BYTES
from pacs.upper_layer.pdu import COMMAND_BIT, LAST_BIT, PDV_HEADER, PduType

__all__ = ["PDataReceiver"]

_NO_CONTEXT: Final = -1
_UNLIMITED: Final = 0xFFFF_FFFF  # no longer PDU can be announced
_P_DATA_TF: Final = int(PduType.P_DATA_TF)
_LENGTH: Final = struct.Struct(">L")


class PDataReceiver:
    """Reads P-DATA-TF PDUs out of a buffer, piece by piece.

    Parameters
    ----------
    contexts : container of int
        Accepted presentation context IDs.
    pdu_length_max : int
        Maximum Length this side offered, in bytes; 0 is unlimited.
    command_set_bytes_max : int
        Longest command set taken.
    """

    def __init__(self, contexts: Container[int], pdu_length_max: int, command_set_bytes_max: int) -> None:
        self._contexts = contexts
        self._pdu_length_max = pdu_length_max or _UNLIMITED
        self._command_set_bytes_max = command_set_bytes_max
        self._pdu_left = 0  # bytes of the PDU in hand that are still to be read
        self._pdv_left = 0  # the same of the fragment in hand
        self._control = 0  # message control header of the fragment in hand
        self._command = bytearray()
        self._command_context = _NO_CONTEXT  # context of the command being assembled
        self._dataset_context = _NO_CONTEXT  # context of the data set that is due

    @property
    def is_inside_pdu(self) -> bool:
        """Whether more bytes of a P-DATA-TF are due before another PDU can begin."""
        return self._pdu_left > 0

    @property
    def direct_room(self) -> int:
        """How many bytes of the data set fragment in hand are still to come; 0 outside one."""
        return 0 if self._control & COMMAND_BIT else self._pdv_left

    def take_directly(self, length: int) -> bool:
        """Count bytes of the fragment in hand that its owner has received itself; say whether the data set is whole."""
        assert 0 < length <= self.direct_room
        self._pdu_left -= length
        self._pdv_left -= length
        if self._pdv_left or not self._control & LAST_BIT:
            return False
        self._dataset_context = _NO_CONTEXT
        return True

    def abandon(self) -> int:
        """Stop reading; return how many bytes of the PDU in hand are still to come."""
        left = self._pdu_left
        self._pdu_left = self._pdv_left = 0
        return left

    def receive(self, buffer: bytearray, view: memoryview, start: int, end: int, events: list[Event]) -> int:
        """Read what is there, up to the first byte of a PDU of another type.

        Parameters
        ----------
        buffer, view : bytearray, memoryview
            The same bytes; fragments are windows of `view`.
        start, end : int
            What has arrived and is not yet read.
        events : list
            Events are added to it, in wire order, also before an error is raised.

        Returns
        -------
        int
            Where reading stopped. Less than `end` if the rest is the beginning of a header, or another PDU.

        Raises
        ------
        RemoteProtocolError
            The peer broke the protocol; this object must not be used again.

        Notes
        -----
        Runs for every piece of every image, so it is one loop over local names: the calls, attribute and state table
        look-ups of a more orderly form cost several times what is left here. Each turn reads at most one PDU
        header and one fragment header, then hands out what has arrived of the fragment.
        """
        pdu_left = self._pdu_left
        pdv_left = self._pdv_left
        control = self._control
        dataset_context = self._dataset_context
        pdu_length_max = self._pdu_length_max
        append = events.append
        new_event = tuple.__new__  # what a named tuple does, without its layer of Python
        unpack_length = _LENGTH.unpack_from
        unpack_pdv_header = PDV_HEADER.unpack_from
        while True:
            if not pdv_left:
                if not pdu_left:
                    if end - start < PDU_HEADER_BYTES or buffer[start] != _P_DATA_TF:
                        break
                    pdu_left = unpack_length(buffer, start + 2)[0]
                    if pdu_left > pdu_length_max:
                        raise RemoteProtocolError("a P-DATA-TF is longer than the Maximum Length")
                    start += PDU_HEADER_BYTES
                if pdu_left < PDV_HEADER_BYTES:
                    raise RemoteProtocolError("a P-DATA-TF has no room for a fragment header")
                if end - start < PDV_HEADER_BYTES:
                    break
                length, context_id, control = unpack_pdv_header(buffer, start)
                start += PDV_HEADER_BYTES
                pdu_left -= PDV_HEADER_BYTES
                pdv_left = length - 2
                if not 0 <= pdv_left <= pdu_left:
                    raise RemoteProtocolError("a fragment has a length that cannot be")
                if control & COMMAND_BIT:
                    self._begin_command_fragment(context_id, pdv_left, dataset_context)
                elif context_id != dataset_context:
                    raise self._unexpected_fragment(context_id)
            elif start == end:
                break
            # A fragment may be empty: an empty last one ends a data set whose end was not known in time.
            stop = start + pdv_left
            if stop > end:
                stop = end
            piece = view[start:stop]
            pdu_left -= stop - start
            pdv_left -= stop - start
            start = stop
            if control & COMMAND_BIT:
                self._command += piece
                if control & LAST_BIT and not pdv_left:
                    dataset_context = self._end_command(events)
            elif control & LAST_BIT and not pdv_left:
                append(new_event(DataFragment, (dataset_context, piece, True)))
                dataset_context = _NO_CONTEXT
            elif piece:
                append(new_event(DataFragment, (dataset_context, piece, False)))
        self._pdu_left = pdu_left
        self._pdv_left = pdv_left
        self._control = control
        self._dataset_context = dataset_context
        return start

    def _begin_command_fragment(self, context_id: int, length: int, dataset_context: int) -> None:
        if dataset_context != _NO_CONTEXT:
            raise RemoteProtocolError("a command came where a data set was due", AbortReason.UNEXPECTED_PDU_PARAMETER)
        if context_id not in self._contexts:
            raise RemoteProtocolError("a fragment is for a context that was not accepted")
        if self._command_context not in (_NO_CONTEXT, context_id):
            raise RemoteProtocolError("a command changes its context", AbortReason.UNEXPECTED_PDU_PARAMETER)
        if len(self._command) + length > self._command_set_bytes_max:
            raise RemoteProtocolError("a command set is too long")
        self._command_context = context_id

    def _end_command(self, events: list[Event]) -> int:
        """Emit the command; return the context of the data set now due, if any."""
        command = decode_command(self._command)
        context_id = self._command_context
        self._command.clear()
        self._command_context = _NO_CONTEXT
        events.append(CommandReceived(context_id, command))
        return context_id if command.has_dataset else _NO_CONTEXT

    def _unexpected_fragment(self, context_id: int) -> RemoteProtocolError:
        if context_id not in self._contexts:
            return RemoteProtocolError("a fragment is for a context that was not accepted")
        return RemoteProtocolError(
            "a data set fragment came that no command announced",
            AbortReason.UNEXPECTED_PDU_PARAMETER,
        )
