"""What a learner sees, from values at hand: no cluster, no browser."""

import nbformat
import pandas as pd
import pytest

from lab_helpers.core.errors import CheckError, LabError
from lab_helpers.core.statistics import ALPHA, required_n
from lab_helpers.istio.apply import Change, Outcome
from lab_helpers.lab.checkpoint import Checkpoint
from lab_helpers.kube.commands import Output
from lab_helpers.istio.gateway import Page
from lab_helpers.show import checks, render
from lab_helpers.show.checks import check
from lab_helpers.chapters.c04_bookinfo.checks import CALLS, FAULT, POWER, STARS, THIRDS
from lab_helpers.show.plots import plot_calls, plot_shares
from lab_helpers.course.record import normalise


def page(version, stars=None, status=200):
    stars = stars or STARS[version]
    star = '<div class="text-{}-500">\n <svg id="glyphicon glyphicon-star"></svg></div>'
    shown = "" if stars == "none" else star.format(stars)
    text = f"<body><script>alert(1)</script><h1>x</h1>{shown}Reviews served by: reviews-{version}-abc</body>"
    return Page("http://192.0.2.1/productpage", status, {"content-type": "text/html"}, text, f"reviews-{version}-abc", version)


def seen(v1, v2, v3, status=200):
    rows = [{"version": name, "status": status} for name, n in (("v1", v1), ("v2", v2), ("v3", v3)) for _ in range(n)]
    return pd.DataFrame(rows, columns=["version", "status"])


def calls(edges=CALLS):
    return pd.DataFrame(
        [(source, destination, 7) for source, destination in sorted(edges)],
        columns=["source", "destination", "requests"],
    )


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
    assert "Service a created" in html and "<details>" in html and "+y" in html
    assert "in effect on all 7 proxies after 0.21 s" in html and "0.21 s" in str(result)


def test_a_checkpoint_that_changed_nothing_says_so():
    assert "Nothing had to be changed" in render.checkpoint(Checkpoint("04_bookinfo", "default", [], []))
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


N = required_n(THIRDS, FAULT, ALPHA, POWER)


@pytest.mark.parametrize(
    ("number", "state", "answers"),
    [
        ("04.2", [[page("v1"), page("v2"), page("v3")]], {}),
        ("04.3", [calls()], {"answer": {"reviews-v2", "reviews-v3"}}),
        ("04.3", [calls()], {"answer": ["reviews-v3", "reviews-v2"]}),
        ("04.4", [seen(N // 3 + 3, N // 3, N // 3 + 1)], {}),
    ],
)
def test_a_check_passes_on_the_right_answer(number, state, answers, capsys):
    check(number, *state, **answers)
    assert capsys.readouterr().out.startswith(f"✔ {number} ")


@pytest.mark.parametrize(
    ("number", "state", "answers", "sentence"),
    [
        ("04.2", [[page("v1"), page("v2")]], {}, "reviews of v3"),
        ("04.2", [[]], {}, "reviews of v1, v2, v3"),
        ("04.2", [[page("v1"), page("v2", "red"), page("v3")]], {}, "v2 should show black stars, and shows red"),
        ("04.2", [[page("v1"), page("v2"), page("v3", status=503)]], {}, "reviews of v3"),
        ("04.3", [calls()], {"answer": "reviews-v2"}, "somebody else"),
        (
            "04.3",
            [calls()],
            {"answer": {"reviews-v1", "reviews-v2", "reviews-v3"}},
            "reviews-v1 has not called ratings",
        ),
        (
            "04.3",
            [calls(CALLS - {("reviews-v3", "ratings-v1")})],
            {"answer": "reviews-v2"},
            "counted a call reviews-v3 → ratings-v1",
        ),
        ("04.4", [seen(300, 150, 150)], {}, "contradicts"),
        ("04.4", [seen(20, 20, 20)], {}, "too few to tell"),
        ("04.4", [seen(N, N, N, status=503)], {}, "failed, the first with status 503"),
    ],
)
def test_a_check_fails_on_a_wrong_answer_and_says_why(number, state, answers, sentence):
    with pytest.raises(CheckError, match=sentence) as caught:
        check(number, *state, **answers)
    assert caught.value.what.startswith(f"✘ {number} ") and caught.value.do, "a check hints at the way out"


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


def test_chapter_04_has_five_checks():
    assert checks.numbers("04") == ["04.1", "04.2", "04.3", "04.4", "04.5"]


@pytest.fixture
def executed(tmp_path):
    cell = nbformat.v4.new_code_cell(
        "1 + 1",
        execution_count=7,
        metadata={"papermill": {"duration": 1}, "execution": {"iopub.execute_input": "2026"}, "tags": ["keep"]},
    )
    cell.outputs = [nbformat.v4.new_output("execute_result", {"text/plain": "2"}, execution_count=7)]
    injected = nbformat.v4.new_code_cell("namespace = 'x'", execution_count=2, metadata={"tags": ["injected-parameters"]})
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# x"), injected, cell])
    book.metadata = {
        "papermill": {"input_path": "/somewhere"},
        "language_info": {"name": "python", "version": "3.11.7"},
        "widgets": {},
    }
    path = tmp_path / "04_bookinfo.ipynb"
    nbformat.write(book, path)
    return path


def test_a_recorded_notebook_keeps_outputs_and_nothing_of_the_run(executed):
    first = normalise(executed).read_text()
    book = nbformat.read(executed, as_version=4)
    assert [cell.id for cell in book.cells] == ["04-1", "04-2"] and book.cells[1].execution_count == 1
    assert book.cells[1].outputs[0].data["text/plain"] == "2" and book.cells[1].metadata == {"tags": ["keep"]}
    assert not any(word in first for word in ("papermill", "2026", "/somewhere", "3.11.7", "injected"))
    assert normalise(executed).read_text() == first, "normalising twice is normalising once"


def test_what_no_two_runs_share_is_left_out_of_a_record(executed):
    book = nbformat.read(executed, as_version=4)
    seen = "all 9 proxies after 0.21 s; 6f726ddb-05e7-97bb-94a0-efeebef6bb6e; http://gateway/zipkin/traces/aa4ea67e9c12e2843ca2293f32aea64f"
    book.cells[2].outputs = [
        nbformat.v4.new_output("display_data", {"text/html": seen, "application/vnd.jupyter.widget-view+json": {"model_id": "x"}}),
        nbformat.v4.new_output("stream", text=seen),
    ]
    nbformat.write(book, executed)
    shown, printed = nbformat.read(normalise(executed), as_version=4).cells[1].outputs
    assert shown.data == {"text/html": printed.text}, "a widget whose kernel has ended was kept"
    assert printed.text == "all 9 proxies; REQUEST-ID; http://gateway/zipkin/traces/TRACE-ID"


@pytest.mark.parametrize("broken", ["failed", "unrun"])
def test_a_notebook_that_did_not_run_through_is_no_record(executed, broken):
    book = nbformat.read(executed, as_version=4)
    if broken == "failed":
        book.cells[2].outputs = [nbformat.v4.new_output("error", ename="X", evalue="y", traceback=[])]
    else:
        book.cells[2].execution_count = None
    nbformat.write(book, executed)
    with pytest.raises(ValueError, match="failed: X: y" if broken == "failed" else "was not run"):
        normalise(executed)
