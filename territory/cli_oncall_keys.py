"""``telegarde oncall keys``: whose key signs what, a new key for somebody, a key that signs nothing more.

Invariants: no private key is ever shown; a public key stays known for ever, so that what it signed is verified; a
revoked key stops the commit of whatever is signed with it, on every node of the territory.
"""

import argparse
from collections.abc import Callable
from types import MappingProxyType
from typing import Any, Final

from foundation.clock import Clock
from oncall.report import store
from oncall.report.signing import Ed25519Keys
from oncall.report.store import KnownKey
from territory.cli_oncall_place import open_database
from territory.cli_output import answer
from territory.cli_tables import print_rows
from territory.data_location import location_of
from territory.oncall_process import SIGNING_KEYS


def run(arguments: argparse.Namespace, clock: Clock) -> int:
    """Run one of the actions."""
    return _ACTIONS[arguments.keys_command](arguments, clock)


def _list(arguments: argparse.Namespace, clock: Clock) -> int:
    with open_database(arguments) as database, database.read() as connection:
        known = store.known_keys(connection)
    rows = [_row(one) for one in known if arguments.holder in (None, one.holder)]
    if arguments.json:
        answer(arguments, {"keys": rows}, title="")
    else:
        columns = ("key_id", "holder", "first_signed_at", "revoked_at", "revoked_by", "reason")
        print_rows("Keys that have signed", columns, rows, nothing="Nothing has been signed here.")
    return 0


def _rotate(arguments: argparse.Namespace, clock: Clock) -> int:
    keys = Ed25519Keys(location_of(arguments).data_dir / SIGNING_KEYS)
    made = keys.rotate(arguments.holder)
    answer(arguments, {"holder": arguments.holder, "key_id": made}, title="A new key signs from now on")
    return 0


def _revoke(arguments: argparse.Namespace, clock: Clock) -> int:
    with open_database(arguments) as database, database.write(durable=True) as connection:
        revoked = store.revoke_key(
            connection, arguments.key_id, by=arguments.by, reason=arguments.reason, now=clock.now()
        )
    answer(arguments, _row(revoked), title="The key signs nothing more; make a new one with keys rotate")
    return 0


def _row(known: KnownKey) -> dict[str, Any]:
    return {
        "key_id": known.key_id,
        "holder": known.holder,
        "algorithm": known.algorithm,
        "public_key": known.public_key.hex(),
        "first_signed_at": known.first_seen_at.isoformat(timespec="seconds"),
        "revoked_at": None if known.revoked_at is None else known.revoked_at.isoformat(timespec="seconds"),
        "revoked_by": known.revoked_by,
        "reason": known.reason,
    }


_ACTIONS: Final = MappingProxyType[str, Callable[[argparse.Namespace, Clock], int]](
    {"list": _list, "rotate": _rotate, "revoke": _revoke}
)
