"""Each test of a transformer's network runs for every family."""

import pytest

from tests.networks.tiny import FAMILIES, Make


@pytest.fixture(params=FAMILIES, ids=lambda make: make.__name__)
def make(request: pytest.FixtureRequest) -> Make:
    """What makes a tiny transformer of a family."""
    return request.param
