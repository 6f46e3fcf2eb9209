"""A short run of the fuzz target for HL7 messages, in every run of the suite."""

from collections.abc import Iterator

import pytest

from tests.fuzz.fuzz_hl7 import Target


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    made = Target(tmp_path_factory.mktemp("fuzz"))
    yield made
    made.close()


@pytest.mark.parametrize("first_seed", range(0, 300, 100))
def test_no_mutated_message_stops_the_stream_or_is_a_defect(target: Target, first_seed: int) -> None:
    for seed in range(first_seed, first_seed + 100):
        target.run_seed(seed)
