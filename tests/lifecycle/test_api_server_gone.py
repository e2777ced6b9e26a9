"""The API server dies while somebody plays with the sliders; comes before the tests that take the whole lab down."""

from __future__ import annotations

import os
import signal

import pytest

from lab_helpers.chapters.c12_traffic_shifting import TrafficShifting
from lab_helpers.core.wait import wait_until
from lab_helpers.lab.connection import connect
from lab_helpers.node.kubernetes import components
from lab_helpers.node.machine import MACHINE
from tests.live import meshlab

pytestmark = pytest.mark.lab


def test_the_widget_says_so_and_goes_on_when_it_is_back():
    meshlab("up")
    lab = connect(quiet=True)
    lab.checkpoint("12_traffic_shifting")
    lab.apply("12_traffic_shifting/01-subsets.yaml")
    widget = TrafficShifting(lab, n=10_000)
    widget._asked(widget, {"do": "apply", "wanted": {"v1": 50, "v2": 50, "v3": 0}}, [])
    wait_until(lambda: widget.state.get("sent", 0) > 0, "the first requests", 60)
    os.kill(components.running(MACHINE)["kube-apiserver"], signal.SIGKILL)
    widget._asked(widget, {"do": "apply", "wanted": {"v1": 0, "v2": 0, "v3": 100}}, [])
    wait_until(lambda: widget.state["phase"] == "refused", "the widget to say that the API server is gone", 60)
    assert "did not answer" in widget.state["what"] and "meshlab status" in widget.state["do"]
    wait_until(lambda: not widget.background.busy, "the widget's thread to end", 10)
    meshlab("up")
    widget.background.close()
    again = TrafficShifting(lab, n=100)
    again._asked(again, {"do": "apply", "wanted": {"v1": 0, "v2": 0, "v3": 100}}, [])
    wait_until(lambda: again.state["phase"] == "done", "the widget to go on", 60, late=lambda: str(again.state))
    again.close()
    lab.checkpoint("12_traffic_shifting")
