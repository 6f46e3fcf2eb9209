"""The tables of patients' identities; their rows are nowhere else, so every write is durable.

Instants are whole microseconds since 1970 UTC (``_us``).
"""

from typing import Final

from sqlalchemy import BigInteger, Column, Index, Integer, String, Table, Text

from foundation.database import METADATA

_BIG_ID: Final = BigInteger().with_variant(Integer, "sqlite")

# Who a hospital says its patient is, as it last said so; one row a patient.
worklist_patient = Table(
    "worklist_patient",
    METADATA,
    Column("issuer", String(64), primary_key=True),
    Column("patient_id", String(64), primary_key=True),
    Column("patient_name", String(324), nullable=False),
    Column("birth_date", String(8), nullable=False),
    Column("sex", String(1), nullable=False),
    # '' without one, or with one that failed its own check
    Column("ins_matricule", String(15), nullable=False),
    Column("ins_oid", String(64), nullable=False),
    # provisional | retrieved | validated | qualified
    Column("ins_status", String(16), nullable=False),
    Column("changed_at_us", BigInteger, nullable=False),
    Column("source_message", String(64), nullable=False),
    Index("ix_worklist_patient_ins", "ins_matricule", "ins_oid"),
)

# What was said of two patients, in order; never removed. The newest that is in force decides.
worklist_patient_change = Table(
    "worklist_patient_change",
    METADATA,
    Column("number", _BIG_ID, primary_key=True, autoincrement=True),
    Column("change_id", String(32), nullable=False, unique=True),
    # merged | linked | unlinked | updated
    Column("kind", String(16), nullable=False),
    # Who stays, and who is no longer used (merged), is the same (linked), or is another again (unlinked).
    Column("issuer", String(64), nullable=False),
    Column("patient_id", String(64), nullable=False),
    Column("other_issuer", String(64), nullable=False),
    Column("other_patient_id", String(64), nullable=False),
    # 1 while a merge or a link is in force
    Column("is_in_force", Integer, nullable=False),
    # How far the identity was established before and after (updated).
    Column("status_before", String(16), nullable=False),
    Column("status_after", String(16), nullable=False),
    # JSON: {order id: its patient before}, of the orders that a merge moved.
    Column("moved", Text, nullable=False),
    Column("stated_at_us", BigInteger, nullable=False),
    Column("source_message", String(64), nullable=False),
    # Who undid it: a message's control id, or a person; '' for nobody.
    Column("undone_by", String(64), nullable=False),
    Index("ix_worklist_patient_change_one", "issuer", "patient_id", "is_in_force"),
    Index("ix_worklist_patient_change_other", "other_issuer", "other_patient_id", "is_in_force"),
)
