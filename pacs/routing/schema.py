"""The tables of routing. Their rows are nowhere else: they are written durably.

Studies are named by issuer, Patient ID and Study Instance UID, never by keys of the index, which `telegarde reindex`
gives anew. Instants are whole microseconds since 1970 UTC.
"""

from sqlalchemy import BigInteger, Column, Float, Index, Integer, String, Table, UniqueConstraint

from foundation.database import METADATA

_BIG_ID = BigInteger().with_variant(Integer, "sqlite")

routing_item = Table(
    "routing_item",
    METADATA,
    Column("item_id", _BIG_ID, primary_key=True, autoincrement=True),
    Column("destination", String(64), nullable=False),
    Column("issuer", String(64), nullable=False),
    Column("patient_id", String(64), nullable=False),
    Column("study_instance_uid", String(64), nullable=False),
    Column("rule", String(64), nullable=False),
    Column("is_emergency", Integer, nullable=False),
    Column("state", String(12), nullable=False),
    # Instances ever queued, and those that the destination has answered for.
    Column("instances", Integer, nullable=False),
    Column("sent", Integer, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("fruitless", Integer, nullable=False),
    Column("reason", String(32), nullable=False),
    Column("queued_at_us", BigInteger, nullable=False),
    Column("due_at_us", BigInteger, nullable=False),
    Column("changed_at_us", BigInteger, nullable=False),
    # Events of the outbox up to this one are in it already.
    Column("seen_event_id", BigInteger, nullable=False),
    Column("leased_by", String(128), nullable=True),
    Column("leased_until_us", BigInteger, nullable=True),
    Column("decided_by", String(128), nullable=False),
    UniqueConstraint("destination", "issuer", "patient_id", "study_instance_uid"),
    # What waits is few among what was sent: it is looked for twice a second.
    Index("ix_routing_item_state", "state", "destination", "is_emergency", "queued_at_us"),
    Index("ix_routing_item_study", "study_instance_uid"),
)

routing_instance = Table(
    "routing_instance",
    METADATA,
    # Only what has not arrived has a row.
    Column("item_id", _BIG_ID, primary_key=True, autoincrement=False),
    Column("series_instance_uid", String(64), primary_key=True),
    Column("sop_instance_uid", String(64), primary_key=True),
    # 1 after a person gave it up.
    Column("is_given_up", Integer, nullable=False),
    # How often its sending began without an answer that it arrived: those that were tried least go first.
    Column("tries", Integer, nullable=False),
    Column("reason", String(32), nullable=False),
    sqlite_with_rowid=False,
)

routing_destination = Table(
    "routing_destination",
    METADATA,
    Column("name", String(64), primary_key=True),
    # Who paused it; NULL when nobody did.
    Column("paused_by", String(128), nullable=True),
    Column("away_since_us", BigInteger, nullable=True),
    Column("probes", Integer, nullable=False),
    Column("probe_at_us", BigInteger, nullable=True),
    Column("reason", String(32), nullable=False),
    Column("sent_instances", BigInteger, nullable=False),
    Column("sent_bytes", BigInteger, nullable=False),
    Column("last_sent_at_us", BigInteger, nullable=True),
)

site_watch = Table(
    "site_watch",
    METADATA,
    Column("site_id", String(64), primary_key=True),
    # 'heard' or 'silent', and since when.
    Column("state", String(8), nullable=False),
    Column("since_us", BigInteger, nullable=False),
    Column("cause", String(8), nullable=False),
    Column("heard_at_us", BigInteger, nullable=True),
    # Watched time without an image, in seconds, and how unlikely that is (natural logarithm, negated).
    Column("quiet_s", Float, nullable=False),
    Column("surprise", Float, nullable=False),
)

site_habit = Table(
    "site_habit",
    METADATA,
    # How often quarters of an hour had an image from a site, by local weekday (Monday 0) and hour; fading.
    Column("site_id", String(64), primary_key=True),
    Column("weekday", Integer, primary_key=True, autoincrement=False),
    Column("hour", Integer, primary_key=True, autoincrement=False),
    Column("quarters", Float, nullable=False),
    Column("active", Float, nullable=False),
)

routing_arrival = Table(
    "routing_arrival",
    METADATA,
    # Who sent studies lately: asked when an order that comes after the images makes an emergency of one.
    Column("issuer", String(64), primary_key=True),
    Column("patient_id", String(64), primary_key=True),
    Column("study_instance_uid", String(64), primary_key=True),
    Column("calling_aet", String(16), primary_key=True),
    Column("arrived_at_us", BigInteger, nullable=False),
    Index("ix_routing_arrival_arrived_at_us", "arrived_at_us"),
)
