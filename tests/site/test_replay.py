"""The recorded sliders on the static pages, with the network cut."""

import json
from pathlib import Path

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.site
PAGE = "notebooks/12_traffic_shifting.html"


def cut_off(visitor, page, widget):
    """Take the network away, once the page has all that it fetches: on scrolling also its logo."""
    widget.scroll_into_view_if_needed()
    page.wait_for_load_state("networkidle")
    visitor.context.set_offline(True)


def test_the_recording_is_replayed_without_a_network(visit, address):
    visitor = visit(address)
    page = visitor.open(PAGE)
    widget = page.locator(".meshlab-shifting")
    cut_off(visitor, page, widget)
    recorded = json.loads(page.locator("script[data-recorded]").get_attribute("data-recorded"))
    buttons, sliders, bars = widget.get_by_role("button"), widget.locator("input[type=range]"), widget.locator("rect[data-version]")
    expect(buttons).to_have_count(len(recorded))
    assert len(recorded) >= 3
    for at, states in enumerate(recorded):
        buttons.nth(at).click()
        assert [int(sliders.nth(each).input_value()) for each in range(3)] == list(states[0]["weights"].values())
        last = states[-1]
        expect(widget).to_contain_text(f"{last['sent']} of {last['n']} requests sent. χ² test", timeout=15_000)
        total = sum(last["counts"].values())
        for each, count in enumerate(last["counts"].values()):
            assert float(bars.nth(each).get_attribute("width")) == pytest.approx(450 * count / total, abs=0.1)
    assert visitor.complaints == visitor.foreign == []


def test_it_grows_as_it_did_when_it_was_measured(visit, address):
    page = visit(address).open(PAGE)
    widget = page.locator(".meshlab-shifting")
    widget.get_by_role("button").first.click()
    expect(widget).to_contain_text(" 50 of 300 requests sent", timeout=5_000)
    expect(widget).to_contain_text(" 300 of 300 requests sent", timeout=15_000)


KNOBS = sorted(path.stem for path in Path("notebooks").glob("*.ipynb") if "Knob(" in path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("stem", KNOBS)
def test_a_slider_shows_each_setting_that_was_measured(stem, visit, address):
    visitor = visit(address)
    page = visitor.open(f"notebooks/{stem}.html")
    widget = page.locator(".meshlab-knob")
    cut_off(visitor, page, widget)
    data = page.locator("script[data-recorded]")
    recorded, told = (json.loads(data.get_attribute(f"data-{name}")) for name in ("recorded", "told"))
    buttons, slider = widget.get_by_role("button"), widget.locator("input[type=range]")
    expect(buttons).to_have_count(len(recorded))
    assert len(recorded) >= 3
    for at, states in enumerate(recorded):
        buttons.nth(at).click()
        expect(widget).to_contain_text(states[-1]["sentence"], timeout=15_000)
        expect(slider).to_have_value(str(told["values"].index(states[-1]["value"])))
        expect(widget.locator(".picture svg")).to_be_visible()
    assert visitor.complaints == visitor.foreign == []
