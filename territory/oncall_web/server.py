"""Puts the on-call application together and serves it on a bound socket, in a thread of its own."""

import socket
import threading
from pathlib import Path
from typing import Final

import uvicorn
from starlette.applications import Starlette
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from territory.oncall_web.api import API
from territory.oncall_web.api_case import CASE_API
from territory.oncall_web.api_report import REPORT_API
from territory.oncall_web.app import REPORT_BYTES_MAX, Site, guarded, receipts
from territory.oncall_web.boards import BOARD_API, BOARD_PAGES
from territory.oncall_web.case_page import CASE_PAGES
from territory.oncall_web.console_page import CONSOLE_PAGES
from territory.oncall_web.evidence_files import EVIDENCE_API, EVIDENCE_PAGES
from territory.oncall_web.figures_page import FIGURES_API, FIGURES_PAGES
from territory.oncall_web.pages import PAGES
from territory.oncall_web.protocol_page import PROTOCOL_API, PROTOCOL_PAGES
from territory.oncall_web.report_page import REPORT_PAGES, REPORT_SAVES
from territory.oncall_web.report_reading import READING_PAGES
from territory.oncall_web.report_sign_page import SIGN_PAGES
from territory.oncall_web.unclaimed_page import UNCLAIMED, UNCLAIMED_API
from territory.ups_web.routes import ups_routes

REQUESTS_MAX: Final = 64
"""Beyond so many at a time the server answers 503."""

CHANNEL_BYTES_MAX: Final = 4096
"""Longest message of a client on a channel: events go the other way."""

STOP_S_MAX: Final = 5


def application(site: Site) -> Starlette:
    """Return the application: pages, interface, and the style sheet."""
    routes: list[BaseRoute] = [
        Route(
            path,
            guarded(site, may, handler, is_api=is_api, body_bytes_max=REPORT_BYTES_MAX),
            methods=list(methods),
        )
        for reports, is_api in (
            (REPORT_API, True),
            (REPORT_SAVES, True),
            (REPORT_PAGES, False),
            (SIGN_PAGES, False),
            (READING_PAGES, False),
        )
        for path, methods, may, handler in reports
    ]
    routes += [
        Route(path, guarded(site, may, handler, is_api=is_api), methods=list(methods))
        for entries, is_api in (
            (PROTOCOL_API, True),
            (CASE_API, True),
            (UNCLAIMED_API, True),
            (BOARD_API, True),
            (EVIDENCE_API, True),
            (FIGURES_API, True),
            (API, True),
            (BOARD_PAGES, False),
            (EVIDENCE_PAGES, False),
            (FIGURES_PAGES, False),
            (PROTOCOL_PAGES, False),
            (CONSOLE_PAGES, False),
            (CASE_PAGES, False),
            (UNCLAIMED, False),
            (PAGES, False),
        )
        for path, methods, may, handler in entries
    ]
    routes.append(Route("/oncall/receipts/{channel}", receipts(site), methods=["POST"]))
    routes.append(Mount("/oncall/static", StaticFiles(directory=Path(__file__).with_name("static"))))
    return Starlette(routes=[*routes, *ups_routes(site)])


class WebServer:
    """Serves until closed.

    Parameters
    ----------
    listener : socket
        Bound; closed by this object.
    """

    def __init__(self, site: Site, listener: socket.socket) -> None:
        config = uvicorn.Config(
            application(site),
            log_config=None,
            access_log=False,
            server_header=False,
            limit_concurrency=REQUESTS_MAX,
            timeout_graceful_shutdown=STOP_S_MAX,
            lifespan="off",
            # The one that `websockets` goes on with; of a client nothing longer than a close is read.
            ws="websockets-sansio",
            ws_max_size=CHANNEL_BYTES_MAX,
        )
        self._server = uvicorn.Server(config)
        self._listener = listener
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [listener]}, name="oncall-web", daemon=True
        )

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def close(self) -> None:
        """Finish the requests in hand, within a bound, and end."""
        self._server.should_exit = True
        self._thread.join(STOP_S_MAX + 1)
        self._listener.close()
