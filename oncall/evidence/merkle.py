"""A Merkle tree over leaves: its root, and the proof that one leaf is under it.

For: one digest that stands for the heads of thousands of logs, and short proofs that a case carries in its dossier. Not
for: what a leaf says (`oncall.evidence.anchor`).

Invariant: leaf and node are hashed with different prefixes, so that no node can be shown as a leaf. Source: RFC 9162,
section 2.1 (the tree of Certificate Transparency).
"""

import hashlib
from collections.abc import Sequence
from typing import Final

_LEAF: Final = b"\x00"
_NODE: Final = b"\x01"

EMPTY_ROOT: Final = hashlib.sha256(b"").hexdigest()
"""The root over no leaves."""


def root_of(leaves: Sequence[bytes]) -> str:
    """Return the root over `leaves` in their order, in lower-case hexadecimal."""
    if not leaves:
        return EMPTY_ROOT
    return _levels(leaves)[-1][0].hex()


def proof_of(leaves: Sequence[bytes], index: int) -> tuple[str, ...]:
    """Return the hashes beside the way from leaf `index` to the root, the lowest first."""
    return proofs_of(leaves, [index])[0]


def proofs_of(leaves: Sequence[bytes], indices: Sequence[int]) -> list[tuple[str, ...]]:
    """Return the proofs of several leaves of one tree, which is built once."""
    levels = _levels(leaves)
    proofs = []
    for index in indices:
        proof, place = [], index
        for level in levels[:-1]:
            beside = place ^ 1
            # The last one of an odd level goes up as it is.
            if beside < len(level):
                proof.append(level[beside].hex())
            place //= 2
        proofs.append(tuple(proof))
    return proofs


def is_under(root: str, leaf: bytes, index: int, count: int, proof: Sequence[str]) -> bool:
    """Return whether `leaf` is number `index` (from 0) of the `count` leaves under `root`."""
    if not 0 <= index < count:
        return False
    node, place, last, rest = _hash(_LEAF + leaf), index, count - 1, list(proof)
    while last > 0:
        if place != last or place % 2 == 1:
            if not rest:
                return False
            beside = _bytes(rest.pop(0))
            node = _hash(_NODE + beside + node) if place % 2 == 1 else _hash(_NODE + node + beside)
        place, last = place // 2, last // 2
    return not rest and node.hex() == root


def _levels(leaves: Sequence[bytes]) -> list[list[bytes]]:
    levels = [[_hash(_LEAF + leaf) for leaf in leaves]]
    while len(levels[-1]) > 1:
        below = levels[-1]
        pairs = [_hash(_NODE + left + right) for left, right in zip(below[::2], below[1::2], strict=False)]
        levels.append(pairs + below[len(pairs) * 2 :])
    return levels


def _bytes(digits: str) -> bytes:
    try:
        return bytes.fromhex(digits)
    except ValueError:
        return b""


def _hash(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()
