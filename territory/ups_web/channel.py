"""The channel of UPS-RS: events of work items, told over a WebSocket as they happen.

For: PS3.18 8.10.4 (open a notification connection) and 8.10.5 (send event reports). Not for: who is subscribed
(`pacs.worklist.ups.store`).

Invariants
----------
* A channel tells the events of its AE title in the order in which they happened, from where the last channel of that
  title ended: a connection that broke misses nothing for a day, and may hear the last events twice.
* Who may not subscribe under an AE title hears nothing of it.
* One look at the database serves all channels; nothing that a client sends is read.
"""

import asyncio
import contextlib
import json
from collections.abc import Sequence
from typing import Any, Final

from starlette.concurrency import run_in_threadpool
from starlette.websockets import WebSocket, WebSocketDisconnect

from foundation import log
from foundation.errors import TelegardeError
from pacs.worklist.attribute_list import to_json
from pacs.worklist.ups import store
from pacs.worklist.ups.model import PUSH
from pacs.worklist.ups.store import Event
from territory.oncall_web.access import Holder
from territory.oncall_web.app import Site, holder_of
from territory.ups_web.payloads import BadRequest, ae_title
from territory.ups_web.room import MAY, subscriber_of

WAY: Final = "web"
"""Of delivery; what went out this way is counted apart."""

CHANNELS_MAX: Final = 24
"""Open at once; the server takes 64 connections, and pages need theirs."""

LOOK_EVERY_S: Final = 0.2
"""How long an event of another process waits at most before it is seen."""

EVENTS_AT_ONCE_MAX: Final = 100
SEND_S_MAX: Final = 10.0
"""A client that takes nothing for so long is cut."""

POLICY_VIOLATION: Final = 1008
TRY_AGAIN_LATER: Final = 1013


class Channels:
    """Every open channel of one server.

    Parameters
    ----------
    site : Site
    """

    def __init__(self, site: Site) -> None:
        self._site = site
        self._news: dict[asyncio.Event, str] = {}
        self._looking: asyncio.Task[None] | None = None
        # Set when the last channel has gone, so that looking ends at once.
        self._closing = asyncio.Event()

    async def serve(self, websocket: WebSocket) -> None:
        """Tell one client its events until it goes away."""
        try:
            aet = ae_title(str(websocket.path_params["aet"]))
            await run_in_threadpool(self._admit, aet, _admitted(self._site, websocket))
        except TelegardeError:
            await websocket.close(POLICY_VIOLATION)
            return
        if len(self._news) >= CHANNELS_MAX:
            await websocket.close(TRY_AGAIN_LATER)
            return
        await websocket.accept()
        news = asyncio.Event()
        self._news[news] = aet
        self._closing.clear()
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        telling = asyncio.create_task(self._tell(websocket, aet, news))
        leaving = asyncio.create_task(_wait_for_end(websocket))
        try:
            await asyncio.wait({telling, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            del self._news[news]
            if not self._news:
                self._closing.set()
            for task in (telling, leaving):
                task.cancel()
            await asyncio.gather(telling, leaving, return_exceptions=True)

    def _admit(self, aet: str, holder: Holder) -> None:
        """Refuse the title of somebody else; a title that nobody has yet waits for its subscription."""
        room = self._site.rooms.workitems
        if aet in room.peer_aets:
            raise BadRequest("a DICOM peer has this AE title")
        with room.database.read() as connection:
            known = store.subscriber(connection, aet)
        if known is not None and known.holder != holder.who:
            raise BadRequest("somebody else subscribes under this AE title")
        if known is None:
            # Whoever opens it first has it, as whoever subscribes first.
            with room.database.write(durable=True) as connection:
                store.keep_subscriber(connection, subscriber_of(aet, holder))

    async def _tell(self, websocket: WebSocket, aet: str, news: asyncio.Event) -> None:
        position = await run_in_threadpool(self._position, aet)
        message_id = 0
        while True:
            news.clear()
            events = await run_in_threadpool(self._events, aet, position)
            for event in events:
                message_id = message_id % 0xFFFF + 1
                async with asyncio.timeout(SEND_S_MAX):
                    await websocket.send_text(_message(event, message_id))
            if events:
                position = events[-1].event_id
                await run_in_threadpool(self._note, aet, position)
            else:
                await news.wait()

    async def _look(self) -> None:
        """Wake the channels when events have been added by whichever process."""
        seen = -1
        while self._news:
            try:
                newest = await run_in_threadpool(self._newest)
            except TelegardeError:
                log.warning("workitem_channels_wait_for_the_database")
                newest = seen
            if newest != seen:
                seen = newest
                for news in self._news:
                    news.set()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), LOOK_EVERY_S)

    def _newest(self) -> int:
        with self._site.rooms.workitems.database.read() as connection:
            return store.newest_event(connection)

    def _position(self, aet: str) -> int:
        with self._site.rooms.workitems.database.read() as connection:
            return store.delivered(connection, WAY, aet)

    def _events(self, aet: str, position: int) -> Sequence[Event]:
        with self._site.rooms.workitems.database.read() as connection:
            return store.events_after(connection, [aet], position, limit=EVENTS_AT_ONCE_MAX)

    def _note(self, aet: str, event_id: int) -> None:
        with self._site.rooms.workitems.database.write(durable=True) as connection:
            store.note_delivered(connection, WAY, aet, event_id)


def _admitted(site: Site, websocket: WebSocket) -> Holder:
    origin = websocket.headers.get("origin", "")
    # A browser sends its cookies along whichever page asks: only our own pages may open a channel with them.
    if origin and origin.partition("://")[2] != websocket.headers.get("host", ""):
        raise BadRequest("a page of another site asks for a channel")
    holder = holder_of(site, websocket)
    if holder is None or not holder.may & MAY:
        raise BadRequest("a token is needed that is for work items")
    return holder


async def _wait_for_end(websocket: WebSocket) -> None:
    try:
        while True:
            message = await websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
    except (WebSocketDisconnect, RuntimeError):
        return


def _message(event: Event, message_id: int) -> str:
    """Return an event as the standard's example has it (PS3.18 11.13): command elements and information together."""
    members: dict[str, Any] = {
        "00000002": {"vr": "UI", "Value": [PUSH]},
        "00000110": {"vr": "US", "Value": [message_id]},
        "00001000": {"vr": "UI", "Value": [event.workitem_uid]},
        "00001002": {"vr": "US", "Value": [int(event.event_type)]},
        **to_json(event.information),
    }
    return json.dumps(members, ensure_ascii=False)
