"""Chapter 12 on the live mesh: its checks on right and wrong answers, its widget with and without a browser."""

import json
import os
import threading
from collections import Counter
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from playwright.sync_api import expect, sync_playwright

from lab_helpers.chapters.c12_traffic_shifting import TrafficShifting, health, shift
from lab_helpers.chapters.c12_traffic_shifting.weights import current
from lab_helpers.core.errors import LabError
from lab_helpers.core.wait import wait_until
from tests.jupyterlab import choose, opened, serving
from tests.live import ISTIOCTL, NAMESPACE, sh
from tests.wrong_answers import before, fails

STEM = "12_traffic_shifting"
ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "notebooks" / f"{STEM}.ipynb"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip
pytestmark = pytest.mark.lab


@pytest.fixture
def subsets(lab):
    """Bookinfo with names for its three versions of reviews, and no weights."""
    lab.checkpoint(STEM)
    lab.apply(f"{STEM}/01-subsets.yaml")
    yield lab
    lab.checkpoint(STEM)


# Every check, on a wrong answer.


def manifest(folder: Path, kind: str, spec: str, name: str = "reviews") -> str:
    path = folder / f"{name}-{kind}.yaml"
    path.write_text(f"apiVersion: networking.istio.io/v1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec: {spec}\n")
    return str(path)


def answered(**numbers: int) -> pd.DataFrame:
    """What `observe` would have seen, had the versions answered so often."""
    return pd.DataFrame([(name, 200) for name, number in numbers.items() for _ in range(number)], columns=["version", "status"])


@before('lab.apply("12_traffic_shifting/01-subsets.yaml")')
def no_subsets_and_wrong_labels(lab, tmp_path):
    fails("12.1", lab, sentence="there is no DestinationRule for reviews")
    two = "{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}"
    lab.apply(manifest(tmp_path, "DestinationRule", f"{{host: reviews, subsets: [{two}]}}"))
    fails("12.1", lab, sentence="no subset is called v3")
    three = f"{two}, {{name: v3, labels: {{version: v33}}}}"
    lab.apply(manifest(tmp_path, "DestinationRule", f"{{host: reviews, subsets: [{three}]}}"))
    fails("12.1", lab, sentence="subset v3 selects version=v33, and no pod that runs has that")
    lab.delete(manifest(tmp_path, "DestinationRule", f"{{host: reviews, subsets: [{three}]}}"))


@before('lab.apply("12_traffic_shifting/02-all-v1.yaml")')
def others_answer(lab, seen):
    fails("12.2", seen, sentence="v2, v3 answered, too")
    fails("12.6", lab, sentence="there is no VirtualService for reviews")
    stages = pd.DataFrame({"weight": [10, 50, 100], "failed": 0})
    fails("12.5", lab, stages, sentence="the weights are now not set")
    fails("12.5", lab, stages.iloc[1:], sentence="the steps were 50, 100 percent")
    fails("12.5", lab, stages.assign(failed=[0, 3, 0]), sentence="3 requests failed at 50 percent")


@before('check("12.2"')
def too_few(seen):
    fails("12.2", seen.head(20), sentence="20 requests do not say much")


@before('lab.apply("12_traffic_shifting/03-weights.yaml")')
def a_subset_that_nobody_defines_is_seen_as_503(lab, tmp_path):
    """Istio takes the rule; only the answers tell. The course's own `shift` would not have let it pass."""
    routes = "{destination: {host: reviews, subset: v1}, weight: 90}, {destination: {host: reviews, subset: v4}, weight: 10}"
    lab.apply(manifest(tmp_path, "VirtualService", f"{{hosts: [reviews], http: [{{route: [{routes}]}}]}}"))
    seen = lab.observe("reviews", n=500, parallel=8)
    assert set(seen["status"]) == {200, 503}
    fails("12.3", seen, sentence="requests failed, the first with status 503")
    lab.apply(f"{STEM}/02-all-v1.yaml")


@before("stages = []")
def an_answer_that_is_no_review_belongs_to_its_version_too(lab):
    """The client cannot tell whose it is; its proxy can."""
    shift(lab, "reviews", {"v1": 50, "v3": 50})
    with lab.window() as window:
        seen = lab.observe("reviews", n=40, path="/no-such-page")
    assert seen["version"].isna().all()
    told = lab.requests(window, "destination_version", "response_code")
    assert set(told["destination_version"]) == {"v1", "v3"} and set(told["response_code"]) == {"404"} and told["requests"].sum() == 40
    own = told.set_index("destination_version")["requests"]
    assert health(lab, window, "v3")["requests"] == own["v3"] and health(lab, window, "v3")["failed"] == 0


@before("stages = []")
def other_weights(lab):
    stages = pd.DataFrame({"weight": [10, 50, 100], "failed": 0})
    shift(lab, "reviews", {"v1": 50, "v3": 50})
    fails("12.5", lab, stages, sentence="the weights are now")
    shift(lab, "reviews", {"v1": 70, "v2": 30})
    fails("12.6", lab, sentence="v[12] answered")
    shift(lab, "reviews", {"v1": 80, "v2": 15, "v3": 5})
    fails("12.6", lab, sentence="v3 answered")


@pytest.mark.parametrize(
    ("number", "numbers"),
    [("12.3", {"v1": 600, "v2": 750, "v3": 1650}), ("12.4", {"v1": 400, "v3": 600})],
    ids=["20 : 25 : 55", "40 : 60"],
)
def test_checks_of_shares_fail_on_the_fault_that_they_must_not_miss(number, numbers):
    """The middle one of what such weights answer; how often chance hides the fault is `power`'s to say."""
    seen = answered(**numbers).sample(frac=1, random_state=1)
    fails(number, seen, sentence=r"answered [\d.]+ %, not \d+ % \(χ².*contradicts")
    fails(number, seen.head(100), sentence="100 requests are too few")


def test_check_4_fails_where_a_version_without_a_share_answers():
    fails("12.4", answered(v1=250, v2=1, v3=749), sentence="v2 answered .* and should get none")


# Wrong input of `shift`: a sentence each, and the mesh as it was.


def test_shift_refuses_what_cannot_work(subsets, tmp_path):
    for weights, sentence in {
        (("v1", 80), ("v2", 10)): "add up to 90",
        (("v1", 101), ("v2", -1)): "negative",
        (("v1", 50.5), ("v2", 49.5)): "not a whole number",
        (("v1", 50), ("v9", 50)): "defines the subset v9",
    }.items():
        with pytest.raises(LabError, match=sentence) as caught:
            shift(subsets, "reviews", dict(weights))
        assert caught.value.do
    with pytest.raises(LabError, match="has no Service 'revews'"):
        shift(subsets, "revews", {"v1": 100})
    with pytest.raises(LabError, match="There is no DestinationRule for ratings"):
        shift(subsets, "ratings", {"v1": 100})
    assert current(subsets, "reviews") == {}
    for name in ("one", "two"):
        route = "{hosts: [reviews], http: [{route: [{destination: {host: reviews, subset: v1}}]}]}"
        subsets.apply(manifest(tmp_path, "VirtualService", route, name))
    with pytest.raises(LabError, match="2 VirtualServices speak for reviews"):
        shift(subsets, "reviews", {"v1": 100})


def test_shift_refuses_a_namespace_without_injection(subsets):
    subsets.run(f"kubectl label namespace {subsets.namespace} istio-injection-")
    subsets.run("kubectl delete pod -l app=client --wait=true")
    subsets.run("kubectl rollout status deployment client")
    with pytest.raises(LabError, match="has no sidecar, so no rule of the mesh reaches its requests"):
        shift(subsets, "reviews", {"v1": 100})


# The widget, without a browser: what a frontend sends is handed to it directly.


def threads() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name == "meshlab-background"]


def ask(widget, weights):
    widget._asked(widget, {"do": "apply", "wanted": weights}, [])


def rested(widget):
    wait_until(lambda: not widget.background.busy, "the widget's traffic to end", 60)


def requests_to_reviews(lab) -> int:
    calls = lab.calls()
    return int(calls[(calls["source"] == "client") & calls["destination"].str.startswith("reviews")]["requests"].sum())


def test_of_fifty_quick_drags_the_last_wins_and_no_storm_follows(subsets):
    widget = TrafficShifting(subsets, n=200)
    ask(widget, {"v1": 100, "v2": 0, "v3": 0})
    rested(widget)
    before = requests_to_reviews(subsets)
    drags = [{"v1": 100 - each, "v2": 0, "v3": each} for each in range(1, 51)]
    for weights in drags:
        ask(widget, weights)
        assert len(threads()) <= 1
    rested(widget)
    assert widget.state["phase"] == "done" and widget.state["weights"] == drags[-1] and widget.state["sent"] == 200
    assert {name: weight for name, weight in current(subsets, "reviews").items() if weight} == {"v1": 50, "v3": 50}
    # The last setting's 200, and at most one batch of each setting that was begun: far from the 10,000 of fifty whole ones.
    assert requests_to_reviews(subsets) - before <= 200 + 5 * 50
    widget.close()
    assert threads() == []


def test_closing_the_widget_ends_its_traffic(subsets):
    widget = TrafficShifting(subsets, n=10_000)
    ask(widget, {"v1": 50, "v2": 50, "v3": 0})
    wait_until(lambda: widget.state.get("sent", 0) > 0, "the first requests", 30)
    widget.close()
    assert threads() == [] and widget.state["sent"] < 10_000


def test_stop_keeps_what_was_seen(subsets):
    widget = TrafficShifting(subsets, n=10_000)
    ask(widget, {"v1": 50, "v2": 50, "v3": 0})
    wait_until(lambda: widget.state.get("sent", 0) > 0, "the first requests", 30)
    widget._asked(widget, {"do": "stop"}, [])
    rested(widget)
    assert widget.state["phase"] == "stopped" and 0 < widget.state["sent"] < 10_000
    widget.close()


def test_what_is_refused_is_shown_in_place_and_the_next_one_works(subsets):
    widget = TrafficShifting(subsets, n=50)
    ask(widget, {"v1": 50, "v9": 50})
    rested(widget)
    assert widget.state["phase"] == "refused" and "v9" in widget.state["what"] and widget.state["do"]
    ask(widget, {"v1": 50, "v2": 50, "v3": 0})
    rested(widget)
    assert widget.state["phase"] == "done"
    widget.close()


def test_after_the_clean_up_the_widget_applies_the_names_again_until_the_checkpoint(subsets):
    widget = TrafficShifting(subsets, n=50)
    subsets.delete(f"{STEM}/01-subsets.yaml")
    ask(widget, {"v1": 50, "v2": 50, "v3": 0})
    rested(widget)
    assert widget.state["phase"] == "done" and widget.state["names"]
    ask(widget, {"v1": 40, "v2": 60, "v3": 0})
    rested(widget)
    assert not widget.state["names"]
    subsets.checkpoint(STEM)
    assert widget.comm is None, "it has come to rest"
    assert current(subsets, "reviews") == {}


def test_the_widget_needs_names_for_versions(lab):
    lab.checkpoint(STEM)
    with pytest.raises(LabError, match="There is no DestinationRule for reviews"):
        TrafficShifting(lab)


# The widget in JupyterLab, in a real browser.


@pytest.fixture
def jupyterlab(tmp_path):
    """JupyterLab on loopback with the chapter's widget, and of its cells those that the widget stands on."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    needed = ("namespace =", "import *", "lab.checkpoint(", "/01-subsets.yaml", "weights = {", "TrafficShifting(lab")
    notebook.cells = [next(cell for cell in notebook.cells if part in cell.source and cell.cell_type == "code") for part in needed]
    parameters = next(cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", []))
    parameters.source = parameters.source.replace('"default"', f'"{NAMESPACE}"')
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    (tmp_path / "work").mkdir()
    nbformat.write(notebook, tmp_path / "work" / f"{STEM}.ipynb")
    with serving(tmp_path) as address:
        yield address % f"{STEM}.ipynb"


def routes_of_client(lab) -> dict[str, int]:
    """Weights of the client's own Envoy for reviews."""
    told = sh(
        *ISTIOCTL, "proxy-config", "route", "deploy/client", "--namespace", lab.namespace, "--name", "9080", "--output", "json"
    ).stdout
    hosts = [host for table in json.loads(told) for host in table["virtualHosts"] if host["name"].startswith(f"reviews.{lab.namespace}.")]
    clusters = hosts[0]["routes"][0]["route"]["weightedClusters"]["clusters"]
    return {each["name"].split("|")[2]: each.get("weight", 0) for each in clusters}


@pytest.mark.timeout(600)
def test_in_jupyterlab_a_dragged_slider_moves_the_mesh(lab, jupyterlab, tmp_path):
    with sync_playwright() as playwright, playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS) as browser:
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        foreign = []
        page.on(
            "request",
            lambda sent: (
                foreign.append(sent.url) if not sent.url.startswith(("http://127.0.0.1:", "ws://127.0.0.1:", "data:", "blob:")) else None
            ),
        )
        opened(page, jupyterlab)
        choose(page, "Run", "runmenu:run-all")
        widget = page.locator(".meshlab-shifting").filter(has=page.get_by_role("button", name="Measure"))
        sliders = widget.locator("input[type=range]")
        expect(sliders).to_have_count(3, timeout=240_000)
        widget.scroll_into_view_if_needed()

        bars = widget.locator("rect[data-version]")

        def widths() -> list[str]:
            return [bars.nth(at).get_attribute("width") for at in range(3)]

        def values() -> list[int]:
            return [int(sliders.nth(at).input_value()) for at in range(3)]

        before, seen = widths(), Counter()
        box = sliders.nth(0).bounding_box()
        middle = box["y"] + box["height"] / 2
        page.mouse.move(box["x"] + 8 + (box["width"] - 16) * values()[0] / 100, middle)
        page.mouse.down()
        for part in range(20, 71, 5):
            page.mouse.move(box["x"] + box["width"] * part / 100, middle)
            assert sum(values()) == 100
            seen[tuple(values())] += 1
        assert len(seen) > 5, "the sliders did not follow the pointer"
        assert "Release a slider" in widget.inner_text(), "weights were applied before the slider was let go"
        page.mouse.up()
        wanted = dict(zip(("v1", "v2", "v3"), values(), strict=True))
        assert 60 <= wanted["v1"] <= 80
        expect(widget).to_contain_text("400 of 400 requests sent", timeout=60_000)
        expect(widget).to_contain_text("agrees with the weights")
        assert widths() != before
        assert {name: weight for name, weight in current(lab, "reviews").items() if weight} == {k: v for k, v in wanted.items() if v}
        assert {name: weight for name, weight in routes_of_client(lab).items() if weight} == {k: v for k, v in wanted.items() if v}
        seen = lab.observe("reviews", n=300)
        assert set(seen["version"]) == {name for name, weight in wanted.items() if weight}

        lab.delete(f"{STEM}/01-subsets.yaml")  # now the mesh has no names for versions any more
        widget.get_by_role("button", name="Measure").click()
        expect(widget).to_contain_text("The names of the versions had gone, and were applied again", timeout=60_000)
        expect(widget).to_contain_text("400 of 400 requests sent", timeout=60_000)
        route = "{hosts: [reviews], http: [{route: [{destination: {host: reviews, subset: v1}}]}]}"
        lab.apply(manifest(tmp_path, "VirtualService", route, "another"))
        widget.get_by_role("button", name="Measure").click()
        expect(widget.locator(".refused")).to_contain_text("2 VirtualServices speak for reviews", timeout=30_000)
        if folder := os.environ.get("MESHLAB_SCREENSHOTS"):
            page.screenshot(path=f"{folder}/jupyterlab.png")
        assert foreign == []
