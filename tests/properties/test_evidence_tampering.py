"""Whatever is done to a sealed dossier is found, and where: any byte, any item, any order; also by who knows how.

One dossier is made once (a case with incidents, a critical finding, a signed report, two anchors) and then damaged in
drawn ways.
"""

import copy
import hashlib
import json
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import oncall.schema  # noqa: F401  # adds its tables to METADATA
from foundation.database import Database, sqlite_url
from oncall.evidence import layout
from oncall.evidence.difference import Difference, What
from oncall.evidence.dossier import OBJECTS, SECTIONS, Sealed, manifest_of, seal_digest
from oncall.evidence.verification import DossierUnusable, item_name, verify
from oncall.report.canonical import signature_to_json
from oncall.report.signing import NODE, Ed25519Keys
from tests.harness.evidence_case import told

LISTS = [name for name in SECTIONS if name not in OBJECTS]


@cache
def made() -> tuple[Sealed, bytes]:
    """Return the dossier and the node's public key."""
    with tempfile.TemporaryDirectory() as directory:
        database = Database(sqlite_url(Path(directory) / "oncall.sqlite"))
        database.create_tables()
        here = told(database, Path(directory) / "keys")
        sealed, key = here.dossier(), here.keys.public_key_of(NODE)
        database.close()
    return sealed, key


def content() -> dict[str, Any]:
    return copy.deepcopy(dict(made()[0].sections))


def sealed_anew(sections: dict[str, Any], keys: Ed25519Keys | None = None) -> bytes:
    """Return the file of somebody who knows the format: manifest and digest made anew, signed with a key of theirs."""
    sections["manifest"] = manifest_of(sections)
    sections["seal"]["digest"] = digest = seal_digest(sections["schema"], sections["manifest"])
    if keys is not None:
        sections["seal"]["signature"] = signature_to_json(keys.sign(NODE, digest))
    return layout.to_bytes(sections)


def chained_anew(events: list[Any]) -> None:
    """Make every hash and number anew, as who rewrites a log does."""
    before = "0" * 64
    for seq, item in enumerate(events, start=1):
        item["body"] |= {"seq": seq, "prev_hash": before}
        text = json.dumps(item["body"], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        item["hash"] = before = hashlib.sha256(text.encode()).hexdigest()


def test_the_dossier_as_it_was_sealed_is_proven() -> None:
    sealed, key = made()

    verdict = verify(sealed.data, node_keys=frozenset({key}))

    assert (verdict.is_proven, verdict.is_key_known, verdict.anchors) == (True, True, 2)


@settings(max_examples=400, deadline=None)
@given(place=st.floats(0, 1, exclude_max=True), mask=st.integers(1, 255))
def test_any_changed_byte_is_found_in_the_section_that_holds_it(place: float, mask: int) -> None:
    data = bytearray(made()[0].data)
    offset = int(place * len(data))
    held_by = layout.place_of(bytes(data), offset)
    data[offset] ^= mask

    try:
        found = verify(bytes(data), node_keys=frozenset({made()[1]})).differences
    except DossierUnusable:
        # Only the name of the schema can make of a dossier something that is none of ours.
        assert held_by in {"schema", "the beginning of the file"}
        return

    section = held_by.partition(",")[0]
    assert any(is_here(one, section, offset) for one in found), found


def is_here(found: Difference, section: str, offset: int) -> bool:
    """Say whether a difference names the section, or a byte on the line of the changed one (or where it runs on to)."""
    if found.section != "file":
        return section in {found.section, "the beginning of the file"} or section in found.name
    told = int(found.name.split()[1])
    original = made()[0].data
    return original[:told].count(b"\n") - original[:offset].count(b"\n") in {0, 1}


@settings(max_examples=150, deadline=None)
@given(data=st.data(), how=st.sampled_from(["drop", "double", "swap", "add", "alter"]))
def test_any_item_dropped_doubled_moved_added_or_altered_is_named(data: st.DataObject, how: str) -> None:
    sections = content()
    section = data.draw(st.sampled_from([name for name in LISTS if len(sections[name]) > 1]))
    items = sections[section]
    place = data.draw(st.integers(0, len(items) - 2))
    before = list(items)
    if how == "drop":
        del items[place]
    elif how == "double":
        items.insert(place, copy.deepcopy(items[place]))
    elif how == "swap":
        items[place], items[place + 1] = items[place + 1], items[place]
    elif how == "add":
        items.insert(place, {"made": "up"})
    else:
        items[place] = {**items[place], "made": "up"}

    found = verify(layout.to_bytes(sections)).differences

    assert found
    assert {one.section for one in found} == {section}
    wanted = {"drop": What.MISSING, "double": What.ADDED, "swap": What.MOVED, "add": What.ADDED, "alter": What.ALTERED}
    assert [one.what for one in found] == [wanted[how]]
    assert found[0].item in ({place + 1, place + 2} if how in {"swap", "double"} else {place + 1})
    if section == "events" and how in {"drop", "alter"}:
        assert found[0].name == item_name("events", before[place], place)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), how=st.sampled_from(["drop", "swap", "alter"]))
def test_who_rewrites_events_with_all_hashes_and_the_manifest_is_found_without_the_key(
    data: st.DataObject, how: str
) -> None:
    sections = content()
    events = sections["events"]
    place = data.draw(st.integers(0, len(events) - 2))
    if how == "drop":
        del events[place]
    elif how == "swap":
        events[place], events[place + 1] = events[place + 1], events[place]
    else:
        events[place]["body"]["payload"] = {"made": "up"}
    chained_anew(events)
    last = events[-1]
    sections["head"]["covers"] = [{"case_id": "C1", "seq": len(events), "hash": last["hash"]}]

    forged = verify(sealed_anew(sections)).differences

    assert What.FORGED in {one.what for one in forged if one.section == "seal"}
    # And the anchors, which were made before, still hold what the events were.
    assert any(one.section == "events" and "anchor" in one.detail for one in forged)


def test_a_seal_made_with_another_key_is_found_by_who_knows_the_nodes(tmp_path: Path) -> None:
    sections = content()
    sections["incidents"] = [{"none_recorded": True}]
    data = sealed_anew(sections, Ed25519Keys(tmp_path))

    found = verify(data, node_keys=frozenset({made()[1]})).differences

    assert [(one.section, one.what) for one in found if one.section == "seal"] == [("seal", What.UNKNOWN_KEY)]
    assert verify(data).is_key_known is False


@pytest.mark.parametrize("schema", ["telegarde.dossier/0", "telegarde.dossier/2", "somebody.else/1"])
def test_another_schema_is_refused_and_says_which_is_read(schema: str, tmp_path: Path) -> None:
    sections = content() | {"schema": schema}

    with pytest.raises(DossierUnusable, match=r"telegarde\.dossier/1|no dossier"):
        verify(sealed_anew(sections, Ed25519Keys(tmp_path)))


@settings(max_examples=60, deadline=None)
@given(junk=st.binary(max_size=300))
def test_a_file_of_something_else_is_never_proven(junk: bytes) -> None:
    try:
        assert verify(junk).differences
    except DossierUnusable:
        return


def test_a_version_that_the_log_knows_and_the_dossier_lacks_is_missing_also_when_the_node_sealed_it(
    tmp_path: Path,
) -> None:
    sections = content()
    sections["report"] = [{"none_recorded": True}]

    found = verify(sealed_anew(sections, Ed25519Keys(tmp_path))).differences

    assert [(one.what, one.name) for one in found] == [(What.MISSING, "version 1 of the report of case C1")]


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_sections_of_any_shape_are_a_difference_and_no_crash(data: st.DataObject) -> None:
    sections = content()
    name = data.draw(st.sampled_from([*SECTIONS, "manifest", "seal"]))
    values = st.recursive(
        st.none() | st.integers() | st.text(max_size=5),
        lambda one: (
            st.lists(one, max_size=3)
            | st.dictionaries(st.sampled_from(["body", "version", "anchor", "sha256"]), one, max_size=3)
        ),
    )
    sections[name] = data.draw(values)

    assert verify(layout.to_bytes(sections)).differences
