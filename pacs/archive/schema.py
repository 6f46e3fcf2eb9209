"""The tables of the index. Everything here can be rebuilt from the packs by ``telegarde reindex``, but for commitments.

Text is stored decoded (Unicode), trimmed of padding. ``*_key`` columns hold folded person names (case and accents
removed, see `pacs.archive.person_name`). ``attributes`` holds further attributes of the level as a DICOM JSON object
(PS3.18 F) for return keys and for matching on attributes without a column of their own.

Instances are clustered by series: SOP Instance UIDs arrive in random order, and a unique index on them alone would
turn every insert into a random page (design, section 5). ``sop_lookup`` finds an instance by its UID alone; it is
filled behind the journal from the outbox, in sorted batches, so that receiving does not pay for it.

Counts are columns, maintained by the transaction that inserts instances.
"""

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from foundation.database import METADATA

_BIG_ID = BigInteger().with_variant(Integer, "sqlite")

pack = Table(
    "pack",
    METADATA,
    Column("pack_pk", Integer, primary_key=True, autoincrement=True),
    Column("name", String(128), nullable=False, unique=True),
    # 'open' while a lane may still grow, 'sealed' once its last member is indexed by an earlier transaction.
    Column("state", String(8), nullable=False),
    Column("size_bytes", BigInteger, nullable=False, default=0),
    # Every member that ends here or before has its row, written by an earlier transaction: recovery need not prove it.
    Column("indexed_until", BigInteger, nullable=False, default=0, server_default="0"),
)

patient = Table(
    "patient",
    METADATA,
    Column("patient_pk", Integer, primary_key=True, autoincrement=True),
    # The issuing hospital: Issuer of Patient ID, else the calling AE's configured issuer, else ''.
    Column("issuer", String(64), nullable=False),
    Column("patient_id", String(64), nullable=False),
    # Patients without an ID are not one patient: this is the Study Instance UID that such a one is known by, else ''.
    Column("apart", String(64), nullable=False, default=""),
    Column("patient_name", String(324), nullable=False),
    Column("patient_name_key", String(324), nullable=False),
    Column("patient_birth_date", String(8), nullable=False),
    Column("patient_birth_time", String(16), nullable=False, default=""),
    Column("patient_sex", String(16), nullable=False),
    Column("attributes", Text, nullable=False, default="{}"),
    UniqueConstraint("issuer", "patient_id", "apart"),
    Index("ix_patient_patient_id", "patient_id", postgresql_ops={"patient_id": "varchar_pattern_ops"}),
    Index(
        "ix_patient_patient_name_key", "patient_name_key", postgresql_ops={"patient_name_key": "varchar_pattern_ops"}
    ),
)

study = Table(
    "study",
    METADATA,
    Column("study_pk", Integer, primary_key=True, autoincrement=True),
    Column("patient_pk", ForeignKey("patient.patient_pk"), nullable=False),
    Column("study_instance_uid", String(64), nullable=False),
    Column("study_date", String(8), nullable=False),
    Column("study_time", String(16), nullable=False),
    Column("accession_number", String(64), nullable=False),
    Column("study_id", String(64), nullable=False),
    Column("study_description", String(256), nullable=False),
    Column("referring_physician_name", String(324), nullable=False),
    Column("referring_physician_name_key", String(324), nullable=False),
    # Sorted, distinct, separated by backslash; maintained when a series appears.
    Column("modalities_in_study", String(256), nullable=False, default=""),
    Column("sop_classes_in_study", Text, nullable=False, default=""),
    Column("number_of_study_related_series", Integer, nullable=False, default=0),
    Column("number_of_study_related_instances", Integer, nullable=False, default=0),
    Column("size_bytes", BigInteger, nullable=False, default=0),
    # Seconds since 1970 UTC of the first instance's commit and of the latest.
    Column("first_received_at_s", Float, nullable=False, default=0.0),
    Column("last_received_at_s", Float, nullable=False, default=0.0),
    Column("attributes", Text, nullable=False, default="{}"),
    # The same UID under two patients is two studies until somebody links them: never mix patients up.
    UniqueConstraint("study_instance_uid", "patient_pk"),
    Index("ix_study_patient_pk", "patient_pk"),
    Index("ix_study_study_date", "study_date", "study_time"),
    Index("ix_study_accession_number", "accession_number", postgresql_ops={"accession_number": "varchar_pattern_ops"}),
    # Its few distinct values are read by skipping through this index, then named in the query.
    Index("ix_study_modalities_in_study", "modalities_in_study", "study_date"),
)

series = Table(
    "series",
    METADATA,
    Column("series_pk", Integer, primary_key=True, autoincrement=True),
    Column("study_pk", ForeignKey("study.study_pk"), nullable=False),
    Column("series_instance_uid", String(64), nullable=False),
    Column("modality", String(16), nullable=False),
    Column("series_number", String(16), nullable=False),
    Column("series_description", String(256), nullable=False),
    Column("body_part_examined", String(16), nullable=False),
    Column("series_date", String(8), nullable=False),
    Column("series_time", String(16), nullable=False),
    Column("institution_name", String(256), nullable=False),
    Column("station_name", String(16), nullable=False),
    Column("number_of_series_related_instances", Integer, nullable=False, default=0),
    Column("size_bytes", BigInteger, nullable=False, default=0),
    Column("attributes", Text, nullable=False, default="{}"),
    UniqueConstraint("study_pk", "series_instance_uid"),
    Index("ix_series_series_instance_uid", "series_instance_uid"),
)

instance = Table(
    "instance",
    METADATA,
    Column("series_pk", Integer, primary_key=True, autoincrement=False),
    Column("sop_instance_uid", String(64), primary_key=True),
    Column("sop_class_uid", String(64), nullable=False),
    Column("transfer_syntax_uid", String(64), nullable=False),
    Column("instance_number", String(16), nullable=False),
    Column("rows", Integer, nullable=True),
    Column("columns", Integer, nullable=True),
    Column("number_of_frames", Integer, nullable=True),
    Column("pack_pk", Integer, nullable=False),
    # The Part 10 file inside the pack, in bytes; the data set begins dataset_offset bytes into it.
    Column("file_offset", BigInteger, nullable=False),
    Column("file_length_bytes", BigInteger, nullable=False),
    Column("dataset_offset", Integer, nullable=False),
    # XXH3-128 of the data set as received.
    Column("digest", LargeBinary(16), nullable=False),
    # 1 when the data set could not be parsed beyond its UIDs; kept all the same.
    Column("is_damaged", Integer, nullable=False, default=0),
    sqlite_with_rowid=False,
)

instance_conflict = Table(
    "instance_conflict",
    METADATA,
    Column("conflict_pk", Integer, primary_key=True, autoincrement=True),
    Column("series_pk", Integer, nullable=False),
    Column("sop_instance_uid", String(64), nullable=False),
    Column("sop_class_uid", String(64), nullable=False),
    Column("transfer_syntax_uid", String(64), nullable=False),
    Column("pack_pk", Integer, nullable=False),
    Column("file_offset", BigInteger, nullable=False),
    Column("file_length_bytes", BigInteger, nullable=False),
    Column("dataset_offset", Integer, nullable=False),
    Column("digest", LargeBinary(16), nullable=False),
    Column("calling_aet", String(16), nullable=False),
    Column("received_at_s", Float, nullable=False),
    # The same evidence arriving again is kept once.
    UniqueConstraint("series_pk", "sop_instance_uid", "digest"),
)

sop_lookup = Table(
    "sop_lookup",
    METADATA,
    # XXH3-64 of the SOP Instance UID as a signed integer: a hit is checked against the instance row.
    Column("sop_hash", _BIG_ID, primary_key=True, autoincrement=False),
    Column("series_pk", Integer, primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
)

commitment = Table(
    "commitment",
    METADATA,
    Column("commitment_pk", Integer, primary_key=True, autoincrement=True),
    Column("transaction_uid", String(64), nullable=False),
    Column("calling_aet", String(16), nullable=False),
    Column("called_aet", String(16), nullable=False),
    # 'requested' -> 'checked' -> 'delivered' | 'given_up'
    Column("state", String(12), nullable=False),
    # JSON: [[sop_class_uid, sop_instance_uid], ...] as asked, and the answer once checked.
    Column("requested", Text, nullable=False),
    Column("result", Text, nullable=True),
    Column("attempts", Integer, nullable=False, default=0),
    Column("next_attempt_at_s", Float, nullable=False),
    Column("created_at_s", Float, nullable=False),
    UniqueConstraint("calling_aet", "transaction_uid"),
)
