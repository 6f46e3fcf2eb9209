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

from collections.abc import Container

from pacs.upper_layer.dimse import decode_command
from pacs.upper_layer.errors import AbortReason, RemoteProtocolError
from pacs.upper_layer.events import CommandReceived, DataFragment, Event
from pacs.upper_layer.pdu import COMMAND_BIT, LAST_BIT, PDU_HEADER, PDV_HEADER, PduType

__all__ = ["PDataReceiver"]

_NO_CONTEXT = -1


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
        self._pdu_length_max = pdu_length_max
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
        Runs once per piece of every image, hence the local names and the absence of calls. A state table
        look-up or an object per PDU here costs more than all the rest.
        """
        pdu_left = self._pdu_left
        pdv_left = self._pdv_left
        control = self._control
        dataset_context = self._dataset_context
        while start < end:
            if pdv_left:
                stop = start + pdv_left
                if stop > end:
                    stop = end
                pdu_left -= stop - start
                pdv_left -= stop - start
                if control & COMMAND_BIT:
                    self._command += view[start:stop]
                    if control & LAST_BIT and not pdv_left:
                        dataset_context = self._end_command(events)
                elif control & LAST_BIT and not pdv_left:
                    events.append(DataFragment(dataset_context, view[start:stop], True))
                    dataset_context = _NO_CONTEXT
                else:
                    events.append(DataFragment(dataset_context, view[start:stop], False))
                start = stop
            elif pdu_left:
                if pdu_left < 6:
                    raise RemoteProtocolError("a P-DATA-TF ends inside a fragment header")
                if end - start < 6:
                    break
                length, context_id, control = PDV_HEADER.unpack_from(buffer, start)
                start += 6
                pdu_left -= 6
                pdv_left = length - 2
                if not 0 <= pdv_left <= pdu_left:
                    raise RemoteProtocolError("a fragment has a length that cannot be")
                if control & COMMAND_BIT:
                    self._begin_command_fragment(context_id, pdv_left, dataset_context)
                    if not pdv_left and control & LAST_BIT:
                        dataset_context = self._end_command(events)
                elif context_id != dataset_context:
                    raise self._unexpected_fragment(context_id)
                elif not pdv_left and control & LAST_BIT:
                    # An empty last fragment ends a data set whose end was not known in time.
                    events.append(DataFragment(dataset_context, view[start:start], True))
                    dataset_context = _NO_CONTEXT
            else:
                if end - start < 6 or buffer[start] != PduType.P_DATA_TF:
                    break
                pdu_left = PDU_HEADER.unpack_from(buffer, start)[1]
                if pdu_left < 6:
                    raise RemoteProtocolError("a P-DATA-TF holds no fragment")
                if pdu_left > self._pdu_length_max > 0:
                    raise RemoteProtocolError("a P-DATA-TF is longer than the Maximum Length")
                start += 6
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
