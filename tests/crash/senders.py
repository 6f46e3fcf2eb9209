"""Senders that outlive the node: each knows which instances were confirmed to it, and sends the others again.

A confirmation is noted before the next instance is sent. The senders are another process than the node's, so what they
noted survives its death.
"""

import hashlib
import threading
from collections.abc import Callable
from pathlib import Path

from foundation.database import Database
from pacs.archive.reader import PackReader
from pacs.archive.sop_lookup import find
from pacs.archive.verify import verify
from storage_tiers.local_packs import LocalPacks
from tests.harness.archive_parts import wrong_counts
from tests.harness.data_sets import image
from tests.harness.raw_scu import Ended, RawScu

#: A connection that the node's death left half open is given up after this; lives are shorter.
_TIMEOUT_S = 20.0


def dataset_of(uid: str) -> bytes:
    """Return the data set of an instance: always the same bytes, of a length that its UID decides.

    Most are tens of kilobytes, one in sixteen is longer than a lane's buffer and streams through it.
    """
    seed = hashlib.sha256(uid.encode()).digest()
    length = 600_000 if seed[0] < 16 else 2_000 + 100 * seed[1]
    parts = uid.split(".")
    return image(
        uid,
        pixels=(seed * (length // len(seed) + 1))[: length // 2 * 2],
        study_instance_uid=f"1.2.{parts[2]}",
        series_instance_uid=f"1.2.{parts[2]}.{int(parts[3]) % 3}",
        patient_id=f"P{parts[2]}",
    )


class Sender:
    """One association after another, one instance after the other, until told to stop.

    Attributes
    ----------
    refused : list of int
        Other statuses that were answered.
    """

    def __init__(self, port: int, number: int, on_confirmed: Callable[[str], None]) -> None:
        self.refused: list[int] = []
        self.error: BaseException | None = None
        self._port = port
        self._number = number
        self._on_confirmed = on_confirmed
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Send nothing more and wait for what is in hand; raises what the sender met and did not expect."""
        self._stopping.set()
        self._thread.join()
        if self.error is not None:
            raise self.error

    def _run(self) -> None:
        try:
            sequence = 0
            while not self._stopping.is_set():
                try:
                    with RawScu(self._port, timeout_s=_TIMEOUT_S) as scu:
                        scu.associate()
                        while not self._stopping.is_set():
                            # The study changes now and then; two senders share each.
                            uid = f"1.2.{10 + sequence // 40 + self._number // 2 * 100}.{sequence}.{self._number}"
                            status = scu.store(dataset_of(uid), uid).status
                            if status == 0:
                                self._on_confirmed(uid)
                                sequence += 1
                            else:
                                self.refused.append(status)
                        scu.release()
                except (Ended, OSError):
                    continue
        except BaseException as error:  # noqa: BLE001  # raised again by `stop`
            self.error = error


class Load:
    """Several senders at once."""

    def __init__(self, port: int, senders: int) -> None:
        self._progress = threading.Condition()
        self._confirmed: list[str] = []
        self._senders = [Sender(port, number, self._note) for number in range(senders)]

    def wait_for(self, more: int, *, timeout_s: float = 30.0) -> bool:
        """Wait until so many more instances are confirmed; say whether they were in time."""
        with self._progress:
            goal = len(self._confirmed) + more
            return self._progress.wait_for(lambda: len(self._confirmed) >= goal, timeout_s)

    def stop(self) -> None:
        """End all senders."""
        for sender in self._senders:
            sender.stop()

    @property
    def confirmed(self) -> list[str]:
        """Everything confirmed so far, in that order."""
        with self._progress:
            return list(self._confirmed)

    @property
    def refused(self) -> list[int]:
        """Every status other than success."""
        return [status for sender in self._senders for status in list(sender.refused)]

    def _note(self, uid: str) -> None:
        with self._progress:
            self._confirmed.append(uid)
            self._progress.notify_all()


def what_is_wrong(database: Database, journal: Path, confirmed: list[str], proven: set[str]) -> list[str]:
    """Look for everything that must never happen; return it in words.

    Parameters
    ----------
    confirmed : list of str
        SOP Instance UIDs that were answered 0x0000: each must be there byte for byte.
    proven : set of str
        Those compared by an earlier call, which `verify` checks by digest only; this call adds to it.
    """
    wrong = wrong_counts(database)
    report = verify(database, journal)
    if not report.is_whole:
        wrong.append(f"verify says {dict(report.to_json())}")
    fresh = [uid for uid in confirmed if uid not in proven]
    packs = LocalPacks(journal)
    reader = PackReader(packs)
    for uid, refs in find(database, fresh).items():
        if len(refs) != 1:
            wrong.append(f"{uid} was confirmed and is there {len(refs)} times")
        elif bytes(reader.read_file(refs[0])[refs[0].dataset_offset :]) != dataset_of(uid):
            wrong.append(f"{uid} is not what was sent")
        else:
            proven.add(uid)
    packs.close()
    if report.instances < len(set(confirmed)):
        wrong.append(f"{len(set(confirmed))} were confirmed, {report.instances} are there")
    return wrong
