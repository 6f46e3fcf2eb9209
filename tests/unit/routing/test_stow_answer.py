"""What a store request's answer says: an instance is kept only when it is named so, whatever else the answer is."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacs.routing.stow_answer import AnswerUnreadable, StowAnswer, read_answer


def item(uid: str, reason: int | None = None) -> dict[str, Any]:
    made: dict[str, Any] = {"00081155": {"vr": "UI", "Value": [uid]}}
    return made if reason is None else {**made, "00081197": {"vr": "US", "Value": [reason]}}


def answer(kept: list[Any], refused: list[Any]) -> bytes:
    return json.dumps(
        {
            "00081190": {"vr": "UR", "Value": ["http://pacs.example/studies/1.2.3"]},
            "00081198": {"vr": "SQ", "Value": refused},
            "00081199": {"vr": "SQ", "Value": kept},
        }
    ).encode()


def test_kept_and_refused_instances_are_told_apart_with_the_reason() -> None:
    read = read_answer(answer([item("1.1")], [item("1.2", 0xA900), item("1.3")]))

    assert read == StowAnswer(kept=frozenset({"1.1"}), refused={"1.2": 0xA900, "1.3": 0})


def test_an_instance_that_is_in_both_sequences_was_refused() -> None:
    read = read_answer(answer([item("1.1")], [item("1.1", 0x0110)]))

    assert (read.kept, dict(read.refused)) == (frozenset(), {"1.1": 0x0110})


def test_an_answer_in_an_array_of_one_is_read_too() -> None:
    assert read_answer(b"[" + answer([item("1.1")], []) + b"]").kept == {"1.1"}


@pytest.mark.parametrize("body", [b"", b"{", b"<xml/>", b"null", b"[]", b"1", b"\xff", b"[" * 100_000])
def test_what_is_no_data_set_confirms_nothing(body: bytes) -> None:
    with pytest.raises(AnswerUnreadable):
        read_answer(body)


@pytest.mark.parametrize("value", [None, {}, {"Value": None}, {"Value": [1]}, {"Value": [[]]}, {"Value": ["1.1"]}, 7])
def test_a_sequence_of_a_wrong_shape_confirms_nothing(value: Any) -> None:
    assert read_answer(json.dumps({"00081199": value}).encode()).kept == frozenset()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from(["1.1", "1.2"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["00081155", "00081197", "00081198", "00081199", "Value", "vr"]), inner, max_size=4
        )
    ),
    max_leaves=20,
)


@given(JSON)
def test_any_json_is_read_or_refused_and_names_only_uids_that_are_in_it(value: Any) -> None:
    body = json.dumps(value).encode()
    try:
        read = read_answer(body)
    except AnswerUnreadable:
        return

    assert all(json.dumps(uid).encode() in body for uid in read.kept | read.refused.keys())
    assert not read.kept & read.refused.keys()


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused_and_never_crash(body: bytes) -> None:
    try:
        read_answer(body)
    except AnswerUnreadable:
        return
