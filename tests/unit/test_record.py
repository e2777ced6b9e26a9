"""What a recorded notebook keeps, and what it leaves out."""

import contextlib

import nbformat
import pytest
from nbclient.exceptions import CellTimeoutError, DeadKernelError

from lab_helpers.core.errors import LabError
from lab_helpers.course import run
from lab_helpers.course.record import normalise


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


@pytest.mark.parametrize("held", [(False, False), (True, False), (False, True)])
def test_a_run_beside_a_build_is_no_record(executed, tmp_path, monkeypatch, held):
    """One that a build began or ended in as well."""
    monkeypatch.setattr(run, "RUN", tmp_path / "run")
    monkeypatch.setattr(run, "NOTEBOOKS", tmp_path / "recorded")
    monkeypatch.setattr(run, "find", lambda stem: executed)
    monkeypatch.setattr(run, "execute", lambda source, target, **_: target.write_text(source.read_text()))
    monkeypatch.setattr(run, "connect", lambda *_, **__: type("Lab", (), {"checkpoint": lambda self, stem: None})())
    looks = iter(held)
    monkeypatch.setattr(run.lock, "held", lambda path: next(looks))
    monkeypatch.setattr(run.site, "chapters", lambda: ["04_bookinfo"])
    (tmp_path / "recorded").mkdir()
    run.run_chapter("04_bookinfo")
    if not any(held):
        assert run.record() == ["04_bookinfo"]
        return
    with pytest.raises(LabError, match="04_bookinfo was run while .* was building(?s:.*)Run it again: meshlab run 04_bookinfo"):
        run.record()
    assert not list((tmp_path / "recorded").iterdir())


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (CellTimeoutError("A cell timed out"), "A cell of chapter 04_bookinfo has not ended within 30 minutes.*meshlab status"),
        (DeadKernelError("Kernel died"), "The kernel of chapter 04_bookinfo has died"),
    ],
)
def test_a_cell_that_hangs_is_given_up_and_a_kernel_that_died_is_named(executed, tmp_path, monkeypatch, error, sentence):
    given = {}

    def executes(*_, **how):
        given.update(how)
        raise error

    monkeypatch.setattr(run, "RUN", run.ROOT / "build" / "none")
    monkeypatch.setattr(run.Path, "mkdir", lambda *_, **__: None)
    monkeypatch.setattr(run, "find", lambda stem: executed)
    monkeypatch.setattr(run, "throw_away", lambda: contextlib.nullcontext(tmp_path))
    monkeypatch.setattr(run, "connect", lambda *_, **__: type("Lab", (), {"checkpoint": lambda self, stem: None})())
    monkeypatch.setattr(run.lock, "held", lambda path: False)
    monkeypatch.setattr(run.papermill, "execute_notebook", executes)
    with pytest.raises(LabError, match=f"(?s){sentence}"):
        run.run_chapter("04_bookinfo")
    assert given["execution_timeout"] == 1800
