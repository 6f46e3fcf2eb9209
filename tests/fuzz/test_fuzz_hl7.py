"""A short run of the fuzz target for HL7 messages, in every run of the suite."""

from collections.abc import Iterator

import pytest

from tests.fuzz.fuzz_hl7 import BODIES, Target
from tests.harness.hl7_messages import message
from tests.harness.mllp_peers import framed


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    made = Target(tmp_path_factory.mktemp("fuzz"))
    yield made
    made.close()


@pytest.mark.parametrize("patient_id", ["P\x021", "P\\1", "P" * 65])
def test_an_identifier_that_dicom_cannot_hold_is_the_senders_error(target: Target, patient_id: str) -> None:
    kind, body = BODIES[0]
    order = message(f"ID{len(patient_id)}", kind=kind, body=body.replace("P1^^^NORTH", f"{patient_id}^^^NORTH"))

    assert target.feed(framed(order))


@pytest.mark.parametrize("first_seed", range(0, 300, 100))
def test_no_mutated_message_stops_the_stream_or_is_a_defect(target: Target, first_seed: int) -> None:
    for seed in range(first_seed, first_seed + 100):
        target.run_seed(seed)
