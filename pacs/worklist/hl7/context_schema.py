"""The tables of what messages said beside their orders; their rows are nowhere else, so every write is durable.

``body`` is JSON, as the module that writes it says. Instants are whole microseconds since 1970 UTC (``_us``).
"""

from sqlalchemy import BigInteger, Column, String, Table, Text

from foundation.database import METADATA

# What an answer must say again: `pacs.worklist.hl7.order_context`.
hl7_order_context = Table(
    "hl7_order_context",
    METADATA,
    Column("order_id", String(32), primary_key=True),
    Column("body", Text, nullable=False),
    Column("changed_at_us", BigInteger, nullable=False),
)

# What a hospital adds after the exam, one row a study: `pacs.worklist.hl7.complement_in`.
hl7_complement = Table(
    "hl7_complement",
    METADATA,
    Column("order_id", String(32), primary_key=True),
    Column("study_instance_uid", String(64), primary_key=True),
    Column("body", Text, nullable=False),
    Column("changed_at_us", BigInteger, nullable=False),
)
