"""DIMSE command sets: the one place to import them from.

For: reading what is asked (`decode_command`), writing what is answered (`response`, `store_response`) or asked
(`encode_command`, `store_request`). Not for: data sets, assembling fragments (`pdata`), or statuses of services.

References
----------
PS3.7 6.3, 9.3, 10.3, Annex E
"""

from pacs.upper_layer.command_elements import NO_DATA_SET, CommandField, Priority
from pacs.upper_layer.command_reader import Command, decode_command
from pacs.upper_layer.command_writer import encode_command, response, store_request, store_response

__all__ = [
    "NO_DATA_SET",
    "Command",
    "CommandField",
    "Priority",
    "decode_command",
    "encode_command",
    "response",
    "store_request",
    "store_response",
]
