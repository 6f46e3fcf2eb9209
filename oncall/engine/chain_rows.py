"""A chain as the JSON object in its timer's row, and back.

A chain that is alive always has an alarm, so its timer's row is where it is kept: the ladder as it was when the chain
began included. What became of a chain that ended is in the case's log.
"""

from collections.abc import Mapping
from typing import Any

from foundation.instants import instant_of_us, instant_of_us_or_none, microseconds, microseconds_or_none
from oncall.case.event import CaseId
from oncall.chain import Cause, Chain, ChainState, Paged, Subject
from oncall.directory import PersonId, SiteId, methods_of_rows, methods_to_rows
from oncall.ladder import Ladder, Purpose, Step, Target
from oncall.ladder_documents import ladder_to_json
from oncall.reading.board import Urgency


def chain_to_json(chain: Chain) -> dict[str, Any]:
    """Return a chain as a JSON object; instants are microseconds since 1970 UTC."""
    return {
        "chain_id": chain.chain_id,
        "subject": [chain.subject.case_id, chain.subject.site_id, int(chain.subject.urgency)],
        "ladder": ladder_to_json(chain.ladder),
        "cause": chain.cause.value,
        "begun_at_us": microseconds(chain.begun_at),
        "next_alarm_at_us": microseconds_or_none(chain.next_alarm_at),
        "state": chain.state.value,
        "round": chain.round,
        "position": chain.position,
        "step_ends_at_us": microseconds_or_none(chain.step_ends_at),
        "paged": [_paged_to_json(paged) for paged in chain.paged],
        "paged_before": sorted(chain.paged_before),
        "declined": sorted(chain.declined),
        "ended_by": chain.ended_by,
    }


def chain_from_json(row: Mapping[str, Any]) -> Chain:
    """Return the chain that `chain_to_json` wrote."""
    case_id, site_id, urgency = row["subject"]
    return Chain(
        chain_id=row["chain_id"],
        subject=Subject(case_id=CaseId(case_id), site_id=SiteId(site_id), urgency=Urgency(urgency)),
        ladder=_ladder_from_json(row["ladder"]),
        cause=Cause(row["cause"]),
        begun_at=instant_of_us(row["begun_at_us"]),
        next_alarm_at=instant_of_us_or_none(row["next_alarm_at_us"]),
        state=ChainState(row["state"]),
        round=row["round"],
        position=row["position"],
        step_ends_at=instant_of_us_or_none(row["step_ends_at_us"]),
        paged=tuple(_paged_from_json(paged) for paged in row["paged"]),
        paged_before=frozenset(map(PersonId, row["paged_before"])),
        declined=frozenset(map(PersonId, row["declined"])),
        ended_by=row["ended_by"],
    )


def _ladder_from_json(row: Mapping[str, Any]) -> Ladder:
    return Ladder(
        ladder_id=row["ladder_id"],
        version=row["version"],
        purpose=Purpose(row["purpose"]),
        rounds=row["rounds"],
        alarm_repeat_s=row["alarm_repeat_s"],
        steps=tuple(
            Step(
                level=step["level"],
                target=Target(step["target"]),
                wait_s={Urgency[key.upper()]: value for key, value in step["wait_s"].items()},
                repage_after_s={Urgency[key.upper()]: value for key, value in step["repage_after_s"].items()},
                pages_max=step["pages_max"],
                persons_max=step["persons_max"],
            )
            for step in row["steps"]
        ),
    )


def _paged_to_json(paged: Paged) -> dict[str, Any]:
    return {
        "person_id": paged.person_id,
        "methods": methods_to_rows(paged.methods),
        "used": list(paged.used),
        "failed": sorted(paged.failed),
        "replaced": paged.replaced,
    }


def _paged_from_json(row: Mapping[str, Any]) -> Paged:
    return Paged(
        person_id=PersonId(row["person_id"]),
        methods=methods_of_rows(row["methods"]),
        used=tuple(row["used"]),
        failed=frozenset(row["failed"]),
        replaced=row["replaced"],
    )
