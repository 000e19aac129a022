"""The description at /openapi.json against a real server: whatever is sent, the reply is as described, never 5xx."""

from http import HTTPStatus
from typing import Any

import msgspec
import pytest
import schemathesis
from hypothesis import HealthCheck, assume, settings
from schemathesis import checks

import functions.app  # noqa: F401  (it imports every function, each with the structs of its requests)
from functions.web.openapi import description
from tests.system.farm import Farm
from tests.waiting import until

POOL = """
echo:
  max: 8
  max_starting: 4
  cmd_new: echo 10.0.0.$RESALLOC_ID
  cmd_delete: 'true'
  tags: [A]
  reuse_opportunity_time: 60
  name_pattern: '{pool_name}-{id}'
"""
KNOWN = 5
"""Every second number is one from 1 to this, so that it belongs to an object."""
LONGEST = 0.2
"""Seconds that a request may wait here, whether it says so or not."""
CHECKS = [
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]

schema = schemathesis.openapi.from_dict(msgspec.json.decode(bytes(description())))


@schema.hook
def map_path_parameters(_context: Any, values: dict[str, Any] | None) -> dict[str, Any] | None:
    return {name: _known(name, value) for name, value in values.items()} if values else values


@schema.hook
def map_query(_context: Any, values: dict[str, Any] | None) -> dict[str, Any] | None:
    if values:
        for name in {"timeout", "wait"} & values.keys():
            if isinstance(values[name], int | float) and values[name] > LONGEST:
                values[name] = LONGEST
    return values


def _known(name: str, value: Any) -> Any:
    if isinstance(value, int):
        return value % KNOWN + 1 if value % 2 else value
    if name == "id_or_name" and isinstance(value, str) and len(value) % 2:
        return f"echo-{len(value) % KNOWN + 1:08d}"
    if name == "name" and isinstance(value, str) and len(value) % 2:
        return "echo"
    return value


@pytest.fixture(scope="module")
def farm(shared_farm: Farm) -> Farm:
    """A server with tickets that have a resource, that wait, and that have ended."""
    shared_farm.set_server(f"wait_timeout: {LONGEST}\n")
    shared_farm.set_pools(POOL)
    shared_farm.start()
    for tag in ("A", "A", "A", "Z", "Z"):
        shared_farm.take(tag)
    shared_farm.wait(1)
    shared_farm.close(1)
    shared_farm.close(5)
    until(lambda: len(shared_farm.up()) >= 4, what="some resources")
    return shared_farm


quick = settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck))


@schema.parametrize()
@quick
def test_replies_are_as_described(case: schemathesis.Case, farm: Farm) -> None:
    """Given any request, when sent, then the status, the headers and the body are as described."""
    check_reply(case, farm)


@pytest.mark.thorough
@schema.parametrize()
@settings(quick, max_examples=40)
def test_replies_to_many_requests_are_as_described(case: schemathesis.Case, farm: Farm) -> None:
    check_reply(case, farm)


def check_reply(case: schemathesis.Case, farm: Farm) -> None:
    response = case.call(base_url=farm.url, timeout=20)
    # gunicorn itself refuses a request line that is too long, before any function sees it.
    assume(response.status_code != HTTPStatus.REQUEST_URI_TOO_LONG)
    case.validate_response(response, checks=CHECKS)
