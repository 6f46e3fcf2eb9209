"""The tables of HL7 messages; their rows are nowhere else, so every write is durable (`Database.write(durable=True)`).

Messages are kept as the bytes that came or go. Instants are whole microseconds since 1970 UTC (``_us``).
"""

from typing import Final

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, LargeBinary, String, Table, Text, UniqueConstraint

from foundation.database import METADATA

_BIG_ID: Final = BigInteger().with_variant(Integer, "sqlite")

# One row for each message that came; a message that is sent again meets its row, and gets the answer that is in it.
hl7_received = Table(
    "hl7_received",
    METADATA,
    Column("message_id", String(32), primary_key=True),
    # The order in which they were stored, for lists.
    Column("number", BigInteger, nullable=False, index=True),
    # SHA-256 over an admitted sender's name and MSH-10; of strangers, whoever they say they are, over the message.
    Column("sender_control_key", String(64), nullable=False, index=True),
    # '' where the message does not say, or cannot be read.
    Column("application", String(256), nullable=False),
    Column("facility", String(256), nullable=False),
    Column("control_id", String(256), nullable=False),
    # such as ORM^O01
    Column("message_type", String(32), nullable=False),
    # '' when the sender is not known
    Column("site_id", String(64), nullable=False),
    Column("content", LargeBinary, nullable=False),
    # False when only the beginning was kept: nobody can replay it.
    Column("is_whole", Boolean, nullable=False),
    # accepted | dead | discarded
    Column("state", String(16), nullable=False),
    # Why it is a dead letter, in one word; '' for others.
    Column("reason", String(64), nullable=False),
    # JSON of its field errors.
    Column("errors", Text, nullable=False),
    # What was answered, byte for byte; '' for an acknowledgement that was not asked for.
    Column("accept_answer", LargeBinary, nullable=False),
    Column("application_answer", LargeBinary, nullable=False),
    Column("received_at_us", BigInteger, nullable=False),
    Column("settled_at_us", BigInteger, nullable=False),
    # Who replayed or discarded it; '' for nobody.
    Column("settled_by", String(64), nullable=False),
    Index("ix_hl7_received_state_number", "state", "number"),
)

# What goes out, in the order of `number` for each destination.
hl7_outgoing = Table(
    "hl7_outgoing",
    METADATA,
    Column("number", _BIG_ID, primary_key=True, autoincrement=True),
    Column("destination", String(64), nullable=False),
    Column("control_id", String(64), nullable=False),
    Column("message_type", String(32), nullable=False),
    Column("content", LargeBinary, nullable=False),
    # queued | delivered | refused | given_up
    Column("state", String(16), nullable=False),
    Column("attempts", Integer, nullable=False),
    # Attempts that were answered AR or CR.
    Column("rejections", Integer, nullable=False),
    # Whether an attempt may have reached the other end without an answer coming back.
    Column("is_uncertain", Boolean, nullable=False),
    # The last answer in one word, such as AE or no_answer; '' before the first attempt.
    Column("reason", String(64), nullable=False),
    Column("answer", LargeBinary, nullable=False),
    Column("enqueued_at_us", BigInteger, nullable=False),
    Column("due_at_us", BigInteger, nullable=False),
    Column("changed_at_us", BigInteger, nullable=False),
    Column("ended_by", String(64), nullable=False),
    UniqueConstraint("destination", "control_id"),
    Index("ix_hl7_outgoing_state_destination_number", "state", "destination", "number"),
)

# Who sends to a destination now: one process at a time, so that messages stay in their order.
hl7_lease = Table(
    "hl7_lease",
    METADATA,
    Column("destination", String(64), primary_key=True),
    Column("worker", String(64), nullable=False),
    Column("until_us", BigInteger, nullable=False),
)
