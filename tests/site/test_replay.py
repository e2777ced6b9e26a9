"""The recorded sliders of chapter 12 on the static page, with the network cut."""

import json

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.site
PAGE = "notebooks/12_traffic_shifting.html"


def test_the_recording_is_replayed_without_a_network(visit, address):
    visitor = visit(address)
    page = visitor.open(PAGE)
    visitor.context.set_offline(True)
    widget = page.locator(".meshlab-shifting")
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
