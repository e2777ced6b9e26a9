"""The node proxy that stands in for ztunnel: it compiles with the lab's own toolchain and caches, and its own tests pass, as root."""

from __future__ import annotations

import re

import pytest

from tests import node_proxy

pytestmark = pytest.mark.lab
# Every part of it has tests, but for what only carries the others along.
WITHOUT = {"istiod", "pod"}


def test_it_is_sound_go_and_its_tests_pass(tmp_path):
    log = tmp_path / "go.log"
    node_proxy.go(log, "vet", "./...")
    node_proxy.go(log, "test", "-c", "-o", f"{tmp_path}/", "./...")
    ran = node_proxy.run(tmp_path)
    folders = {path.parent.name for path in node_proxy.NODE_PROXY_SOURCES.rglob("*.go") if not path.parent.name.endswith("test")}
    assert set(ran) == folders - WITHOUT
    skipped = [line for said in ran.values() for line in said.splitlines() if "--- SKIP" in line]
    assert not skipped
    assert all(re.search("^--- PASS", said, flags=re.MULTILINE) for said in ran.values())


def test_everything_is_as_gofmt_has_it(tmp_path):
    gofmt = node_proxy.go(tmp_path / "go.log", "env", "GOROOT").splitlines()[-1] + "/bin/gofmt"
    assert node_proxy.subprocess.run([gofmt, "-l", "."], cwd=node_proxy.NODE_PROXY_SOURCES, capture_output=True, text=True).stdout == ""
