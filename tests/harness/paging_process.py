"""A process that decides pages, hands them over and goes on from what became of them: to be killed by crash tests.

Run as ``python -m tests.harness.paging_process URL SMTP_PORT GATEWAY_URL WORKER FIRST PEOPLE [DEAD_WORKER...]``. Each
of PEOPLE has one escalation whose first step pages them by FIRST (``email`` or ``sms``) and, if that fails, by the
other. It ends when nothing is left to do now. Chains live in their timers' rows, as the engine keeps them.
"""

import sys
from datetime import UTC, datetime

from sqlalchemy import Connection

import oncall.schema  # noqa: F401  # adds its tables to METADATA
from foundation.clock import SystemClock
from foundation.database import Database
from foundation.outbox import read_cursor, write_cursor
from oncall.case.event import CaseId
from oncall.channels.email import Security, SmtpChannel, SmtpRelay
from oncall.channels.http_gateway import HttpChannel, HttpGateway
from oncall.directory import ChannelKind, ContactMethod, Person, PersonId, Role, Site, SiteId
from oncall.dispatch import Dispatcher
from oncall.engine.chain_rows import chain_from_json, chain_to_json
from oncall.escalation import (
    DEFAULT_LADDER,
    Action,
    Callee,
    Chain,
    Due,
    Page,
    PageFailed,
    Subject,
    Target,
    advance,
    begin,
)
from oncall.messages_sql import SqlMessages
from oncall.notify import Sender, page_message
from oncall.reading.board import Urgency
from oncall.timers import SqlTimers, Timer

SITE = Site(site_id=SiteId("ambert"), name="Ambert", time_zone="Europe/Paris", commune="63003")
SENDER = Sender(answer_url="https://t.example/a/", secret=b"secret")


def person(number: int, first: str) -> Person:
    """Return one of the people, with two methods."""
    methods = [
        ContactMethod(kind=ChannelKind.EMAIL, address=f"p{number}@example.org"),
        ContactMethod(kind=ChannelKind.SMS, address=f"+{number}"),
    ]
    return Person(
        person_id=PersonId(f"p{number}"),
        name=f"P{number}",
        role=Role.RADIOLOGIST,
        contact_methods=tuple(methods if first == "email" else methods[::-1]),
    )


class PagingProcess:
    """One life on a database."""

    def __init__(self, url: str, smtp_port: int, gateway_url: str, worker: str, first: str) -> None:
        self.database = Database(url)
        self.database.create_tables()
        self.first = first
        relay = SmtpRelay(host="127.0.0.1", port=smtp_port, sender="garde@telegarde.example", security=Security.NONE)
        gateway = HttpGateway(kind=ChannelKind.SMS, url=gateway_url, body={"to": "{to}"}, id_path=("messages", 0, "id"))
        channels = [SmtpChannel(relay), HttpChannel(gateway)]
        self.dispatcher = Dispatcher(self.database, channels, SystemClock(), worker=worker)

    def decide(self, people: int) -> None:
        """Begin the escalations that are not begun, each in one transaction with its pages and its timer."""
        for number in range(people):
            now = datetime.now(UTC)
            with self.database.write(durable=True) as connection:
                if SqlTimers(connection).find(f"escalation/case{number}/1") is None:
                    subject = Subject(case_id=CaseId(f"case{number}"), site_id=SITE.site_id, urgency=Urgency.P1)
                    chain = begin(DEFAULT_LADDER, subject, now, chain_id=f"case{number}/1")
                    chain, actions = advance(chain, Due(callees=self._callees(number)), now)
                    self._keep(connection, chain, actions, now)

    def go_on(self) -> bool:
        """Let chains go on from failures; say whether there was news."""
        now = datetime.now(UTC)
        with self.database.write(durable=True) as connection:
            news = SqlMessages(connection).news_after(read_cursor(connection, "pages"))
            for one in news:
                timer = SqlTimers(connection).find(f"escalation/{one.settled.chain_id}")
                if one.settled.is_failure and timer is not None:
                    number = int(one.settled.person_id[1:])
                    failure = PageFailed(
                        message_key=one.settled.message_key,
                        reason=one.settled.reason,
                        callees=self._callees(number),
                    )
                    chain, actions = advance(chain_from_json(timer.payload), failure, now)
                    self._keep(connection, chain, actions, now)
            if news:
                write_cursor(connection, "pages", news[-1].position)
        return bool(news)

    def run(self, dead: frozenset[str] = frozenset()) -> None:
        """Do everything that can be done now."""
        self.dispatcher.recover(dead)
        self.dispatcher.drain()
        while self.go_on():
            self.dispatcher.drain()

    def _callees(self, number: int) -> dict[Target, tuple[Callee, ...]]:
        called = person(number, self.first)
        return {Target.ASSIGNED_READER: (Callee(person_id=called.person_id, methods=called.contact_methods),)}

    def _keep(self, connection: Connection, chain: Chain, actions: tuple[Action, ...], now: datetime) -> None:
        assert chain.next_alarm_at is not None
        timer = Timer(
            timer_key=f"escalation/{chain.chain_id}",
            kind="escalation",
            due_at=chain.next_alarm_at,
            payload=chain_to_json(chain),
        )
        SqlTimers(connection).put(timer)
        for action in actions:
            if isinstance(action, Page):
                called = person(int(action.person_id[1:]), self.first)
                message = page_message(action, called, SITE, now, sender=SENDER, deadline_at=now)
                SqlMessages(connection).enqueue(message, now)


def _main() -> None:
    url, smtp_port, gateway_url, worker, first, people, *dead = sys.argv[1:]
    process = PagingProcess(url, int(smtp_port), gateway_url, worker, first)
    process.decide(int(people))
    process.run(frozenset(dead))
    process.database.close()


if __name__ == "__main__":
    _main()
