"""A process that forwards what is queued to a real AE: to be killed by crash tests.

Run as ``python -m tests.harness.routing_process URL JOURNAL PORT WORKER``. It ends when nothing is left to do now.
Former lives of it are known by the beginning of their names.
"""

import sys
from pathlib import Path

import pacs.routing.schema
import pacs.worklist.schema  # noqa: F401  # adds its tables to METADATA
from foundation import log
from foundation.clock import SystemClock
from foundation.database import Database
from pacs.archive.reader import PackReader
from pacs.routing.bandwidth import Throttle
from pacs.routing.consignment import Sender
from pacs.routing.dicom_sender import DicomSender
from pacs.routing.intake import Intake
from pacs.routing.model import DestinationPolicy
from pacs.routing.worker import RoutingWorker
from pacs.scu.association import PeerAddress, Timeouts
from pacs.scu.transport import OnWait
from storage_tiers.local_packs import LocalPacks
from tests.harness.peers import LOOPBACK
from tests.harness.routing import rules_of

FORMER_LIVES = "node-"


def real_worker(database: Database, packs: LocalPacks, port: int, name: str) -> RoutingWorker:
    """Return a worker that sends to an AE on the loopback."""

    def make_sender(policy: DestinationPolicy, throttle: Throttle, on_wait: OnWait) -> Sender:
        del policy
        return DicomSender(
            PeerAddress(host=LOOPBACK, port=port, ae_title="STORESCP"),
            calling_aet="TELEGARDE", reader=PackReader(packs), throttle=throttle, timeouts=Timeouts(), on_wait=on_wait,
        )  # fmt: skip

    taking = Intake(database, rules_of(), lambda _: "")
    policies = [DestinationPolicy(name="away")]
    return RoutingWorker(
        database, taking, policies, make_sender, SystemClock(), worker=f"{FORMER_LIVES}{name}", gone=FORMER_LIVES
    )


def _main(url: str, journal: str, port: str, name: str) -> None:
    log.configure(level="ERROR", prefix=f"[{name}] ")
    database, packs = Database(url), LocalPacks(Path(journal))
    real_worker(database, packs, int(port), name).drain()
    packs.close()
    database.close()


if __name__ == "__main__":
    _main(*sys.argv[1:])
