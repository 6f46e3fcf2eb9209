"""The tables of orders and of what consoles were given; their rows are nowhere else, so every write is durable.

Instants are whole microseconds since 1970 UTC (``_us``); ``body`` is the order as `pacs.worklist.order_json` writes it.
The columns beside it are what lists are narrowed by; they are written with the body, never apart from it.
"""

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, String, Table, Text

from foundation.database import METADATA

worklist_order = Table(
    "worklist_order",
    METADATA,
    Column("order_id", String(32), primary_key=True),
    Column("site_id", String(64), nullable=False),
    # SCHEDULED or IN PROGRESS: on the worklist.
    Column("is_open", Boolean, nullable=False),
    Column("state", String(16), nullable=False),
    # 0 for emergencies, 1 for what waits.
    Column("rank", Integer, nullable=False),
    Column("scheduled_at_us", BigInteger, nullable=False),
    Column("modality", String(16), nullable=False),
    Column("station_aet", String(16), nullable=False),
    # The hospital's own numbers: the issuer of its Patient IDs qualifies both.
    Column("issuer", String(64), nullable=False),
    Column("patient_id", String(64), nullable=False),
    Column("accession_number", String(64), nullable=False),
    Column("study_instance_uid", String(64), nullable=False, index=True),
    # Grows with every change of the row, so that what was made from it can be kept until then.
    Column("revision", Integer, nullable=False),
    Column("body", Text, nullable=False),
    # What the order's last word was taken from: an HL7 message's control id, a request's id, or ''.
    Column("source_message", String(64), nullable=False),
    Column("placed_at_us", BigInteger, nullable=False),
    Column("changed_at_us", BigInteger, nullable=False),
    Index("ix_worklist_order_of_site", "site_id", "is_open", "rank", "scheduled_at_us"),
    Index("ix_worklist_order_accession", "accession_number"),
    Index("ix_worklist_order_patient", "issuer", "patient_id"),
)

# The newest protocol version of each order that each console was given; a row per order and AE title.
worklist_delivery = Table(
    "worklist_delivery",
    METADATA,
    Column("order_id", String(32), primary_key=True),
    Column("calling_aet", String(16), primary_key=True),
    Column("protocol_version", Integer, nullable=False),
    Column("delivered_at_us", BigInteger, nullable=False),
)
