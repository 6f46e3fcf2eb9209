"""Verification SCP: C-ECHO is answered with success, whatever the peer's rights are.

It says that the peer is admitted and the node answers, nothing about disk or database; `GET /health` does.

References
----------
PS3.4 A.4; PS3.7 9.1.5
"""

from pacs.scp.services import Association, Context
from pacs.status import Status
from pacs.upper_layer.dimse import Command, CommandField, response


class EchoService:
    """Answers C-ECHO-RQ."""

    def handle(self, association: Association, context: Context, command: Command, dataset: bytes) -> None:
        """Answer one request; a command other than C-ECHO is none of this SOP Class."""
        del dataset  # C-ECHO has none (PS3.7 9.3.5.1)
        is_echo = command.command_field == CommandField.C_ECHO_RQ
        status = Status.SUCCESS if is_echo else Status.UNRECOGNIZED_OPERATION
        association.send(context.context_id, response(command, status))
