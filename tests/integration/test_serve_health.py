"""The health server on a real socket."""

import http.client
import json
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from territory.health import REQUESTS_MAX, Health, HealthServer
from territory.listening import open_port


@contextmanager
def health_server(examine: Callable[[], Health]) -> Iterator[int]:
    bound = open_port("127.0.0.1", 0, setting="http.port")
    port = int(bound.getsockname()[1])
    server = HealthServer(bound, examine)
    server.start()
    try:
        yield port
    finally:
        server.close()


def get(port: int, path: str, method: str = "GET") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def test_a_ready_node_answers_200_with_its_facts() -> None:
    with health_server(lambda: Health(reasons=(), facts={"aet": ["TELEGARDE"]})) as port:
        status, body = get(port, "/health")

    assert status == 200
    assert json.loads(body) == {"status": "ready", "reasons": [], "aet": ["TELEGARDE"]}


def test_a_node_that_is_not_ready_answers_503_with_the_reasons() -> None:
    with health_server(lambda: Health(reasons=("worker 1 is starting",), facts={})) as port:
        status, body = get(port, "/health")

    assert status == 503
    assert json.loads(body) == {"status": "unavailable", "reasons": ["worker 1 is starting"]}


def test_head_answers_the_status_without_a_body() -> None:
    with health_server(lambda: Health(reasons=(), facts={})) as port:
        assert get(port, "/health", "HEAD") == (200, b"")


def test_any_other_path_is_not_found() -> None:
    with health_server(lambda: Health(reasons=(), facts={})) as port:
        status, _ = get(port, "/studies")

    assert status == 404


def test_clients_that_send_nothing_take_only_so_many_places_and_the_server_still_closes() -> None:
    with health_server(lambda: Health(reasons=(), facts={})) as port:
        silent = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(REQUESTS_MAX + 3)]
        # Those beyond the places are hung up on at once.
        assert [client.recv(1) for client in silent[REQUESTS_MAX:]] == [b""] * 3
        for client in silent:
            client.close()
