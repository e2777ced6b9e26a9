"""How things are shown, from values at hand: no cluster, no browser."""

import re

import pytest

from lab_helpers.chapters.c04_bookinfo.checks import CALLS, THIRDS
from lab_helpers.core.errors import CheckError, LabError
from lab_helpers.kube.apply import Change, Manifest, Outcome
from lab_helpers.kube.commands import Output
from lab_helpers.lab.checkpoint import Checkpoint
from lab_helpers.show import checks, manifests, render
from lab_helpers.show.checks import Verdict, check, given
from lab_helpers.show.plots import plot_calls, plot_shares
from lab_helpers.show.svg import number
from tests.bookinfo import calls, page, seen


def test_stars_are_read_from_the_page():
    assert [page(version).stars for version in ("v1", "v2", "v3")] == ["none", "black", "red"]


def test_a_page_is_shown_without_scripts_in_a_sandbox():
    html = render.page(page("v2"))
    assert "<iframe sandbox" in html and "alert" not in html and "glyphicon" in html
    assert "src=" not in html.replace("srcdoc=", ""), "nothing may be loaded from elsewhere"


def test_what_a_command_printed_is_shown_as_text_never_as_html():
    html = render.output(Output("kubectl get <x>", "<script>alert(1)</script> & more\n"))
    assert "<script>" not in html and "&lt;script&gt;" in html and "kubectl get &lt;x&gt;" in html
    assert str(Output("kubectl get pods", "a\n")) == "$ kubectl get pods\na"


def test_an_outcome_shows_each_object_its_diff_and_the_time():
    result = Outcome("kubectl apply -f x", [Change("Service a", "created"), Change("Service b", "configured", "-x\n+y")], 7, 0.214)
    html = render.outcome(result)
    assert "Service a created" in html and ">-x<" in html and ">+y<" in html and "<details" not in html
    assert "in effect on all 7 proxies after 0.21 s" in html and "0.21 s" in str(result)


def applied(action, *lines):
    """What applying files of so many lines gives, with an object in each."""
    written = [Manifest(f"{number}.yaml", "kind: <b>\n" * count, [f"Service {number}"]) for number, count in enumerate(lines)]
    return render.outcome(Outcome("kubectl", [Change(f"Service {number}", action) for number in range(len(lines))], manifests=written))


def test_a_file_of_the_desk_opens_in_the_editor_and_a_page_without_one_has_no_link():
    own, other = (manifests.shown([Manifest("a.yaml", "kind: X\n", [], beside)], [], "") for beside in ("my/a b.yaml", ""))
    assert '<a class="meshlab-edit" href="my/a%20b.yaml">' in own and "<a " not in other
    assert manifests.without_links(own) == other


@pytest.mark.parametrize(
    ("action", "lines", "opened"),
    [
        ("created", [30], 1),
        ("created", [31], 0),
        ("created", [10, 10, 10], 3),
        ("created", [20, 11, 10], 2),
        ("configured", [5], 0),
        ("unchanged", [5], 0),
    ],
)
def test_what_is_new_stands_open_as_long_as_there_is_room(action, lines, opened):
    html = applied(action, *lines)
    assert html.count("<details") == len(lines) and html.count(" open>") == opened


def test_a_manifest_is_shown_as_text_in_colours_of_the_page():
    html = applied("created", 1)
    assert "<b>" not in html and "&lt;b&gt;" in html and 'color: var(--key)">kind</span>' in html
    assert re.sub(r"<[^>]*>", "", manifests.yaml("a: 1 # <one>\nb: |\n  'x'\n", "")) == "a: 1 # &lt;one&gt;\nb: |\n  'x'"


def test_a_command_shows_the_manifests_that_it_was_given():
    html = render.output(Output("kubectl apply -f a.yaml", "x created\n", manifests=[Manifest("a.yaml", "kind: X\n", [])]))
    assert html.index("kubectl apply") < html.index("<details") < html.index(">kind<") < html.index("x created") and " open>" in html


def test_a_long_difference_folds_out():
    html = render.outcome(Outcome("kubectl", [Change("Pod a", "configured", "--- before\n+++ after\n" + "+x\n" * 40)]))
    assert html.count("<details") == 1 and "Pod a configured</summary>" in html and "before" not in html


def test_a_verdict_is_a_box_and_a_line():
    verdict = Verdict("04.4", "Equal <thirds>", "3 requests.", "χ² = 1")
    assert str(verdict) == "✔ 04.4 Equal <thirds>: 3 requests.\n  χ² = 1"
    assert "Equal &lt;thirds&gt;" in verdict._repr_html_() and "<summary>the statistics</summary>χ² = 1" in verdict._repr_html_()
    failed = Verdict("04.4", "Equal thirds", "none", "Send some.", passed=False)
    assert str(failed).startswith("✘ 04.4") and "→ Send some." in failed._repr_html_() and "<details" not in failed._repr_html_()


def test_a_check_that_fails_in_a_notebook_is_seen_once(monkeypatch):
    boxes = []
    monkeypatch.setattr(checks.InteractiveShell, "initialized", lambda: True)
    monkeypatch.setattr(checks, "display", boxes.append)
    with pytest.raises(CheckError) as caught:
        check("04.4", seen(1, 1, 1))
    [box] = boxes
    assert not box.passed and "too few to tell" in box.sentence and box.more
    assert render.error(caught.value) == ["The notebook stops here until this passes."]


def test_a_checkpoint_that_changed_nothing_says_so():
    assert "Nothing had to be changed" in Checkpoint("04_bookinfo", "default", [], [])._repr_html_()
    assert "beware: x" in str(Checkpoint("04_bookinfo", "default", [], ["x"]))


def test_shares_are_drawn_small_without_script_in_the_colour_of_the_page():
    picture = plot_shares(seen(180, 210, 200), THIRDS)
    html = picture._repr_html_()
    assert len(html) < 40_000 and "<script" not in html and "currentColor" in html and "#010203" not in html
    assert "v1 30.5 % (expected 33.3 %)" in repr(picture) and "http" not in html.replace("http://www.w3.org", "")


def test_the_same_table_gives_the_same_picture():
    assert plot_shares(seen(5, 6, 7), THIRDS)._repr_html_() == plot_shares(seen(5, 6, 7), THIRDS)._repr_html_()


def test_calls_are_drawn_with_every_workload_once():
    html = plot_calls(calls())._repr_html_()
    for name in {each for edge in CALLS for each in edge}:
        assert html.count(f">{name}<") == 1


def test_calls_in_a_circle_are_drawn_too():
    assert plot_calls(calls({("a", "b"), ("b", "a")})).caption.startswith("Calls: a → b")


@pytest.mark.parametrize(
    "plot", [lambda: plot_shares(seen(0, 0, 0), THIRDS), lambda: plot_shares({}, {}), lambda: plot_calls(calls(set()))]
)
def test_nothing_to_plot_gets_a_sentence(plot):
    with pytest.raises(LabError, match="nothing to"):
        plot()


@pytest.mark.parametrize(("value", "shown"), [(0, "0"), (0.01234, "0.0123"), (1.234, "1.23"), (99.96, "100"), (1234.5, "1,230")])
def test_a_number_has_as_many_digits_as_count(value, shown):
    assert number(value) == shown


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: check("04.9"), "no check 04.9.*04.1, 04.2, 04.3, 04.4, 04.5"),
        (lambda: check("97.1"), "no check 97.1.*none"),
        (lambda: check("four"), "not the number of a check"),
        (lambda: check("04.2"), "was not given what it looks at"),
        (lambda: check("04.4", seen(1, 1, 1), "more"), "was not given what it looks at"),
    ],
)
def test_misuse_of_a_check_gets_a_sentence(call, sentence):
    with pytest.raises(LabError, match=f"(?s){sentence}"):
        call()


@pytest.mark.parametrize("answer", ["reviews", ["reviews"], ("reviews",), {"reviews"}])
def test_an_answer_is_one_name_or_several(answer):
    assert given(answer) == {"reviews"}
