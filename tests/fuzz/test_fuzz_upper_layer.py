"""A short run of the fuzz target, in every run of the suite."""

from __future__ import annotations

import random

import pytest

from tests.fuzz.fuzz_upper_layer import one_input, run_seed


@pytest.mark.parametrize("first_seed", range(0, 2_000, 500))
def test_no_mutated_stream_raises_anything(first_seed: int) -> None:
    for seed in range(first_seed, first_seed + 500):
        run_seed(seed)


def test_no_random_bytes_raise_anything() -> None:
    rng = random.Random(8)
    for _ in range(1_000):
        one_input(rng.randbytes(rng.randint(0, 400)))
