"""``telegarde status``: what the archive holds, and how the node that serves it is, if one does."""

import argparse
import http.client
import json
import os
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import Connection, func, select

from foundation.database import Database
from pacs.archive.schema import commitment, instance_conflict, patient, series, study
from territory.cli_output import answer
from territory.cli_place import Place, place_of
from territory.node_lock import running_node

# A node that needs longer to say how it is, is not well.
HEALTH_WAIT_S_MAX: Final = 20.0


def run(arguments: argparse.Namespace) -> int:
    """Run ``status``: exit code 1 when a node serves and is not ready."""
    place = place_of(arguments)
    node = _node(place)
    database = place.open_database()
    try:
        holds = _holds(database)
    finally:
        database.close()
    answer(arguments, {**node, **holds, **_disk(place, database)}, title=str(place.data_dir))
    return 1 if node["serving"] and node["reasons"] else 0


def _node(place: Place) -> dict[str, Any]:
    facts = running_node(place.data_dir)
    if facts is None:
        return {"serving": False, "reasons": []}
    if "http_port" not in facts:
        return {"serving": False, "pid": facts.get("pid"), "reasons": ["another command works on it"]}
    return {"serving": True, **_ask_health(str(facts["http_host"]), int(facts["http_port"]))}


def _ask_health(host: str, port: int) -> dict[str, Any]:
    # A node that listens on every interface is asked on this one.
    address = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  # compared, not bound
    connection = http.client.HTTPConnection(address, port, timeout=HEALTH_WAIT_S_MAX)
    try:
        connection.request("GET", "/health")
        health = json.loads(connection.getresponse().read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        return {"reasons": [f"GET /health on port {port} is not answered ({type(error).__name__})"]}
    finally:
        connection.close()
    workers = health.get("workers", [])
    return {
        "pid": health.get("pid"),
        "reasons": health.get("reasons", []),
        "associations": health.get("associations", 0),
        "workers": len(workers),
        "workers_ready": sum(worker["state"] == "ready" for worker in workers),
    }


def _holds(database: Database) -> dict[str, Any]:
    with database.read() as connection:
        instances, size_bytes, last_s = connection.execute(
            select(
                func.coalesce(func.sum(study.c.number_of_study_related_instances), 0),
                func.coalesce(func.sum(study.c.size_bytes), 0),
                func.max(study.c.last_received_at_s),
            )
        ).one()
        return {
            "patients": _count(connection, patient.c.patient_pk),
            "studies": _count(connection, study.c.study_pk),
            "series": _count(connection, series.c.series_pk),
            "instances": int(instances),
            "bytes": int(size_bytes),
            "conflicts": _count(connection, instance_conflict.c.conflict_pk),
            "commitments": {
                str(state): int(count)
                for state, count in connection.execute(
                    select(commitment.c.state, func.count()).group_by(commitment.c.state)
                )
            },
            "last_received_at": datetime.fromtimestamp(last_s, UTC).isoformat() if last_s else None,
        }


def _count(connection: Connection, column: Any) -> int:
    return int(connection.execute(select(func.count(column))).scalar_one())


def _disk(place: Place, database: Database) -> dict[str, Any]:
    packs = [path.stat().st_size for path in place.journal.glob("*.tar")]
    room = os.statvfs(place.data_dir)
    return {
        "database": database.dialect_name,
        "packs": len(packs),
        "packs_bytes": sum(packs),
        "free_bytes": room.f_bavail * room.f_frsize,
    }
