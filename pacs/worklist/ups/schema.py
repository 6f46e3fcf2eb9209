"""The tables of work items, subscriptions and event reports. Their rows are nowhere else: they are written durably.

``attributes`` and ``information`` are DICOM JSON objects (PS3.18 F.2). Instants are whole microseconds since 1970 UTC.
"""

from typing import Final

from sqlalchemy import BigInteger, Column, Index, Integer, String, Table, Text

from foundation.database import METADATA

_BIG_ID: Final = BigInteger().with_variant(Integer, "sqlite")

ups_workitem: Final = Table(
    "ups_workitem",
    METADATA,
    Column("uid", String(64), primary_key=True),
    Column("state", String(16), nullable=False),
    Column("transaction_uid", String(64), nullable=False, default=""),
    # The hospital whom it concerns; '' for none.
    Column("site_id", String(64), nullable=False, default=""),
    # AE title or person who made it; '' when Telegarde did.
    Column("creator", String(64), nullable=False, default=""),
    # The case whose task it shows; '' when it is nobody's.
    Column("owner", String(64), nullable=False, default=""),
    Column("worklist_label", String(64), nullable=False, default=""),
    Column("attributes", Text, nullable=False),
    Column("created_at_us", BigInteger, nullable=False),
    Column("changed_at_us", BigInteger, nullable=False),
    Column("final_at_us", BigInteger, nullable=True),
    # Removed, but remembered: its UID is never another work item's (410 Gone).
    Column("is_gone", Integer, nullable=False, default=0),
    Index("ix_ups_workitem_state", "is_gone", "state"),
    Index("ix_ups_workitem_owner", "owner"),
)

ups_subscriber: Final = Table(
    "ups_subscriber",
    METADATA,
    Column("aet", String(16), primary_key=True),
    # Who may open its channel and change its subscriptions: a person of the web interface; '' for a DICOM peer.
    Column("holder", String(64), nullable=False, default=""),
    # JSON list of the hospitals whose work items it is told of; null for all.
    Column("sites", Text, nullable=True),
)

ups_subscription: Final = Table(
    "ups_subscription",
    METADATA,
    Column("workitem_uid", String(64), primary_key=True),
    Column("aet", String(16), primary_key=True),
    Column("is_locked", Integer, nullable=False),
    Index("ix_ups_subscription_aet", "aet"),
)

ups_global_subscription: Final = Table(
    "ups_global_subscription",
    METADATA,
    Column("aet", String(16), primary_key=True),
    # GLOBAL_SUBSCRIPTION or FILTERED_SUBSCRIPTION.
    Column("well_known_uid", String(64), primary_key=True),
    Column("is_locked", Integer, nullable=False),
    # Matching keys as a DICOM JSON object.
    Column("filter", Text, nullable=False, default="{}"),
)

ups_event: Final = Table(
    "ups_event",
    METADATA,
    Column("event_id", _BIG_ID, primary_key=True, autoincrement=True),
    Column("aet", String(16), nullable=False),
    Column("workitem_uid", String(64), nullable=False),
    Column("event_type", Integer, nullable=False),
    Column("information", Text, nullable=False),
    Column("created_at_us", BigInteger, nullable=False),
    Index("ix_ups_event_aet", "aet", "event_id"),
)

ups_delivered: Final = Table(
    "ups_delivered",
    METADATA,
    # Which way: the channel of the web interface, or an association of ours.
    Column("way", String(8), primary_key=True),
    Column("aet", String(16), primary_key=True),
    Column("event_id", _BIG_ID, nullable=False),
    # Failures of the next event in a row, and when it is tried again.
    Column("failures", Integer, nullable=False, default=0),
    Column("next_at_us", BigInteger, nullable=False, default=0),
)
