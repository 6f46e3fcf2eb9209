"""The protocols that come with the program, by their words and numbers; publishing beside them, in two databases."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from pydicom.sr._concepts_dict import concepts

from foundation.database import Database
from foundation.errors import Refused
from oncall.language import Language
from oncall.protocol.library import find, in_force, packaged, publish_protocol, suited
from oncall.protocol.model import Protocol
from oncall.protocol.parameters import CONCENTRATION, RATE, VOLUME, parameters
from oncall.protocol.wording import lines, title_of, volume_ml, words
from oncall.reading.board import ExamKind
from tests.unit.oncall.protocol.protocols import protocol, sent

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)


def published(database: Database, one: Protocol, now: datetime = NOW) -> None:
    with database.write(durable=True) as connection:
        publish_protocol(connection, one, by="r05", now=now)


def test_every_kind_of_emergency_exam_has_a_protocol_in_both_languages() -> None:
    for language in Language:
        covered = {exam for one in packaged() if one.language is language for exam in one.exams}
        assert covered == set(ExamKind)
    names = [{one.protocol_id for one in packaged() if one.language is language} for language in Language]
    assert names[0] == names[1]
    assert len(names[0]) >= 15


def test_both_languages_of_a_protocol_ask_for_the_same_numbers_and_codes() -> None:
    for one in packaged():
        other = protocol(one.protocol_id, Language.FRENCH)
        assert one.codes == other.codes
        for phase, same in zip(one.phases, other.phases, strict=True):
            blank = {"name": "", "trigger": "", "coverage_from": "", "coverage_to": "", "note": ""}
            assert replace(phase, **blank) == replace(same, **blank)  # type: ignore[arg-type]  # fields of a phase


def test_what_is_within_a_hospitals_habits_is_within_the_packaged_protocols() -> None:
    for one in packaged():
        assert len(one.codes[0].code) <= 16  # SH (PS3.5 6.2)
        for phase in one.phases:
            assert phase.words, "a phase that no scanner's word names is never seen"
        contrast = one.contrast
        if contrast is not None:
            volume = volume_ml(contrast, 80.0)
            assert volume is not None
            assert 5 <= volume <= 150
            assert contrast.rate_ml_s is not None
            assert 1 <= contrast.rate_ml_s <= 6


def test_the_codes_of_parameters_are_those_of_the_standard() -> None:
    known = {code: meaning for found in concepts["DCM"].values() for code, (meaning, _) in found.items()}
    for one in packaged():
        for parameter in parameters(sent(one.protocol_id), weight_kg=70.0):
            assert known[parameter.concept.code] == parameter.concept.meaning


def test_a_volume_by_weight_is_reckoned_out_and_never_above_its_limit() -> None:
    asked = sent("ct-polytrauma")
    said = {one.concept: one for one in parameters(asked, weight_kg=60.0)}
    assert (said[VOLUME].value, said[VOLUME].unit) == ("90", "mL")
    assert (said[RATE].value, said[CONCENTRATION].value) == ("4", "350")
    assert asked.contrast is not None
    assert volume_ml(asked.contrast, 140.0) == 130
    assert volume_ml(asked.contrast, None) is None
    assert VOLUME not in {one.concept for one in parameters(asked)}


def test_the_whole_protocol_is_told_in_words_in_its_own_language() -> None:
    french = protocol("ct-stroke", Language.FRENCH)
    said = "\n".join(lines(french))
    assert "3. Angio-TDM des troncs supra-aortiques et du polygone ; bolus tracking" in said
    assert "couverture : crosse de l'aorte - vertex" in said
    assert "Contraste : Produit de contraste iodé, 350 mg/mL, 90 mL, 5 mL/s, puis 40 mL de sérum physiologique" in said
    free = replace(sent(), title="", phases=(), contrast=None, preparation="", instructions="", text="Chest only")
    assert words(free) == f"{title_of(free)}\nChest only"


def test_what_suits_the_exam_and_the_modality_comes_first_and_nothing_is_hidden() -> None:
    found = suited(packaged(), exam=ExamKind.STROKE, modality="MR", language=Language.FRENCH)
    assert found[0].protocol_id == "mr-stroke"
    assert {one.language for one in found} == {Language.FRENCH}
    assert {one.protocol_id for one in found} == {one.protocol_id for one in packaged()}
    own = replace(protocol("ct-pe"), protocol_id="own")
    assert "own" in {one.protocol_id for one in suited([own], exam=None, modality="", language=Language.FRENCH)}


def test_what_is_published_here_goes_before_what_came_with_the_program(database: Database) -> None:
    database.create_tables()
    own = replace(protocol("ct-pe"), version="2026-11", instructions="Ring 4711.")
    published(database, own)
    published(database, own, NOW + timedelta(days=1))
    newer = replace(own, version="2026-12", instructions="Ring 4712.")
    published(database, newer, NOW + timedelta(days=2))

    with database.read() as connection:
        found = in_force(connection)
        assert found["ct-pe", Language.ENGLISH].protocol == newer
        assert found["ct-pe", Language.FRENCH].published is None
        assert find(connection, "ct-pe", Language.ENGLISH, "2026-11") == own
        assert find(connection, "ct-pe", Language.ENGLISH, "1.0") == protocol("ct-pe")
        assert find(connection, "ct-pe", Language.ENGLISH, "0") is None


def test_a_version_that_exists_is_never_another_text(database: Database) -> None:
    database.create_tables()
    with pytest.raises(Refused, match="never changes"):
        published(database, replace(protocol("ct-pe"), instructions="Something else."))
    own = replace(protocol("ct-pe"), version="2026-11")
    published(database, own)
    with pytest.raises(Refused):
        published(database, replace(own, title="Something else"))
