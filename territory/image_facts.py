"""What the archive and its orders know of the images of an exam: the port `oncall.engine.completeness.ImageFacts`.

For: comparing what a performed procedure step lists with what is stored. Not for: what follows from it.

Invariant: an instance counts as here only when the index has it; when the index does not answer nothing is said.
"""

from collections.abc import Iterable

from sqlalchemy import select

from foundation.database import Database
from oncall.engine.completeness import Listed
from pacs.archive import sop_lookup
from pacs.archive.schema import instance, series, study
from pacs.worklist import mpps_store, orders
from pacs.worklist.order import OrderId


class ArchiveImages:
    """Looks lists of instances up in the index.

    Parameters
    ----------
    database : Database
        With the index and the worklist.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def listed(self, mpps_uid: str) -> Listed | None:
        """Compare what a step lists with what is here; see `ImageFacts`."""
        with self._database.read() as connection:
            references = mpps_store.references(connection, mpps_uid)
        if references is None or not references.sop_instance_uids:
            return None
        studies = set(references.study_instance_uids)
        missing = set(references.sop_instance_uids) - self._stored_in(studies)
        if missing:
            # A scanner may put the images under another study than the step says.
            for uid, found in sop_lookup.find(self._database, sorted(missing)).items():
                if found:
                    missing.remove(uid)
                    studies.update(ref.study_instance_uid for ref in found)
        return Listed(
            count=len(set(references.sop_instance_uids)),
            missing=len(missing),
            study_instance_uids=tuple(sorted(studies)),
        )

    def expected_of(self, order_id: str) -> int | None:
        """Return how many instances the hospital says that an order has come to; see `ImageFacts`."""
        with self._database.read() as connection:
            order = orders.find(connection, OrderId(order_id))
        return None if order is None else order.expected_instances

    def _stored_in(self, study_instance_uids: Iterable[str]) -> set[str]:
        # Of a study all are read: the index is clustered by series, and a study is asked about as a whole.
        query = (
            select(instance.c.sop_instance_uid)
            .join(series, series.c.series_pk == instance.c.series_pk)
            .join(study, study.c.study_pk == series.c.study_pk)
            .where(study.c.study_instance_uid.in_(sorted(study_instance_uids)))
        )
        with self._database.read() as connection:
            return set(connection.execute(query).scalars())
