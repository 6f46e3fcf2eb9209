"""Orders to test with: one full of everything that an order can say, and small ones by number."""

from dataclasses import replace
from datetime import UTC, datetime

from pacs.worklist.order import (
    Code,
    Ins,
    InsStatus,
    Order,
    OrderPatient,
    OrderPriority,
    ProtocolParameter,
    ScheduledProtocol,
    order_id,
)

NOW = datetime(2026, 11, 21, 22, 15, tzinfo=UTC)

STROKE_PROTOCOL = ScheduledProtocol(
    version=1,
    title="CT stroke: plain, angiography, perfusion",
    codes=(Code(value="CTSTROKE", scheme="99TELEGARDE", meaning="CT stroke", scheme_version="3"),),
    parameters=(
        ProtocolParameter(concept=Code(value="122093", scheme="DCM", meaning="Contrast volume"), value="50", unit="mL"),
        ProtocolParameter(
            concept=Code(value="COVERAGE", scheme="99TELEGARDE", meaning="Coverage"), value="arch-vertex"
        ),
    ),
    text="Plain first. Angiography from the arch. Perfusion unless creatinine is not known.",
    contrast_agent="Iomeprol 400",
    pre_medication="None",
    author="dr-a",
    protocol_id="ct-stroke",
    library_version="3",
    sent_at=NOW,
)


def order(number: int = 1, *, site_id: str = "roanne", **changes: object) -> Order:
    """Return an order of a hospital by its number; every field can be changed."""
    plain = Order(
        order_id=order_id(site_id, f"P{number}"),
        site_id=site_id,
        placer_order_number=f"P{number}",
        patient=OrderPatient(
            patient_id=f"{site_id}-{number}",
            issuer=site_id.upper(),
            name=f"Durand{number}^Zoë",
            birth_date="19500131",
            sex="F",
        ),
        modality="CT",
        scheduled_at=NOW,
        description="CT head",
        source="hl7",
    )
    return replace(plain, **changes)  # type: ignore[arg-type]  # the caller names fields of an order


def full_order(number: int = 1, *, site_id: str = "roanne") -> Order:
    """Return an order that says everything."""
    return order(
        number,
        site_id=site_id,
        patient=OrderPatient(
            patient_id=f"{site_id}-{number}",
            issuer=site_id.upper(),
            name="Lefèvre^Zoë^Anne^Mme^",
            birth_date="19480229",
            sex="F",
            ins=Ins(matricule="248022900101234", oid="1.2.250.1.213.1.4.10", status=InsStatus.QUALIFIED),
            other_ids=(("SE-7", "ST-ETIENNE"),),
            allergies="Iode",
            medical_alerts="Pacemaker",
            special_needs="Brancard",
            state="Intubée",
            pregnancy_status=4,
            weight_kg=61.5,
            size_m=1.64,
        ),
        filler_order_number="F9",
        accession_number="ACC9",
        study_instance_uid="1.2.250.1.99.9",
        procedure=Code(value="ACQH003", scheme="CCAM", meaning="Scanner du crâne"),
        body_region=Code(value="69536005", scheme="SCT", meaning="Head"),
        reason="Hémiplégie droite",
        clinical_question="AVC ischémique ?",
        requester="Martin^Léa",
        requester_rpps="10001234567",
        requesting_service="Urgences",
        priority=OrderPriority.STAT,
        station_aet="CT1_ROANNE",
        exam="ct_stroke",
        urgency="immediate",
        onset_at=NOW,
        expected_instances=900,
        protocol=STROKE_PROTOCOL,
    )
