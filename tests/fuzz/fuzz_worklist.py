"""Fuzz target for the Modality Worklist: whatever bytes a console sends as its query, it gets an answer.

For: long runs by hand, ``python -m tests.fuzz.fuzz_worklist --seconds 600``. A short run is part of the suite. Not for:
what comes before the data set (`tests.fuzz.fuzz_upper_layer`).

The property: `handle` never raises, and ends with a status that PS3.4 K.4.1.1.4 knows; every answer before it is a data
set that pydicom reads.
"""

import argparse
import random
import struct
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from foundation import log
from foundation.database import Database, sqlite_url
from pacs.scp.find_identifier import EXPLICIT_VR_BIG_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN
from pacs.worklist.find_service import WorklistFindService
from tests.harness.identifiers import DEFLATED, encode
from tests.harness.orders import full_order, order
from tests.harness.worklist import EXPLICIT_LITTLE, ask, asked, place_all, service_of

SYNTAXES: Final = (EXPLICIT_LITTLE, IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN, DEFLATED)
FINAL_STATUSES: Final = frozenset({0x0000, 0xA700, 0xA900, 0xC001})
"""What PS3.4 K.4.1.1.4 knows, as far as we answer it to a caller of a known hospital."""


@contextmanager
def filled_database(directory: Path) -> Iterator[Database]:
    """Yield a database with a few orders, one of them full of everything."""
    database = Database(sqlite_url(directory / "index.sqlite"))
    database.create_tables()
    place_all(database, [full_order(1), *(order(number) for number in range(2, 6))])
    yield database
    database.close()


def sound_query(syntax: str) -> bytes:
    """Return a query that mutants begin from: a name, dates, a sequence, and what a console asks for."""
    dates = {"ScheduledProcedureStepStartDate": "20261101-20261231"}
    return encode(asked({"PatientName": "Durand*", "Allergies": ""}, dates), syntax)


def mutant(draw: random.Random, seed: bytes) -> bytes:
    """Return bytes near a query: flipped, cut, doubled, or with lengths that lie."""
    changed = bytearray(seed)
    for _ in range(draw.randrange(1, 6)):
        if not changed:
            break
        place = draw.randrange(len(changed))
        kind = draw.randrange(6)
        if kind == 0:
            changed[place] = draw.randrange(256)
        elif kind == 1:
            del changed[place:]
        elif kind == 2:
            del changed[place : place + draw.randrange(1, 9)]
        elif kind == 3:
            changed[place:place] = draw.randbytes(draw.randrange(1, 9))
        elif kind == 4:
            changed[place : place + 4] = struct.pack("<L", draw.choice([0, 1, 0xFFFF, 0xFFFFFFFE, 0xFFFFFFFF]))
        else:
            changed[place:place] = changed[: draw.randrange(64)]
    return bytes(changed)


def run_seed(service: WorklistFindService, seed: int) -> int:
    """Ask one mutated query in one transfer syntax; return the final status.

    Raises
    ------
    AssertionError
        If the status is none that the standard knows.
    """
    draw = random.Random(seed)
    syntax = SYNTAXES[seed % len(SYNTAXES)]
    final = ask(service, mutant(draw, sound_query(syntax)), transfer_syntax=syntax).final
    assert final in FINAL_STATUSES, f"{final:04X}"
    return final


def main(arguments: list[str]) -> int:
    """Run seeds for a while."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--first-seed", type=int, default=0)
    options = parser.parse_args(arguments)
    log.configure(level="ERROR")
    deadline_s = time.monotonic() + options.seconds
    seed = options.first_seed
    with tempfile.TemporaryDirectory() as directory, filled_database(Path(directory)) as database:
        service = service_of(database)
        while time.monotonic() < deadline_s:
            try:
                run_seed(service, seed)
            except Exception:
                sys.stderr.write(f"seed {seed} fails\n")
                raise
            seed += 1
    sys.stdout.write(f"{seed - options.first_seed} inputs, none fails\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
