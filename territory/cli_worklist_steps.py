"""``telegarde worklist steps``: what scanners say was done, and which of it nobody ordered or names another patient.

For: `territory.cli_worklist`. Not for: changing steps; only their scanners do.
"""

import argparse
from typing import Any, Final

import pacs.worklist.mpps_schema  # noqa: F401  # adds its tables to METADATA
from foundation.database import Database
from pacs.worklist import mpps_store
from pacs.worklist.mpps import PerformedStep
from territory.cli_output import answer
from territory.cli_tables import print_rows

STEPS_MAX: Final = 200
"""Newest steps that are listed."""

_COLUMNS: Final = ("site", "received", "console", "modality", "state", "orders", "series", "instances", "mpps_uid")


def list_steps(arguments: argparse.Namespace, database: Database) -> int:
    """List the newest performed steps."""
    is_unscheduled = True if arguments.unscheduled else None
    with database.read() as connection:
        found = mpps_store.newest(connection, site_id=arguments.site, is_unscheduled=is_unscheduled, limit=STEPS_MAX)
    rows = [_row(one) for one in found]
    if arguments.json:
        answer(arguments, {"steps": rows}, title="")
    else:
        shown = [{**row, "orders": _orders_shown(row)} for row in rows]
        print_rows("Performed steps", _COLUMNS, shown, nothing="No scanner has said anything yet.")
    return 0


def _row(step: PerformedStep) -> dict[str, Any]:
    return {
        "mpps_uid": step.mpps_uid,
        "site": step.site_id,
        "console": step.calling_aet,
        "received": step.created_at.isoformat(timespec="seconds"),
        "changed": step.changed_at.isoformat(timespec="seconds"),
        "modality": step.modality,
        "state": step.state.value,
        "orders": list(step.order_ids),
        "is_unscheduled": step.is_unscheduled,
        "is_of_another_patient": step.is_of_another_patient,
        "study_instance_uids": list(step.study_instance_uids),
        "series": len(step.series),
        "instances": len(step.sop_instance_uids),
        "dose_mgy_cm": step.dose.dlp_mgy_cm,
        "ctdivol_mgy": step.dose.ctdivol_mgy,
        "area_dose_dgy_cm2": step.dose.area_dose_dgy_cm2,
    }


def _orders_shown(row: dict[str, Any]) -> str:
    if row["is_of_another_patient"]:
        return "ANOTHER PATIENT"
    return ", ".join(row["orders"]) or "unscheduled"
