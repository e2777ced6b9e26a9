"""Several workers of pytest-xdist on one lab: what is one thing stays on one worker, and each has a namespace of its own."""

from __future__ import annotations

import pytest


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist looks at the groups
def pytest_collection_modifyitems(items):
    """Keep a file's tests together, and in their order; a chapter's run goes with its other tests."""
    for item in items:
        chapter = getattr(item, "callspec", None) and item.callspec.params.get("stem")
        item.add_marker(pytest.mark.xdist_group(f"test_{chapter}" if chapter else item.path.stem))
