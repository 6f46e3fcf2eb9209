"""The tree of RFC 9162: its root, and proofs that hold for their own leaf and place only."""

import hashlib

import pytest

from oncall.evidence.merkle import EMPTY_ROOT, is_under, proof_of, root_of


def leaves(count: int) -> list[bytes]:
    return [bytes([number]) for number in range(count)]


def test_roots_are_those_of_rfc_9162_worked_out_by_hand() -> None:
    one, two, three = (hashlib.sha256(b"\x00" + leaf).digest() for leaf in leaves(3))
    pair = hashlib.sha256(b"\x01" + one + two).digest()

    assert root_of([]) == EMPTY_ROOT == hashlib.sha256(b"").hexdigest()
    assert root_of(leaves(1)) == one.hex()
    assert root_of(leaves(3)) == hashlib.sha256(b"\x01" + pair + three).hexdigest()


@pytest.mark.parametrize("count", [1, 2, 3, 7, 8, 13])
def test_a_proof_holds_for_its_leaf_at_its_place_and_for_nothing_else(count: int) -> None:
    given = leaves(count)
    root = root_of(given)

    for index, leaf in enumerate(given):
        proof = proof_of(given, index)
        assert is_under(root, leaf, index, count, proof)
        assert not is_under(root, b"other", index, count, proof)
        assert not is_under(root, leaf, index, count, [*proof, "00" * 32])
        assert not any(is_under(root, leaf, other, count, proof) for other in range(count) if other != index)
        assert not proof or not is_under(root, leaf, index, count, ["zz", *proof[1:]])
