"""The tables of performed steps; their rows are nowhere else, so every write is durable.

Instants are whole microseconds since 1970 UTC (``_us``); ``attributes`` is the attribute list as DICOM JSON
(PS3.18 F.2). The columns beside it are what lists are narrowed by; they are written with it, never apart from it.
"""

from sqlalchemy import BigInteger, Boolean, Column, Index, String, Table, Text

from foundation.database import METADATA

performed_step = Table(
    "performed_step",
    METADATA,
    Column("mpps_uid", String(64), primary_key=True),
    # The hospital of the AE that created it; '' when it has none.
    Column("site_id", String(64), nullable=False),
    Column("calling_aet", String(16), nullable=False),
    Column("state", String(16), nullable=False),
    # No order that it performs is known.
    Column("is_unscheduled", Boolean, nullable=False),
    # An order that it names is of a patient with another ID.
    Column("is_of_another_patient", Boolean, nullable=False),
    Column("attributes", Text, nullable=False),
    Column("created_at_us", BigInteger, nullable=False),
    Column("changed_at_us", BigInteger, nullable=False),
    Index("ix_performed_step_of_site", "site_id", "is_unscheduled", "created_at_us"),
)

performed_step_order = Table(
    "performed_step_order",
    METADATA,
    Column("mpps_uid", String(64), primary_key=True),
    Column("order_id", String(32), primary_key=True, index=True),
)

performed_step_study = Table(
    "performed_step_study",
    METADATA,
    Column("mpps_uid", String(64), primary_key=True),
    Column("study_instance_uid", String(64), primary_key=True, index=True),
)
