"""A stopping worker closes idle connections, and only those."""

from types import SimpleNamespace

import gevent
from gevent.event import Event

from functions.web.lifetime import _IdleConnections


def test_an_idle_connection_is_closed() -> None:
    worker = SimpleNamespace(timeout_ctx=lambda: gevent.Timeout(75, False))
    idle = _IdleConnections(worker)
    came = Event()

    def connection() -> bool:
        with worker.timeout_ctx():
            return came.wait()
        return False

    served = gevent.spawn(connection)
    gevent.sleep(0)
    idle._end()
    assert served.get(timeout=5) is False


def test_a_request_that_arrives_while_idle_connections_are_closed_is_answered() -> None:
    worker = SimpleNamespace(timeout_ctx=lambda: gevent.Timeout(75, False))
    idle = _IdleConnections(worker)
    came, done = Event(), Event()

    def connection() -> str:
        with worker.timeout_ctx():
            came.wait()
        done.wait()
        return "answered"

    served = gevent.spawn(connection)
    gevent.sleep(0)
    came.set()
    idle._end()
    gevent.sleep(0.01)
    done.set()
    assert served.get(timeout=5) == "answered"
