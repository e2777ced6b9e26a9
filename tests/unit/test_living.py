"""Widgets without a browser: what a frontend sends is handed to them directly; a recording is complete in itself."""

import json
import re
import threading
from html import unescape
from types import SimpleNamespace

import pytest

from lab_helpers.core.errors import LabError, MeshError
from lab_helpers.core.wait import wait_until
from lab_helpers.show.living import freeze, output
from lab_helpers.show.living.knob import Knob, Step, rehearse
from lab_helpers.show.svg import Drawing, text

LAB = SimpleNamespace(namespace="mine")
VALUES = [0, 10, 50]


def follow(lab, value, stopped):
    if value == 50:
        raise MeshError("The mesh says no.", "Ask for less.")
    for done in (1, 2):
        if stopped():
            return
        yield Step(Drawing(300, 20, [text(10, 10, f"{value} <of> 100")], f"{value}"), f"{done} of 2 sent & seen.", done, 2)


@pytest.fixture
def knob():
    made = Knob(LAB, follow, label="fails", unit="%", values=VALUES)
    yield made
    made.close()


def ask(knob, value):
    knob._asked(knob, {"do": "apply", "wanted": value}, [])
    wait_until(lambda: not knob.background.busy, "the work to end", 10)


def test_what_is_asked_is_measured_and_what_is_refused_is_said(knob):
    assert knob.state == {"value": 0, "phase": "ready"}
    ask(knob, 10)
    assert knob.state["phase"] == "done" and knob.state["sentence"] == "2 of 2 sent & seen." and "<svg" in knob.state["picture"]
    ask(knob, 50)
    assert knob.state == {"value": 50, "phase": "refused", "what": "The mesh says no.", "do": "Ask for less."}
    ask(knob, 11)
    assert knob.state["what"] == "The slider has no 11."


def test_stop_keeps_what_was_seen_and_a_checkpoint_brings_it_to_rest():
    seen, go = threading.Event(), threading.Event()

    def slow(lab, value, stopped):
        for step in follow(lab, value, stopped):
            yield step
            seen.set()
            go.wait(10)

    knob = Knob(LAB, slow, label="fails", values=VALUES)
    knob._asked(knob, {"do": "apply", "wanted": 10}, [])
    assert seen.wait(10)
    knob._asked(knob, {"do": "stop"}, [])
    go.set()
    wait_until(lambda: not knob.background.busy, "the work to end", 10)
    assert knob.state["phase"] == "stopped" and knob.state["done"] == 1
    freeze(SimpleNamespace(namespace="somebody else's"))
    assert knob.comm is not None
    freeze(LAB)
    assert knob.comm is None


def test_a_newer_widget_brings_the_older_one_to_rest(knob):
    Knob(LAB, follow, label="fails", values=VALUES).close()
    assert knob.comm is None


def test_a_recording_carries_its_data_and_loads_nothing():
    recorded = rehearse(LAB, follow, [0, 10])
    assert [[state["done"] for state in states] for states in recorded] == [[1, 2], [1, 2]]
    knob = Knob(LAB, follow, label="<fails>", unit="%", values=VALUES, recorded=recorded)
    assert knob.state["value"] == 10 and knob.state["phase"] == "ready"
    html = knob._repr_mimebundle_()["text/html"]
    knob.close()
    data = {name: json.loads(unescape(value)) for name, value in re.findall(r'data-(\w+)="([^"]*)"', html)}
    assert data["recorded"] == recorded and data["told"] == {"label": "<fails>", "unit": "%", "values": VALUES}
    before = html.partition("<script")[0]
    assert "2 of 2 sent &amp; seen." in before and "<svg" in before, "no picture where scripts do not run"
    assert not re.search(r"(?:src|href)=.(?!#)|import\(|fetch\(|https?://(?!www\.w3\.org)", html)
    assert "<svg" not in output(Knob, [])


@pytest.mark.parametrize(
    ("values", "recorded", "sentence"),
    [
        ([1], [], "Give two or more numbers in ascending order"),
        ([2, 1], [], "ascending"),
        (VALUES, [[{"value": 7}]], "The recording has 7, and the slider has not"),
    ],
)
def test_a_slider_that_cannot_be_is_refused(values, recorded, sentence):
    with pytest.raises(LabError, match=sentence):
        Knob(LAB, follow, label="x", values=values, recorded=recorded)
