"""The tables of `oncall`; their rows are nowhere else, so every write is durable (`Database.write(durable=True)`).

Instants are whole microseconds since 1970 UTC (``_us``); JSON is canonical (sorted keys). No foreign key leaves the
package. Keys that must make an effect happen once are deterministic texts (``timer_key``, ``message_key``): doing the
same thing again meets the row that is there.
"""

from typing import Final

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, String, Table, Text, UniqueConstraint

from foundation.database import METADATA

_BIG_ID: Final = BigInteger().with_variant(Integer, "sqlite")

# What people edit, by version; the newest published one is in force, older ones explain old decisions.
oncall_document = Table(
    "oncall_document",
    METADATA,
    # directory | roster | policy
    Column("kind", String(16), primary_key=True),
    Column("version", String(64), primary_key=True),
    Column("published_at_us", BigInteger, nullable=False),
    Column("published_by", String(64), nullable=False),
    Column("body", Text, nullable=False),
)

# Swap and give-away requests: `body` is the request's JSON, `state` its place in the state table of oncall.rota.swaps.
oncall_swap = Table(
    "oncall_swap",
    METADATA,
    Column("swap_id", String(64), primary_key=True),
    Column("state", String(16), nullable=False),
    Column("body", Text, nullable=False),
    Column("changed_at_us", BigInteger, nullable=False),
)

# Calendar events that a later roster version changed or cancelled; all others have sequence 0 and are not here.
oncall_calendar_event = Table(
    "oncall_calendar_event",
    METADATA,
    Column("uid", String(200), primary_key=True),
    Column("line_id", String(64), nullable=False),
    Column("person_id", String(64), nullable=False),
    Column("start_us", BigInteger, nullable=False, index=True),
    Column("end_us", BigInteger, nullable=False),
    Column("rule", String(200), nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("is_cancelled", Boolean, nullable=False),
    Column("changed_at_us", BigInteger, nullable=False),
)

# The truth about cases. `position` is the order in which events of all cases were recorded.
oncall_case_event = Table(
    "oncall_case_event",
    METADATA,
    Column("position", _BIG_ID, primary_key=True, autoincrement=True),
    Column("case_id", String(64), nullable=False),
    Column("seq", Integer, nullable=False),
    Column("event_id", String(36), nullable=False, unique=True),
    Column("type", String(64), nullable=False),
    Column("occurred_at_us", BigInteger, nullable=False),
    Column("recorded_at_us", BigInteger, nullable=False),
    Column("body", Text, nullable=False),
    Column("prev_hash", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
    UniqueConstraint("case_id", "seq"),
)

# A projection, rebuilt from the events alone: what lists and look-ups need without folding.
oncall_case = Table(
    "oncall_case",
    METADATA,
    Column("case_id", String(64), primary_key=True),
    Column("site_id", String(64), nullable=False),
    Column("is_open", Boolean, nullable=False),
    Column("opened_at_us", BigInteger, nullable=False),
    Column("seq", Integer, nullable=False),
    Column("head_hash", String(64), nullable=False),
    Index("ix_oncall_case_open", "is_open", "opened_at_us"),
)

# Which study belongs to which case now; a re-match moves the row, the events keep the story.
oncall_study_link = Table(
    "oncall_study_link",
    METADATA,
    Column("issuer", String(64), primary_key=True),
    Column("study_instance_uid", String(64), primary_key=True),
    Column("case_id", String(64), nullable=False, index=True),
)

# Studies that no case has; a case that takes one takes the row away.
oncall_unclaimed_study = Table(
    "oncall_unclaimed_study",
    METADATA,
    Column("issuer", String(64), primary_key=True),
    Column("study_instance_uid", String(64), primary_key=True, index=True),
    Column("last_at_us", BigInteger, nullable=False, index=True),
    Column("body", Text, nullable=False),
)

# What is due when. A worker leases a row and acts in one transaction with its deletion; a lease that ran out is free.
oncall_timer = Table(
    "oncall_timer",
    METADATA,
    Column("timer_key", String(160), primary_key=True),
    Column("kind", String(32), nullable=False),
    Column("case_id", String(64), nullable=True, index=True),
    Column("due_at_us", BigInteger, nullable=False, index=True),
    Column("payload", Text, nullable=False),
    Column("leased_by", String(64), nullable=True),
    Column("leased_until_us", BigInteger, nullable=True),
)

# Messages to people: decided in the transaction of the event that causes them, handed to a channel afterwards.
oncall_message = Table(
    "oncall_message",
    METADATA,
    Column("message_key", String(200), primary_key=True),
    Column("case_id", String(64), nullable=True, index=True),
    # The escalation, contact test or recall that it belongs to.
    Column("chain_id", String(128), nullable=True, index=True),
    Column("person_id", String(64), nullable=False),
    Column("channel", String(16), nullable=False),
    Column("address", String(256), nullable=False),
    # By which its link answers it; unguessable.
    Column("answer_token", String(32), nullable=True, index=True),
    # queued | sending | sent | delivered | failed | unknown | cancelled | answered
    Column("state", String(16), nullable=False),
    Column("body", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due_at_us", BigInteger, nullable=False),
    Column("leased_by", String(64), nullable=True),
    Column("leased_until_us", BigInteger, nullable=True),
    Column("provider_id", String(128), nullable=True, index=True),
    Index("ix_oncall_message_due", "state", "due_at_us"),
)

# Everything that happened to a message, in order: handed over, receipt, answer, failure with its cause.
oncall_message_event = Table(
    "oncall_message_event",
    METADATA,
    Column("position", _BIG_ID, primary_key=True, autoincrement=True),
    Column("message_key", String(200), nullable=False, index=True),
    Column("occurred_at_us", BigInteger, nullable=False),
    Column("happened", String(32), nullable=False),
    Column("detail", Text, nullable=False),
)

# A plan blanc or drill, and each person it recalls.
oncall_recall = Table(
    "oncall_recall",
    METADATA,
    Column("recall_id", String(64), primary_key=True),
    Column("is_drill", Boolean, nullable=False),
    Column("started_at_us", BigInteger, nullable=False),
    Column("started_by", String(64), nullable=False),
    Column("ended_at_us", BigInteger, nullable=True),
    Column("body", Text, nullable=False),
)

oncall_recall_answer = Table(
    "oncall_recall_answer",
    METADATA,
    Column("recall_id", String(64), primary_key=True),
    Column("person_id", String(64), primary_key=True),
    Column("answered_at_us", BigInteger, nullable=False),
    Column("answer", String(16), nullable=False),
    Column("arrives_at_us", BigInteger, nullable=True),
)
