"""What several files of tests on the lab begin with."""

import pytest

from lab_helpers.lab import checkpoint, connect
from lab_helpers.lab.chapters import BOOKINFO, CLIENTS
from tests.live import NAMESPACE


@pytest.fixture(scope="module")
def lab():
    """Bookinfo with a client, as it is for each file that names no other."""
    found = connect(quiet=True, namespace=NAMESPACE)
    checkpoint.reach(found, "Bookinfo", [*CLIENTS[:1], *BOOKINFO])
    return found
