"""What a learner can ask of the course itself: how far they have come, and for a solution."""

import pytest

from lab_helpers.core.errors import LabError
from lab_helpers.lab import chapters, progress, solution
from lab_helpers.lab.solutions import find
from lab_helpers.show import progress as kept


def test_progress_counts_what_the_desk_keeps(tmp_path, monkeypatch):
    monkeypatch.setenv(kept.VARIABLE, str(tmp_path))
    kept.keep("checks", "12.1", passed=True)
    kept.keep("checks", "12.2", passed=False)
    kept.keep("checks", "12.99", passed=True)  # of a course that had it
    kept.keep("predictions", "12.a", answer="no", seen="no", right=True)
    kept.keep("predictions", "12.b", seen="no")
    table = progress()
    assert list(table.index) == chapters.stems()
    row = table.loc["12_traffic_shifting"]
    assert row["passed"] == 1 and row["checks"] >= 6 and row["answered"] == row["right"] == 1
    assert table.drop("12_traffic_shifting")[["passed", "answered", "right"]].sum().sum() == 0
    assert (table["predictions"] > 0).all() and (table["checks"] > 0).all()


def test_a_solution_is_shown_only_to_whoever_says_yes(monkeypatch, capsys):
    monkeypatch.setattr("builtins.input", lambda question: "")
    solution("12.6")
    assert "weight" not in capsys.readouterr().out
    monkeypatch.setattr("builtins.input", lambda question: "y")
    solution("12.6")
    assert "VirtualService" in "".join(find("12.6"))
    assert "weight: 80" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("number", "sentence"), [("12.1", "has no solution"), ("12.99", "There is no check"), ("99.1", "There is no check"), (None, "no check")]
)
def test_what_has_no_solution_says_so(number, sentence):
    with pytest.raises(LabError, match=sentence):
        find(number)
