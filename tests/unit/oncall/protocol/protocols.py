"""Protocols to test with: one of three phases, and what a scanner makes of it."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from oncall.directory import PersonId
from oncall.language import Language
from oncall.protocol.library import packaged
from oncall.protocol.model import Protocol, SentProtocol
from oncall.protocol.performed import Performed, PerformedSeries

SENT_AT = datetime(2026, 11, 22, 19, 4, tzinfo=UTC)
BY_NAME = {(one.protocol_id, one.language): one for one in packaged()}


def protocol(name: str, language: Language = Language.ENGLISH) -> Protocol:
    return BY_NAME[name, language]


def sent(name: str = "ct-mesenteric", **changes: Any) -> SentProtocol:
    asked = protocol(name)
    whole = SentProtocol(
        version=1,
        author=PersonId("anne"),
        sent_at=SENT_AT,
        title=asked.title,
        modality=asked.modality,
        language=asked.language,
        protocol_id=asked.protocol_id,
        library_version=asked.version,
        codes=asked.codes,
        phases=asked.phases,
        contrast=asked.contrast,
        preparation=asked.preparation,
        instructions=asked.instructions,
    )
    return replace(whole, **changes)


def series(description: str, number: int = 1, **changes: Any) -> PerformedSeries:
    made = PerformedSeries(
        series_instance_uid=f"1.2.{number}",
        modality="CT",
        description=description,
        instances=300,
        slice_mm=1.25,
        kv=100.0,
        length_mm=420.0,
        is_settled=True,
    )
    return replace(made, **changes)


def performed(*descriptions: str, is_over: bool = False, **changes: Any) -> Performed:
    made = tuple(series(one, number, **changes) for number, one in enumerate(descriptions, start=1))
    return Performed(series=made, is_over=is_over)
