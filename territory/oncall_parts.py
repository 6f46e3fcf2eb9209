"""The object graph of the on-call engine's process, built explicitly.

For: which object gets which other. Not for: behaviour; nothing here decides anything.
"""

import threading
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import select

from foundation import log
from foundation.clock import Clock, SteadyClock, SystemClock
from foundation.database import Database, DatabaseAway
from foundation.errors import Unavailable
from foundation.instants import instant_of_us
from oncall import recall_store
from oncall.case.intake_values import StudyDescription
from oncall.case.regions import StudyKey
from oncall.channels.console import ConsoleChannel
from oncall.channels.email import Security, SmtpChannel, SmtpRelay
from oncall.channels.gateway_documents import read_gateways
from oncall.channels.http_gateway import HttpChannel, HttpGateway
from oncall.channels.ntfy import ntfy_gateway
from oncall.channels.port import Channel
from oncall.delivery import queue
from oncall.delivery.model import DeliveryNews
from oncall.dispatch import Dispatcher
from oncall.engine.deliveries import CONSUMER
from oncall.engine.engine import Engine
from oncall.engine.metronome import Metronome
from oncall.engine.published_rules import PublishedRules, is_published
from oncall.engine.sql_store import SqlStore
from oncall.evidence.anchor_store import Anchors
from oncall.evidence.making import Evidence
from oncall.figures.upkeep import FigureUpkeep
from oncall.followers import Followers
from oncall.notify import Sender
from oncall.report.signing import Ed25519Keys
from oncall.report.time_stamping import TimeStamping
from oncall.schema import oncall_case_event, oncall_message_event
from oncall.strict_json import parse
from pacs.archive.reader import PackReader
from pacs.archive.schema import patient, series
from pacs.archive.schema import study as studies
from pacs.worklist import identity
from storage_tiers.local_packs import LocalPacks
from territory.answer_links import answer_url
from territory.bootstrap import journal_directory
from territory.case_subjects import IndexSubjects
from territory.exam_steps import StoredSteps
from territory.follower_parts import make_followers
from territory.image_facts import ArchiveImages
from territory.image_rules import intake_policy
from territory.listening import open_port
from territory.oncall_process import SIGNING_KEYS, answer_secret
from territory.oncall_web.access import LOOPBACK as LOOPBACK_HOLDER
from territory.oncall_web.access import Access, read_access
from territory.oncall_web.app import make_site
from territory.oncall_web.delivery_room import DeliveryRoom
from territory.oncall_web.desk import Desk
from territory.oncall_web.figures_room import FiguresRoom
from territory.oncall_web.order_room import OrderRoom
from territory.oncall_web.protocol_room import ProtocolRoom
from territory.oncall_web.report_room import ReportRoom
from territory.oncall_web.rooms import EvidenceRoom, Rooms
from territory.oncall_web.server import WebServer
from territory.order_facts import IdentityFacts, OrderFacts
from territory.patient_keys import patient_key
from territory.performed_facts import ArchivePerformed
from territory.prior_library import ArchivePriors
from territory.report_facts import IndexFacts
from territory.report_parts import make_delivery, make_documents
from territory.seen_studies import IndexSeen
from territory.settings import Oncall, Settings
from territory.task_owner_parts import make_workitem_room
from territory.time_stamp_parts import make_time_stamper

CONSOLE_FILE: Final = "oncall_console.jsonl"
"""In the data directory: what the console channel was told."""


SERIES_LOOKED_AT_MAX: Final = 64
"""Series whose words say what kind of exam a study is: more than an emergency CT or MR has."""


class OncallParts:
    """The engine, its ticker and its senders on one database.

    Parameters
    ----------
    settings : Settings
    worker : str
        Name of this life of the process.
    """

    def __init__(self, settings: Settings, *, worker: str, clock: Clock | None = None) -> None:
        self._database = Database(settings.database_url, is_checkpointed_elsewhere=True)
        # Timers and leases are instants: a machine's clock that is set back must not put them off.
        self._clock = SteadyClock(clock or SystemClock(), not_before=_last_written_at(self._database))
        secret = answer_secret(settings.archive.data_dir)
        sender = self._sender = Sender(answer_url=answer_url(settings), secret=secret)
        store, rules = SqlStore(self._database), PublishedRules(self._database, intake_policy(settings.oncall))
        self._engine = Engine(store, rules, sender, worker=worker)
        # The pages have an engine of their own: one is for one thread.
        desk = Desk(Engine(store, rules, sender, worker=f"{worker}-web"), rules, self._database, sender, self._clock)
        self._web = _web(settings, desk, self._rooms(settings, desk, secret), secret)
        self._images = ArchiveImages(self._database)
        self._describer = IndexDescriber(self._database, secret)
        self._orders, self._identities = OrderFacts(self._database, secret), IdentityFacts(self._database, secret)
        self._exam_steps = StoredSteps(self._database, lambda now: rules.at(now).directory)
        self._performed = ArchivePerformed(self._database, _reader(settings), self._clock)
        self._priors = ArchivePriors(self._database, _packs(settings), lambda now: rules.at(now).directory, self._clock)
        self._dispatcher = Dispatcher(self._database, _channels(settings), self._clock, worker=worker)
        self._delivery = make_delivery(
            settings, self._database, _channels(settings), self._clock,
            secret=secret, worker=worker, on_news=self._tell_cases,
        )  # fmt: skip
        # Deliveries are told to the cases as they happen, by an engine of their own: one is for one thread.
        self._teller = Engine(
            store, PublishedRules(self._database, intake_policy(settings.oncall)), sender, worker=f"{worker}-delivery"
        )
        self._telling = threading.Lock()
        self._followers = Followers(self._database, make_followers(settings, self._database, secret), self._clock)
        stamper = make_time_stamper(settings.oncall)
        self._anchors = Anchors(self._database, Ed25519Keys(settings.archive.data_dir / SIGNING_KEYS), stamper)
        self._metronome = Metronome(self._tick, every_s=settings.oncall.tick_s)
        self._stopping = threading.Event()
        self._sending = threading.Thread(
            target=self._dispatcher.run, args=(self._stopping,), name="oncall-senders", daemon=True
        )
        self._delivering = threading.Thread(
            target=self._delivery.run, args=(self._stopping,), name="oncall-delivery", daemon=True
        )
        self._following = threading.Thread(
            target=self._followers.run, args=(self._stopping,), name="oncall-followers", daemon=True
        )
        self._counting = threading.Thread(
            target=FigureUpkeep(self._database).run, args=(self._stopping,), name="oncall-figures", daemon=True
        )
        self._stamping = None if stamper is None else threading.Thread(
            target=TimeStamping(self._database, stamper).run, args=(self._stopping,), name="oncall-time-stamps",
            daemon=True,
        )  # fmt: skip

    def _rooms(self, settings: Settings, desk: Desk, secret: bytes) -> Rooms:
        database, clock = self._database, self._clock
        # Rules of their own: requests come in many threads.
        rules = PublishedRules(database, intake_policy(settings.oncall))
        describe = IndexFacts(database, secret, lambda now: rules.at(now).directory, clock)
        keys = Ed25519Keys(settings.archive.data_dir / SIGNING_KEYS)
        documents = make_documents(settings, database, secret, clock)
        maker = Evidence(database, keys, IndexSubjects(database, secret))
        return Rooms(
            reports=ReportRoom(desk, database, keys, describe, documents, IndexSeen(database)),
            deliveries=DeliveryRoom(database),
            evidence=EvidenceRoom(maker=maker, signer=keys),
            figures=FiguresRoom(desk, database),
            orders=OrderRoom(database),
            protocols=ProtocolRoom(database, ArchivePerformed(database, _reader(settings), clock)),
            workitems=make_workitem_room(
                desk,
                database,
                clock,
                secret,
                lambda now: rules.at(now).directory,
                node_aet=settings.dicom.aet[0],
                peer_aets=frozenset(peer.aet for peer in settings.peers),
            ),
        )

    def start(self) -> None:
        """Begin to tick and to send, in threads of their own."""
        self._sending.start()
        self._delivering.start()
        self._following.start()
        self._counting.start()
        if self._stamping is not None:
            self._stamping.start()
        self._metronome.start()
        if self._web is not None:
            self._web.start()

    def stop(self) -> None:
        """End after the tick and the messages in hand."""
        if self._web is not None:
            self._web.close()
        self._metronome.stop()
        self._stopping.set()
        self._dispatcher.wake()
        self._delivery.wake()
        self._followers.wake()
        self._sending.join()
        self._delivering.join()
        self._following.join()
        self._counting.join()
        if self._stamping is not None:
            self._stamping.join()
        self._database.close()

    def start_web(self) -> None:
        """Serve the pages and the interface only: the rest is done by `settle`."""
        if self._web is not None:
            self._web.start()

    def settle(self) -> None:
        """Do in this thread what is due at the clock's instant: for a node whose clock is moved by hand."""
        self._tick()
        self._dispatcher.drain()
        self._followers.take()
        self._delivery.drain()
        self._tick()
        self._followers.take()

    def close(self) -> None:
        """End what `start_web` began, and let the database go."""
        if self._web is not None:
            self._web.close()
        self._database.close()

    def _tick(self) -> None:
        if recall_store.go_on_with_all(self._database, self._clock.now(), self._sender):
            self._dispatcher.wake()
        if not is_published(self._database):
            return
        now, engine = self._clock.now(), self._engine
        _apart("identities", lambda: engine.take_identities(now, self._identities))
        _apart("orders", lambda: engine.take_orders(now, self._orders))
        _apart("outbox", lambda: engine.take_outbox(now, self._describer))
        _apart("performed_steps", lambda: engine.take_performed_steps(now, self._exam_steps))
        _apart("protocols", lambda: engine.take_protocol_news(now, self._performed))
        _apart("finished_exams", lambda: engine.compare_finished(now, self._performed))
        _apart("image_evidence", lambda: engine.take_image_evidence(now, self._images))
        _apart("site_links", lambda: engine.take_site_links(now))
        if engine.run_due(now):
            self._dispatcher.wake()
        # After what is due: nobody's page waits for a search.
        _apart("priors", lambda: engine.take_priors(now, self._priors))
        self._tell_cases()
        self._followers.wake()
        # Last: nothing that concerns a patient waits for it.
        self._anchors.make_if_due(now)

    def _tell_cases(self) -> None:
        with self._telling:
            self._teller.take_delivery_news(self._clock.now(), self._delivery_news)

    def _delivery_news(self) -> tuple[int, Sequence[DeliveryNews]]:
        with self._database.read() as connection:
            return queue.unread_news(connection, CONSUMER)


def _apart(news: str, take: Callable[[], object]) -> None:
    """Take one kind of news; when it cannot be taken, it waits, and what is due does not."""
    try:
        take()
    except Unavailable as error:
        log.warning("news_waits", action=news, error=type(error).__name__, message=str(error))
    except Exception as error:  # noqa: BLE001  # a defect in one kind of news must never keep a page from going out
        log.error("news_not_taken", action=news, error=type(error).__name__)


class IndexDescriber:
    """Looks studies up in the archive's index, for `oncall.case.intake`.

    Parameters
    ----------
    secret : bytes
        Makes patients' keys opaque: the same patient of the same issuer has the same key on this node only.
    """

    def __init__(self, database: Database, secret: bytes) -> None:
        self._database = database
        self._secret = secret

    def __call__(self, study: StudyKey, study_pk: int | None) -> StudyDescription:
        """Return what the index knows of the study; nothing when it has gone."""
        wanted = (
            select(
                studies.c.study_pk,
                studies.c.accession_number,
                studies.c.study_description,
                patient.c.patient_id,
                patient.c.issuer,
            )
            .join(patient, patient.c.patient_pk == studies.c.patient_pk)
            .where(studies.c.study_instance_uid == study.study_instance_uid)
        )
        wanted = wanted.where(patient.c.issuer == study.issuer) if study_pk is None else wanted.where(
            studies.c.study_pk == study_pk
        )  # fmt: skip
        with self._database.read() as connection:
            row = connection.execute(wanted.limit(1)).one_or_none()
            if row is None:
                return StudyDescription()
            parts = connection.execute(
                select(series.c.body_part_examined, series.c.series_description)
                .where(series.c.study_pk == row.study_pk)
                .order_by(series.c.series_pk)
                .limit(SERIES_LOOKED_AT_MAX)
            ).all()
            # Who was merged into another patient is that patient, under whichever identifier the images come.
            owner = identity.surviving(connection, row.issuer, row.patient_id or "")
        said = (text for part in parts for text in (part.body_part_examined, part.series_description))
        return StudyDescription(
            patient_key=patient_key(self._secret, owner.issuer, owner.patient_id),
            accession_number=row.accession_number or "",
            body_part=next((part.body_part_examined for part in parts if part.body_part_examined), ""),
            words=tuple(text for text in (row.study_description, *said) if text),
        )


def _last_written_at(database: Database) -> datetime | None:
    """Return when the last fact about a case, a night or a message was written, by whichever life; None if unknown."""
    last_us = [
        select(column).order_by(position.desc()).limit(1)
        for column, position in (
            (oncall_case_event.c.recorded_at_us, oncall_case_event.c.position),
            (oncall_message_event.c.occurred_at_us, oncall_message_event.c.position),
        )
    ]
    try:
        with database.read() as connection:
            found = [connection.execute(one).scalar_one_or_none() for one in last_us]
    except DatabaseAway:
        return None
    return max((instant_of_us(since_1970_us) for since_1970_us in found if since_1970_us is not None), default=None)


def _packs(settings: Settings) -> LocalPacks:
    return LocalPacks(journal_directory(settings.archive.data_dir))


def _reader(settings: Settings) -> PackReader:
    return PackReader(_packs(settings))


def _web(settings: Settings, desk: Desk, rooms: Rooms, secret: bytes) -> WebServer | None:
    web = settings.oncall.web
    if web is None:
        return None
    anybody = LOOPBACK_HOLDER if settings.is_open_loopback else None
    access = Access(holders={}, anybody=anybody) if web.access_file is None else read_access(web.access_file)
    listener = open_port(web.host, web.port, setting="oncall.web.port (--oncall-port)")
    taken = {gateway.kind: gateway for gateway in _gateways(settings) if gateway.receipt_secret}
    return WebServer(make_site(desk, rooms, access, secret, taken), listener)


def _channels(settings: Settings) -> list[Channel]:
    oncall: Oncall = settings.oncall
    channels: list[Channel] = [ConsoleChannel(settings.archive.data_dir / CONSOLE_FILE)]
    if oncall.email is not None:
        password = settings.smtp_password.reveal() if settings.smtp_password else ""
        channels.append(
            SmtpChannel(
                SmtpRelay(
                    host=oncall.email.host, port=oncall.email.port, sender=oncall.email.sender,
                    security=Security(oncall.email.security.value), username=oncall.email.username, password=password,
                )
            )
        )  # fmt: skip
    if oncall.ntfy_url:
        channels.append(HttpChannel(ntfy_gateway(oncall.ntfy_url, answer_url=answer_url(settings))))
    # Of two ways for one kind the described gateway wins: it comes last.
    channels += [HttpChannel(gateway) for gateway in _gateways(settings)]
    return channels


def _gateways(settings: Settings) -> tuple[HttpGateway, ...]:
    oncall = settings.oncall
    if oncall.gateways_file is None:
        return ()
    secrets: dict[str, str] = {}
    if oncall.gateway_secrets_file is not None:
        named = parse(oncall.gateway_secrets_file.read_bytes()).members()
        secrets = {name: value.text(characters_max=1000) for name, value in named.items()}
    return read_gateways(oncall.gateways_file.read_bytes(), answer_url=answer_url(settings), secrets=secrets)
