"""Which handler a message is for, by its type; what is for nobody is rejected.

For: the table. Not for: what any message means.

References
----------
HL7 2.5.1 2.9.2.2 (AR: message type or event not supported), table 0357
"""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import Connection

from pacs.worklist.hl7.message import ErrorCode, FieldError, Handler, Outcome, ReceivedMessage, Rejected


class HandlersByType:
    """A `Handler` made of others.

    Parameters
    ----------
    handlers : mapping of (str, str) to Handler
        By MSH-9.1 and MSH-9.2.
    """

    def __init__(self, handlers: Mapping[tuple[str, str], Handler]) -> None:
        self._handlers = dict(handlers)
        self._codes = frozenset(code for code, _ in handlers)

    def handle(self, connection: Connection, message: ReceivedMessage, now: datetime) -> Outcome:
        """Give a message to the handler of its type; AR when there is none."""
        handler = self._handlers.get((message.code, message.event))
        if handler is not None:
            return handler.handle(connection, message, now)
        if message.code in self._codes:
            error = FieldError(
                segment="MSH", field=9, component=2, code=ErrorCode.UNSUPPORTED_EVENT_CODE,
                text="this event is not taken here",
            )  # fmt: skip
        else:
            error = FieldError(
                segment="MSH", field=9, component=1, code=ErrorCode.UNSUPPORTED_MESSAGE_TYPE,
                text="messages of this type are not taken here",
            )  # fmt: skip
        return Rejected(code="AR", errors=(error,))
