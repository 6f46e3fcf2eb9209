"""The object graph of delivery, built explicitly: which way gets which door, relay and gateway.

For: `make_documents` and `make_delivery`. Not for: behaviour; nothing here decides anything.
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Final

from foundation.clock import Clock
from foundation.database import Database
from oncall.channels.port import Channel
from oncall.delivery.channels.dicom import DicomWay
from oncall.delivery.channels.email import EmailWay
from oncall.delivery.channels.hl7 import Hl7Way
from oncall.delivery.channels.port import Way
from oncall.delivery.channels.web import WebWay
from oncall.delivery.documents import DocumentStore
from oncall.delivery.making import make
from oncall.delivery.model import DeliveryChannel
from oncall.delivery.policy import DeliveryPolicy
from oncall.delivery.worker import DeliveryWorker
from oncall.directory import ChannelKind
from oncall.engine.published_rules import PublishedRules
from pacs.scp import tls
from pacs.scu.association import PeerAddress
from territory import settings_rules
from territory.adapters import ConfiguredPeers
from territory.hl7_parts import destinations
from territory.hl7_report_port import MllpReports
from territory.report_doors import ScuDoor
from territory.report_facts import IndexFacts
from territory.settings import Settings
from territory.settings_model import LOOPBACK

ANY_ADDRESS: Final = "0.0.0.0"  # noqa: S104  # compared with, never bound


def make_documents(settings: Settings, database: Database, secret: bytes, clock: Clock) -> DocumentStore:
    """Return what makes and keeps documents, for a worker or for pages; each thread group has its own."""
    fonts = settings.oncall.delivery.font_directory
    facts = _facts(database, secret, clock)
    maker = partial(make, font_directories=() if fonts is None else (fonts,))
    return DocumentStore(database, facts, maker, clock)


def make_delivery(
    settings: Settings,
    database: Database,
    channels: Iterable[Channel],
    clock: Clock,
    *,
    secret: bytes,
    worker: str,
    on_news: Callable[[], None],
) -> DeliveryWorker:
    """Return the worker that delivers reports.

    Parameters
    ----------
    channels : iterable of Channel
        Those of messages; the last one for e-mail brings the links.
    """
    delivery, archive = settings.oncall.delivery, own_archive(settings)
    ways: list[Way] = [
        WebWay(database),
        DicomWay(DeliveryChannel.ARCHIVE, ScuDoor(lambda _: archive, delivery.aet)),
        DicomWay(DeliveryChannel.DICOM, ScuDoor(ConfiguredPeers(settings).find, delivery.aet)),
    ]
    mail = [channel for channel in channels if channel.kind is ChannelKind.EMAIL]
    ways += [EmailWay(channel, report_url(settings)) for channel in mail[-1:]]
    if settings.hl7 is not None:
        describe = _facts(database, secret, clock)
        ways.append(Hl7Way(MllpReports(database, settings.hl7, destinations(settings), describe)))
    return DeliveryWorker(
        database,
        ways,
        make_documents(settings, database, secret, clock),
        clock,
        worker=worker,
        policy=DeliveryPolicy(first_wait_s=delivery.first_wait_s, wait_max_s=delivery.wait_max_s),
        on_news=on_news,
    )


def _facts(database: Database, secret: bytes, clock: Clock) -> IndexFacts:
    rules = PublishedRules(database)
    return IndexFacts(database, secret, lambda now: rules.at(now).directory, clock)


def report_url(settings: Settings) -> str:
    """Return what links to reports begin with; empty when nobody could open them."""
    web, url = settings.oncall.web, settings.oncall.delivery.report_url
    if url or web is None or web.host != LOOPBACK:
        return url or ""
    return f"http://{web.host}:{web.port}/oncall/reports/"


def own_archive(settings: Settings) -> PeerAddress:
    """Return where this node's archive listens, as seen from this machine."""
    dicom = settings.dicom
    host = LOOPBACK if dicom.host == ANY_ADDRESS else dicom.host
    files = settings_rules.tls_files(settings)
    if dicom.tls is not None and files is not None and not dicom.accept_without_tls:
        return PeerAddress(host=host, port=dicom.tls.port, ae_title=dicom.aet[0], tls=tls.client_context(files))
    return PeerAddress(host=host, port=dicom.port, ae_title=dicom.aet[0])
