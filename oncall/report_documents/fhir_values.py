"""Values of FHIR that every resource uses: references inside a Bundle, codes, instants.

Source: FHIR R4 datatypes; Bundle references by ``urn:uuid`` (FHIR R4 Bundle 3.1).
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from oncall.report_documents.characters import readable
from oncall.report_documents.identifiers import part_uuid
from oncall.report_documents.source import DocumentSource

Resource = dict[str, Any]
"""What JSON holds; FHIR's own structure is checked by tests against a model that was written elsewhere."""


def reference(source: DocumentSource, name: str, display: str = "") -> Resource:
    """Return a reference to an entry of the Bundle by its name."""
    return without_empty({"reference": f"urn:uuid:{part_uuid(source, name)}", "display": display})


def entry(source: DocumentSource, name: str, resource: Resource) -> Resource:
    """Return an entry of the Bundle."""
    return {"fullUrl": f"urn:uuid:{part_uuid(source, name)}", "resource": resource}


def coding(system: str, code: str, display: str = "") -> Resource:
    """Return a CodeableConcept of one code."""
    return {"coding": [without_empty({"system": system, "code": code, "display": display})]}


def oid_identifier(oid: str, value: str) -> Resource:
    """Return an identifier whose issuer has an OID."""
    return {"system": f"urn:oid:{oid}", "value": value}


def local_instant(source: DocumentSource, instant: datetime) -> str:
    """Return an instant with the hospital's offset."""
    return instant.astimezone(ZoneInfo(source.exam.time_zone)).isoformat(timespec="seconds")


def readable_resource(value: Any) -> Any:
    """Return a resource whose texts hold no character that FHIR forbids (FHIR R4 string)."""
    if isinstance(value, str):
        return readable(value)
    if isinstance(value, dict):
        return {key: readable_resource(item) for key, item in value.items()}
    return [readable_resource(item) for item in value] if isinstance(value, list) else value


def without_empty(resource: Mapping[str, Any]) -> Resource:
    """Return a resource without what is empty: FHIR has no empty texts or lists."""
    return {key: value for key, value in resource.items() if value not in ("", [], {}, None)}
