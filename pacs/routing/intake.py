"""Takes what the outbox says into the queue: which studies came, and which of them became emergencies.

For: the consumer of ``instances_stored/1`` and ``order/1``, with a cursor of its own. Not for: sending.

Invariants
----------
* Rows and cursor move in one durable transaction: a crash repeats or loses nothing.
* A study for which a rule holds goes whole: when it begins to hold, everything that is here is queued, and what comes
  later follows, whether the rule would still hold or not.
* Only what comes after `begin` is forwarded: a node that gets its first route does not send its whole archive.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import Any, Final

from sqlalchemy import Connection, delete, insert, select, update

from foundation import log, outbox
from foundation.database import Database
from foundation.instants import microseconds
from foundation.outbox import OutboxEvent
from pacs.contracts import TOPIC_INSTANCES_STORED, TOPIC_ORDER
from pacs.routing import queue, rules, studies
from pacs.routing.model import RouteRule, StudyFacts, StudyId
from pacs.routing.queue import Instance
from pacs.routing.schema import routing_arrival, routing_item
from pacs.routing.studies import KnownStudy

CONSUMER: Final = "routing"
"""Name of the outbox cursor."""

EVENTS_PER_BATCH_MAX: Final = 64
"""Events of one transaction. Each tells of at most one group commit, so the writer lock is held for tens of
milliseconds."""

ARRIVALS_KEPT: Final = timedelta(days=3)
"""How long after its images an order may make an emergency of a study for rules that ask who sent it."""

TOPICS: Final = (TOPIC_INSTANCES_STORED, TOPIC_ORDER)

SiteOf = Callable[[str], str]
"""Returns the site id of a calling AE title, '' when it has none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RoutingRules:
    """What decides where studies go.

    Attributes
    ----------
    zone : tzinfo
        By whose wall clock the hours of rules are.
    ae_titles : mapping
        AE title by destination, for those that are AEs.
    """

    rules: tuple[RouteRule, ...]
    zone: tzinfo
    ae_titles: Mapping[str, str]

    @property
    def asks_for_emergencies(self) -> bool:
        """Say whether a rule holds for emergencies only."""
        return any(rule.is_for_emergencies for rule in self.rules)


def begin(database: Database, *, has_routes: bool) -> None:
    """Note from where on studies are forwarded; to be called before peers may connect.

    With routes for the first time (or again), that is now; without routes nothing is noted.
    """
    with database.read() as connection:
        is_begun = _is_begun(connection)
    if is_begun == has_routes:
        return
    with database.write(durable=True) as connection:
        if has_routes and not _is_begun(connection):
            outbox.write_cursor(connection, CONSUMER, outbox.last_event_id(connection))
        elif not has_routes:
            cursors = outbox.outbox_cursor
            connection.execute(delete(cursors).where(cursors.c.consumer == CONSUMER))


def _is_begun(connection: Connection) -> bool:
    cursors = outbox.outbox_cursor
    return connection.execute(select(cursors.c.event_id).where(cursors.c.consumer == CONSUMER)).first() is not None


class Intake:
    """Brings the queue up to the end of the outbox.

    Parameters
    ----------
    database : Database
    routing : RoutingRules
    site_of : callable
        Whose AE a calling AE title is.
    """

    def __init__(self, database: Database, routing: RoutingRules, site_of: SiteOf) -> None:
        self._database = database
        self._routing = routing
        self._site_of = site_of

    def take(self, now: datetime, *, batches_max: int | None = None) -> int:
        """Take in what the outbox has; return how many instances were queued.

        Parameters
        ----------
        batches_max : int or None
            Of `EVENTS_PER_BATCH_MAX` events each; None for everything.

        Raises
        ------
        foundation.database.DatabaseAway
            Batches done so far stay done.
        """
        queued = batches = 0
        while (batches_max is None or batches < batches_max) and (added := self._take_batch(now)) is not None:
            queued += added
            batches += 1
        return queued

    def _take_batch(self, now: datetime) -> int | None:
        with self._database.read() as connection:
            done = outbox.read_cursor(connection, CONSUMER)
            if not outbox.read_after(connection, done, topics=TOPICS, limit=1):
                return None
        with self._database.write(durable=True) as connection:
            done, last = outbox.read_cursor(connection, CONSUMER), outbox.last_event_id(connection)
            events = outbox.read_after(connection, done, topics=TOPICS, limit=EVENTS_PER_BATCH_MAX)
            queued = self._take_stored(connection, [e for e in events if e.topic == TOPIC_INSTANCES_STORED], last, now)
            for event in events:
                if event.topic == TOPIC_ORDER:
                    queued += self._take_order(connection, event, last, now)
            # With fewer than asked for, everything up to `last` was of other topics.
            outbox.write_cursor(
                connection, CONSUMER, events[-1].event_id if len(events) == EVENTS_PER_BATCH_MAX else max(done, last)
            )
        return queued

    def _take_stored(self, connection: Connection, events: Sequence[OutboxEvent], last: int, now: datetime) -> int:
        queued = 0
        for (study_pk, calling_aet), those in _by_study(events).items():
            for known, came in _studies_of(connection, study_pk, those):
                queued += self._route(connection, known, calling_aet, came, last, now)
        return queued

    def _route(
        self, connection: Connection, known: KnownStudy, calling_aet: str,
        came: Sequence[tuple[int, Instance]], last: int, now: datetime,
    ) -> int:  # fmt: skip
        """Queue what came of one study from one AE."""
        is_emergency = studies.is_emergency(connection, known)
        if self._routing.asks_for_emergencies:
            _note_arrival(connection, known.study, calling_aet, now)
        queued = self._begin_following(connection, known, calling_aet, "", last, now, is_emergency=is_emergency)
        for destination, rule, seen in _followed(connection, known.study):
            if calling_aet and self._routing.ae_titles.get(destination) == calling_aet:
                continue
            new = [instance for event_id, instance in came if event_id > seen]
            if new:
                queued += queue.enqueue(
                    connection, destination, known.study, new, now,
                    rule=rule, is_emergency=is_emergency, seen_event_id=seen,
                )  # fmt: skip
        return queued

    def _begin_following(
        self, connection: Connection, known: KnownStudy, calling_aet: str, site_id: str, last: int, now: datetime,
        *, is_emergency: bool,
    ) -> int:  # fmt: skip
        """Queue all of a study for destinations that it now goes to and did not before."""
        facts = StudyFacts(
            study=known.study,
            accession_number=known.accession_number,
            calling_aet=calling_aet,
            site_id=(self._site_of(calling_aet) if calling_aet else "") or site_id,
            modalities=known.modalities,
            first_received_at=known.first_received_at,
            is_emergency=is_emergency,
        )
        wanted = rules.destinations_of(self._routing.rules, facts, self._routing.zone, self._routing.ae_titles)
        followed = {destination for destination, _, _ in _followed(connection, known.study)}
        here: list[Instance] | None = None
        queued = 0
        for destination, rule in wanted.items():
            if destination in followed:
                continue
            here = studies.instances_of(connection, known.study_pk) if here is None else here
            added = queue.enqueue(
                connection, destination, known.study, here, now,
                rule=rule, is_emergency=is_emergency, seen_event_id=last,
            )  # fmt: skip
            log.info("study_routed", destination=destination, rule=rule, count=added)
            queued += added
        return queued

    def _take_order(self, connection: Connection, event: OutboxEvent, last: int, now: datetime) -> int:
        order = studies.find_order(connection, str(event.payload["order_id"]))
        if order is None or not order.is_emergency:
            return 0
        queued = 0
        for known in studies.of_order(connection, order):
            if not studies.is_emergency(connection, known):
                continue
            queue.hurry(connection, known.study, now)
            if not self._routing.asks_for_emergencies:
                continue
            for calling_aet in _arrivals(connection, known.study):
                queued += self._begin_following(
                    connection, known, calling_aet, order.site_id, last, now, is_emergency=True
                )
        return queued


def purge(connection: Connection, now: datetime) -> None:
    """Forget who sent studies longer ago than `ARRIVALS_KEPT`."""
    old = routing_arrival.c.arrived_at_us < microseconds(now - ARRIVALS_KEPT)
    connection.execute(delete(routing_arrival).where(old))


def _by_study(events: Iterable[OutboxEvent]) -> dict[tuple[int, str], list[OutboxEvent]]:
    by_study: dict[tuple[int, str], list[OutboxEvent]] = {}
    for event in events:
        key = (int(event.payload["study_pk"]), str(event.payload.get("calling_aet") or ""))
        by_study.setdefault(key, []).append(event)
    return by_study


def _studies_of(
    connection: Connection, study_pk: int, events: Sequence[OutboxEvent]
) -> list[tuple[KnownStudy, list[tuple[int, Instance]]]]:
    """Return the study of events, and what came; its key may be another's since the index was built anew."""
    payload = events[0].payload
    came = [(event.event_id, instance) for event in events for instance in _instances_of(event.payload)]
    known = studies.by_key(connection, study_pk)
    if known is not None and (known.study.issuer, known.study.study_instance_uid) == (
        payload["issuer"],
        payload["study_instance_uid"],
    ):
        return [(known, came)]
    found = []
    for one in studies.by_uid(connection, str(payload["issuer"]), str(payload["study_instance_uid"])):
        here = set(studies.instances_of(connection, one.study_pk))
        found.append((one, [pair for pair in came if pair[1] in here]))
    return found


def _instances_of(payload: Mapping[str, Any]) -> list[Instance]:
    return [
        (str(part["series_instance_uid"]), str(uid)) for part in payload["series"] for uid in part["sop_instance_uids"]
    ]


def _followed(connection: Connection, study: StudyId) -> list[tuple[str, str, int]]:
    """Return the destinations that a study goes to already, with rule and the last event that is in it."""
    rows = connection.execute(
        select(routing_item.c.destination, routing_item.c.rule, routing_item.c.seen_event_id).where(
            routing_item.c.study_instance_uid == study.study_instance_uid,
            routing_item.c.issuer == study.issuer,
            routing_item.c.patient_id == study.patient_id,
        )
    )
    return [(row.destination, row.rule, row.seen_event_id) for row in rows]


def _note_arrival(connection: Connection, study: StudyId, calling_aet: str, now: datetime) -> None:
    table = routing_arrival
    is_it = (
        (table.c.issuer == study.issuer)
        & (table.c.patient_id == study.patient_id)
        & (table.c.study_instance_uid == study.study_instance_uid)
        & (table.c.calling_aet == calling_aet)
    )
    done = connection.execute(update(table).where(is_it).values(arrived_at_us=microseconds(now)))
    if done.rowcount == 0:
        connection.execute(
            insert(table).values(
                issuer=study.issuer,
                patient_id=study.patient_id,
                study_instance_uid=study.study_instance_uid,
                calling_aet=calling_aet,
                arrived_at_us=microseconds(now),
            )
        )


def _arrivals(connection: Connection, study: StudyId) -> list[str]:
    table = routing_arrival
    rows = connection.execute(
        select(table.c.calling_aet).where(
            table.c.issuer == study.issuer,
            table.c.patient_id == study.patient_id,
            table.c.study_instance_uid == study.study_instance_uid,
        )
    )
    return sorted(rows.scalars())
