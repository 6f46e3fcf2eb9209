"""The tables of `oncall`; their rows are nowhere else, so every write is durable (`Database.write(durable=True)`).

Instants are whole microseconds since 1970 UTC (``_us``); JSON is canonical (sorted keys). No foreign key leaves the
package. Keys that must make an effect happen once are deterministic texts (``timer_key``, ``message_key``): doing the
same thing again meets the row that is there.
"""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

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

PRIOR_EXAM_FOUND: Final = text("oncall_case_event.type = 'request.prior_exam_found'")
"""Chooses the few events that say that a recent exam may answer a request; a literal, as its index needs."""

Index(
    "ix_oncall_case_event_prior_exam_found",
    oncall_case_event.c.case_id,
    sqlite_where=text("type = 'request.prior_exam_found'"),
    postgresql_where=text("type = 'request.prior_exam_found'"),
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

# Signed versions of reports, written once. `body` is the very text that was signed, `digest` its SHA-256.
oncall_report_version = Table(
    "oncall_report_version",
    METADATA,
    Column("case_id", String(64), primary_key=True),
    Column("version", Integer, primary_key=True),
    # preliminary | final | addendum | replacement | retraction
    Column("kind", String(16), nullable=False),
    Column("signed_at_us", BigInteger, nullable=False, index=True),
    Column("signed_by", String(64), nullable=False),
    Column("digest", String(64), nullable=False, unique=True),
    Column("body", Text, nullable=False),
    Column("algorithm", String(16), nullable=False),
    Column("key_id", String(96), nullable=False),
    Column("public_key", LargeBinary, nullable=False),
    Column("signature", LargeBinary, nullable=False),
    # RFC 3161; the one column that is filled in later.
    Column("time_stamp", LargeBinary, nullable=True),
)

# Public keys that have signed, for ever: old signatures are verified with them after the key has changed.
oncall_signing_key = Table(
    "oncall_signing_key",
    METADATA,
    Column("key_id", String(96), primary_key=True),
    # A person's id, or the node.
    Column("holder", String(64), nullable=False, index=True),
    Column("algorithm", String(16), nullable=False),
    Column("public_key", LargeBinary, nullable=False),
    Column("first_seen_at_us", BigInteger, nullable=False),
    Column("revoked_at_us", BigInteger, nullable=True),
    Column("revoked_by", String(64), nullable=True),
    Column("reason", Text, nullable=True),
)

# What somebody is writing: one row for one case, kept by one person at a time until the lease runs out.
oncall_report_draft = Table(
    "oncall_report_draft",
    METADATA,
    Column("case_id", String(64), primary_key=True),
    Column("person_id", String(64), nullable=False),
    Column("leased_until_us", BigInteger, nullable=False),
    # Of the content; a save that does not know the present one is refused.
    Column("revision", Integer, nullable=False),
    # The last signed version when the draft was begun; 0 for none.
    Column("base_version", Integer, nullable=False),
    Column("saved_at_us", BigInteger, nullable=False),
    Column("body", Text, nullable=False),
)

# Who held a draft, and who took it over from whom.
oncall_report_draft_event = Table(
    "oncall_report_draft_event",
    METADATA,
    Column("position", _BIG_ID, primary_key=True, autoincrement=True),
    Column("case_id", String(64), nullable=False, index=True),
    Column("occurred_at_us", BigInteger, nullable=False),
    # opened | taken_over | released | signed | set_aside
    Column("happened", String(16), nullable=False),
    Column("person_id", String(64), nullable=False),
    Column("from_person_id", String(64), nullable=True),
    # Words that were set aside without having been signed.
    Column("body", Text, nullable=True),
)

# A projection for figures: one row a case, made again from events and directories alone (`oncall.figures.projection`).
oncall_case_figure = Table(
    "oncall_case_figure",
    METADATA,
    Column("case_id", String(64), primary_key=True),
    # Events that are in it.
    Column("seq", Integer, nullable=False),
    Column("outcome", String(16), nullable=False),
    # Images complete, or else when it was opened: the day and month that it is counted in.
    Column("counted_at_us", BigInteger, nullable=False, index=True),
    Column("site_id", String(64), nullable=False),
    Column("urgency", Integer, nullable=False),
    Column("exam", String(16), nullable=False),
    Column("modality", String(16), nullable=False),
    Column("period", String(16), nullable=False),
    Column("provider_id", String(64), nullable=False),
    Column("reader_id", String(64), nullable=False),
    *(
        Column(f"{name}_at_us", BigInteger, nullable=True)
        for name in (
            "requested", "answered", "images", "deadline", "assigned", "acknowledged", "read", "finding", "signed",
            "delivered", "known", "critical", "critical_known", "second_read",
        )
    ),
    # Of clocks C1 to C9: what elapsed when it has stopped; when it is due while it runs.
    *(Column(f"c{number}_us", BigInteger, nullable=True) for number in range(1, 10)),
    *(Column(f"c{number}_due_us", BigInteger, nullable=True) for number in range(1, 10)),
    # Bit n-1 for clock n.
    Column("running_clocks", Integer, nullable=False),
    Column("late_clocks", Integer, nullable=False),
    # Images complete to first opening; reading of the report that stands; waiting for silent readers and for images.
    Column("wait_us", BigInteger, nullable=True),
    Column("reading_us", BigInteger, nullable=True),
    Column("silent_us", BigInteger, nullable=False),
    Column("stalled_us", BigInteger, nullable=False),
    Column("assignments", Integer, nullable=False),
    Column("studies", Integer, nullable=False),
    Column("addenda", Integer, nullable=False),
    Column("retractions", Integer, nullable=False),
    # Why the hour was missed, as far as the case alone tells; empty when it was not.
    Column("cause", String(16), nullable=False),
)  # fmt: skip

# What the clairvoyant said of a night, kept because it takes seconds; asked again when the cases' rows have changed.
oncall_night_verdict = Table(
    "oncall_night_verdict",
    METADATA,
    # The local day on which the night begins.
    Column("night", String(10), primary_key=True),
    Column("fingerprint", String(64), nullable=False),
    Column("judged_at_us", BigInteger, nullable=False),
    Column("body", Text, nullable=False),
)

# One signed statement a day over the heads of all logs; never changed, never deleted.
oncall_anchor = Table(
    "oncall_anchor",
    METADATA,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("made_at_us", BigInteger, nullable=False),
    # Of the last event that it stands for, in oncall_case_event.
    Column("position", BigInteger, nullable=False),
    Column("digest", String(64), nullable=False, unique=True),
    # The statement's canonical JSON, and the signature's.
    Column("body", Text, nullable=False),
    Column("signature", Text, nullable=False),
    # RFC 3161.
    Column("time_stamp", LargeBinary, nullable=True),
)

# The leaves of each anchor's tree, in their order: the head of every log to which something was added since the last.
oncall_anchor_leaf = Table(
    "oncall_anchor_leaf",
    METADATA,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("leaf", Integer, primary_key=True, autoincrement=False),
    Column("case_id", String(64), nullable=False, index=True),
    Column("seq", Integer, nullable=False),
    Column("hash", String(64), nullable=False),
)

# One signed version on its way to one recipient by one channel; the id follows from what it is.
oncall_delivery = Table(
    "oncall_delivery",
    METADATA,
    Column("delivery_id", String(32), primary_key=True),
    Column("case_id", String(64), nullable=False),
    Column("version", Integer, nullable=False),
    # preliminary | final | addendum | replacement | retraction
    Column("kind", String(16), nullable=False),
    Column("recipient_kind", String(32), nullable=False),
    Column("recipient", String(64), nullable=False),
    # web | email | dicom | hl7 | archive
    Column("channel", String(16), nullable=False),
    Column("address", String(256), nullable=False),
    Column("policy_version", String(64), nullable=False),
    # queued | sending | sent | delivered | failed | given_up | superseded | acknowledged
    Column("state", String(16), nullable=False),
    Column("attempts", Integer, nullable=False),
    # Why the last attempt failed, a constant word.
    Column("reason", String(64), nullable=False),
    Column("ended_by", String(128), nullable=False),
    Column("planned_at_us", BigInteger, nullable=False),
    Column("changed_at_us", BigInteger, nullable=False),
    Column("due_at_us", BigInteger, nullable=False),
    Column("leased_by", String(64), nullable=True),
    Column("leased_until_us", BigInteger, nullable=True),
    Index("ix_oncall_delivery_due", "state", "due_at_us"),
    Index("ix_oncall_delivery_case", "case_id", "version"),
)

# Everything that happened to a delivery, each attempt included, in order; the engine takes its news from here.
oncall_delivery_event = Table(
    "oncall_delivery_event",
    METADATA,
    Column("position", _BIG_ID, primary_key=True, autoincrement=True),
    Column("delivery_id", String(32), nullable=False, index=True),
    Column("occurred_at_us", BigInteger, nullable=False),
    Column("happened", String(32), nullable=False),
    Column("reason", String(64), nullable=False),
    # The worker that tried, or who decided.
    Column("done_by", String(128), nullable=False),
)

# Whom the patient lets have the reports of a case beside the requester: never deleted, only revoked.
oncall_delivery_authorisation = Table(
    "oncall_delivery_authorisation",
    METADATA,
    Column("position", _BIG_ID, primary_key=True, autoincrement=True),
    Column("case_id", String(64), nullable=False, index=True),
    Column("recipient_kind", String(32), nullable=False),
    Column("recipient", String(64), nullable=False),
    Column("channel", String(16), nullable=False),
    Column("address", String(256), nullable=False),
    Column("given_at_us", BigInteger, nullable=False),
    Column("recorded_by", String(128), nullable=False),
    Column("revoked_at_us", BigInteger, nullable=True),
    Column("revoked_by", String(128), nullable=True),
)

# Documents of a version as they were first made: everybody gets these bytes.
oncall_report_document = Table(
    "oncall_report_document",
    METADATA,
    Column("case_id", String(64), primary_key=True),
    Column("version", Integer, primary_key=True),
    # Digest of the patient and the exam that they show: they are made again when one of them is corrected.
    Column("made_of", String(32), primary_key=True),
    # pdf | structured_report | encapsulated_pdf | key_objects | plain_text
    Column("kind", String(32), primary_key=True),
    Column("digest", String(64), nullable=False),
    Column("made_at_us", BigInteger, nullable=False),
    Column("body", LargeBinary, nullable=False),
)

# What discrepancies teach, without whose they were: no case, person, hospital or day, and a random key.
oncall_learning = Table(
    "oncall_learning",
    METADATA,
    Column("learning_id", String(16), primary_key=True),
    # The month, as 2026-11.
    Column("period", String(7), nullable=False, index=True),
    Column("exam", String(16), nullable=False),
    Column("body_region", String(16), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("score", String(2), nullable=False),
    Column("lesson", Text, nullable=False),
)
