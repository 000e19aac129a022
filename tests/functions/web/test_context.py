"""What the functions of one web process share."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from flask import Flask

from functions.web.context import Context


class Sample:
    def __init__(self, context: Context) -> None:
        self.context = context


def test_a_shared_object_is_made_once_for_an_application_on_first_use(app: Flask) -> None:
    context: Context = app.extensions["resalloc"]
    first = context.shared(Sample)
    assert context.shared(Sample) is first
    assert first.context is context


def test_threads_that_ask_at_once_share_one_object(app: Flask) -> None:
    context: Context = app.extensions["resalloc"]
    barrier = Barrier(8, timeout=20)

    def make(context: Context) -> object:
        barrier.wait()
        return object()

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: context.shared(make), range(8)))
    assert len({id(each) for each in found}) == 1
