"""The node proxy for long: its tests under the race detector, everything that it parses under a fuzzer, and a great many connections."""

from __future__ import annotations

import pytest

from tests import node_proxy

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1800)]
SECONDS = 30  # of fuzzing, for each target
TARGETS = {
    "FuzzLevels": "./observe/logging",
    "FuzzParse": "./control/identity",
    "FuzzPolicy": "./control/policy",
    "FuzzAddress": "./control/state",
    "FuzzTake": "./control/xds",
    "FuzzDecode zds": "./pods/zds",
    "FuzzRights": "./pods/zds",
    "FuzzDecode certificates": "./control/certificates",
    "FuzzAuthority": "./traffic/hbone",
    "FuzzForwarded": "./traffic/inbound",
    "FuzzQuestion": "./traffic/dns",
}


def test_nothing_races(tmp_path):
    # The detector is C: it needs a C compiler, which the lab's build needs anyway.
    node_proxy.go(tmp_path / "go.log", "test", "-c", "-race", "-o", f"{tmp_path}/", "./...", CGO_ENABLED="1")
    for _ in range(3):
        node_proxy.run(tmp_path, timeout=600)


def test_many_connections_and_pods_leave_nothing_behind(tmp_path):
    node_proxy.go(tmp_path / "go.log", "test", "-c", "-o", f"{tmp_path}/", "./app")
    load = {"NODE_PROXY_CONNECTIONS": "100000", "NODE_PROXY_RECREATIONS": "50"}
    said = node_proxy.run(tmp_path, "-test.run", "Many|ComeAndGo", timeout=1200, **load)["app"]
    assert "100000 connections in" in said and "50 pods" in said


@pytest.mark.parametrize("target", TARGETS)
def test_nothing_that_somebody_sends_is_too_much(tmp_path, target):
    name = target.split()[0]
    said = node_proxy.go(tmp_path / "go.log", "test", "-run", "^$", "-fuzz", f"^{name}$", "-fuzztime", f"{SECONDS}s", TARGETS[target])
    assert "new interesting" in said


def test_every_target_is_fuzzed(tmp_path):
    said = node_proxy.go(tmp_path / "go.log", "test", "-list", "^Fuzz", "./...")
    assert sorted(line for line in said.splitlines() if line.startswith("Fuzz")) == sorted(target.split()[0] for target in TARGETS)
