"""Which presentation contexts are proposed and chosen."""

import pytest

from pacs.scu.store import ContextChooser, plan_contexts

CT, MR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"
IMPLICIT, EXPLICIT, BIG, DEFLATED = (
    "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99",
)  # fmt: skip
JPEG_2000, MPEG_4 = "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.102"


def test_every_stored_syntax_is_proposed_alone_and_native_ones_to_fall_back_to() -> None:
    (proposals,) = plan_contexts([(CT, JPEG_2000), (CT, JPEG_2000), (CT, IMPLICIT), (MR, MPEG_4)])

    assert [(one.abstract_syntax, one.transfer_syntaxes) for one in proposals] == [
        (CT, (JPEG_2000,)),
        (CT, (IMPLICIT,)),
        (CT, (EXPLICIT,)),
        (MR, (MPEG_4,)),
    ]
    assert [one.context_id for one in proposals] == [1, 3, 5, 7]


def test_more_contexts_than_an_association_has_become_several_associations() -> None:
    kinds = [(f"1.2.{number}", EXPLICIT) for number in range(200)]

    plans = plan_contexts(kinds)

    assert [len(plan) for plan in plans] == [128, 128, 128, 16]
    assert all(one.context_id <= 255 for plan in plans for one in plan)
    where = [{one.abstract_syntax for one in plan} for plan in plans]
    assert sum(map(len, where)) == len(set.union(*where)) == 200, "a SOP Class is in one association only"


def test_nothing_to_send_needs_no_association() -> None:
    assert plan_contexts([]) == ()


@pytest.mark.parametrize(
    ("stored", "accepted", "chosen"),
    [
        (JPEG_2000, [JPEG_2000, EXPLICIT], (JPEG_2000, False)),
        (JPEG_2000, [IMPLICIT, EXPLICIT], (EXPLICIT, True)),
        (JPEG_2000, [IMPLICIT], (IMPLICIT, True)),
        (JPEG_2000, [BIG], (BIG, True)),
        (EXPLICIT, [IMPLICIT, DEFLATED], (IMPLICIT, True)),
        (EXPLICIT, [JPEG_2000], None),
        (MPEG_4, [IMPLICIT, EXPLICIT], None),
        (MPEG_4, [MPEG_4], (MPEG_4, False)),
        (JPEG_2000, [], None),
    ],
)
def test_bytes_pass_through_where_they_can_and_are_transcoded_where_they_must(
    stored: str, accepted: list[str], chosen: tuple[str, bool] | None
) -> None:
    chooser = ContextChooser((2 * number + 1, CT, syntax) for number, syntax in enumerate(accepted))

    context = chooser.choose((CT, stored))

    if chosen is None:
        assert context is None
    else:
        assert context is not None
        assert (context.transfer_syntax, context.is_transcoding) == chosen
        assert accepted[context.context_id // 2] == context.transfer_syntax
    assert chooser.choose((MR, stored)) is None
