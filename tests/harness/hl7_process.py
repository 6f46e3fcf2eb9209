"""A process that listens for HL7 messages, or sends those that are queued: to be killed by crash tests.

Run as ``python -m tests.harness.hl7_process URL listen PORT`` (until its standard input ends) or
``... URL send PORT`` (until nothing is due).
"""

import sys

import pacs.worklist.hl7.schema  # noqa: F401  # adds its tables to METADATA
from foundation import log
from foundation.clock import SystemClock
from foundation.database import Database
from pacs.worklist.hl7.destinations import Destination
from pacs.worklist.hl7.inbox import Inbox
from pacs.worklist.hl7.listener import Listener, ListeningSocket
from pacs.worklist.hl7.sender import Sender
from territory.listening import open_port
from tests.harness.hl7_messages import BOUNDS, LOOPBACK, RULES, Recorder

DESTINATION = "ris"


def _main(url: str, action: str, port: str) -> None:
    log.configure(level="ERROR")
    database, clock = Database(url), SystemClock()
    if action == "send":
        destination = Destination(name=DESTINATION, site_id="", host=LOOPBACK, port=int(port), answer_s=10.0)
        Sender(database, {DESTINATION: destination}, clock, worker="node").drain()
    else:
        sock = open_port(LOOPBACK, int(port), setting="test")
        inbox = Inbox(database, Recorder(), clock)
        listener = Listener([ListeningSocket(sock=sock)], inbox, RULES, BOUNDS, clock, processing_id="P")
        listener.start()
        sys.stdout.write("listening\n")
        sys.stdout.flush()
        sys.stdin.read()
        listener.stop(5.0)
        sock.close()
    database.close()


if __name__ == "__main__":
    _main(*sys.argv[1:])
