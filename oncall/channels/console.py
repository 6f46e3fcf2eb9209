"""The console channel: a file of JSON lines that a wall display or a terminal follows, one line a message.

It needs no network, so it is what is left when everything else is down. A display shows each key once, which makes the
channel repeatable.
"""

import json
import os
from pathlib import Path
from typing import Final

from oncall.directory import ChannelKind
from oncall.messages import Message, NotSent, Outcome, Sent, idempotency_key


class ConsoleChannel:
    """The channel `ChannelKind.CONSOLE`; lines are appended to `path`, whole, by any number of processes."""

    kind: Final = ChannelKind.CONSOLE
    is_repeatable: Final = True

    def __init__(self, path: Path) -> None:
        self._path = path

    def hand_over(self, message: Message) -> Outcome:
        """Append the message as one line."""
        line = {
            "key": idempotency_key(message.message_key),
            "console": message.address,
            "at": message.due_at.isoformat(),
            "subject": message.subject,
            "text": message.text,
        }
        try:
            fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.write(fd, json.dumps(line, ensure_ascii=False).encode() + b"\n")
            finally:
                os.close(fd)
        except OSError:
            return NotSent(reason="console_not_writable", is_retryable=True)
        return Sent()

    def close(self) -> None:
        """Nothing is kept open."""
