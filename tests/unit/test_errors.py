"""An error that the daemon answers is the same error at the client."""

import json

import pytest

from labkit import errors
from labkit.client import api
from labkit.daemon.errors import status_of
from labkit.errors import LabkitError

WITH_A_STATUS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, LabkitError) and "http_status" in vars(kind)
]


@pytest.mark.parametrize("kind", WITH_A_STATUS)
def test_it_comes_back_as_it_was(kind):
    body = json.dumps({"message": "because"}).encode()
    received = api._error(status_of(kind("because")), body)
    assert type(received) is kind
    assert str(received) == "because"


def test_no_two_have_one_status():
    assert len({kind.http_status for kind in WITH_A_STATUS}) == len(WITH_A_STATUS) >= 7
