"""Wrong answers within a chapter's run: where they are put, and what does not pass for one."""

import threading

import nbformat
import pytest

from lab_helpers.core.errors import CheckError
from tests import wrong_answers


@pytest.fixture
def notebook(tmp_path, monkeypatch):
    """A function that puts functions into a notebook of four cells, and returns the sources of what comes of it."""
    code = nbformat.v4.new_code_cell
    cells = [code("seen = 1"), nbformat.v4.new_markdown_cell('check("1.1")'), code('check("1.1", seen)'), code("seen = 2")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "source.ipynb")

    def put(**functions) -> list[str]:
        monkeypatch.setattr(wrong_answers, "of", lambda stem: functions)
        wrong_answers.put_in("01_one", tmp_path / "source.ipynb", tmp_path / "target.ipynb")
        return [cell.source for cell in nbformat.read(tmp_path / "target.ipynb", as_version=4).cells]

    return put


def called_before(cell):
    def answer():
        pass

    return wrong_answers.before(cell)(answer)


def test_each_is_called_before_its_cell_in_their_order(notebook):
    sources = notebook(one=called_before('check("1.1"'), two=called_before('check("1.1"'), three=called_before("seen = 2"))
    assert ["'one'" in sources[3], "'two'" in sources[4], "'three'" in sources[6]] == [True] * 3 and len(sources) == 9
    assert "count_waits" in sources[0] and "tell_waits" in sources[-1]


def test_a_cell_that_is_nowhere_is_missed(notebook):
    with pytest.raises(LookupError, match="lost is to be called before a cell that source.ipynb does not have: nothing like it"):
        notebook(lost=called_before("nothing like it"))


def test_it_is_called_with_the_notebooks_variables_and_a_folder(monkeypatch, capsys):
    def one(lab, tmp_path):
        assert lab == "the lab" and tmp_path.is_dir()

    monkeypatch.setattr(wrong_answers, "of", lambda stem: {"one": one})
    wrong_answers.tried("01_one", "one", {"lab": "the lab", "unused": 1})
    assert capsys.readouterr().out == "tried one\n"
    with pytest.raises(KeyError, match="lab"):
        wrong_answers.tried("01_one", "one", {})


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        (None, "check 1.1 passes, and should say"),
        (CheckError("it is late", "Wait."), "and not: it is early"),
        (CheckError("it is early", ""), "does not say what to do"),
    ],
)
def test_what_passes_or_fails_for_another_reason_is_no_wrong_answer(monkeypatch, raised, said):
    def check(number, *state, **answers):
        if raised:
            raise raised

    monkeypatch.setattr(wrong_answers, "check", check)
    with pytest.raises(AssertionError, match=said):
        wrong_answers.fails("1.1", sentence="it is early")


def test_waits_are_counted_while_they_last(monkeypatch, capsys):
    slept = []
    monkeypatch.setattr(wrong_answers.time, "sleep", slept.append)
    wrong_answers.count_waits()
    wrong_answers.time.sleep(1.25)
    wrong_answers.time.sleep(2)
    helper = threading.Thread(target=lambda: wrong_answers.time.sleep(4))
    helper.start()
    helper.join()
    wrong_answers.tell_waits()
    assert slept == [1.25, 2, 4] and capsys.readouterr().out == "waited 3.2 s\n"
