"""Predictions: asked, answered, laid beside what was seen, and kept in the desk; no browser (tests/site/test_predictions.py has one)."""

import json

import pytest

from lab_helpers.core.errors import LabError
from lab_helpers.show import predictions, progress
from lab_helpers.show.checks import check, register, wrong
from lab_helpers.show.predictions import predict, resolve


@pytest.fixture
def desk(tmp_path, monkeypatch):
    monkeypatch.setenv(progress.VARIABLE, str(tmp_path))
    return tmp_path


def kept(desk):
    return json.loads((desk / "progress.json").read_text())


def shown(capsys):
    return capsys.readouterr().out.splitlines()


def test_what_was_predicted_stands_beside_what_was_seen(desk, capsys):
    predict("99.a", ["no", "yes"])
    predictions._asked["99.a"].answer = "yes"  # as the page sends it
    resolve("99.a", "no")
    assert shown(capsys) == ["○ no", "○ yes", "99.a predicted: yes; seen: no"]
    assert kept(desk)["predictions"] == {"99.a": {"answer": "yes", "seen": "no", "right": False}}


def test_a_number_has_its_unit(desk, capsys):
    predict("99.b", number="pages")
    predictions._asked["99.b"].answer = "4"
    resolve("99.b", 3, within=1)
    assert shown(capsys) == ["___ pages", "99.b predicted: 4; seen: 3 pages"]
    assert kept(desk)["predictions"]["99.b"] == {"answer": 4.0, "seen": 3.0, "right": True}


def test_an_answer_is_there_again_when_the_question_is_asked_again(desk):
    predict("99.a", ["no", "yes"])
    predictions._asked["99.a"].answer = "yes"
    predict("99.a", ["no", "yes"])
    assert predictions._asked["99.a"].answer == "yes"
    predict("99.a", ["never", "always"])
    assert predictions._asked["99.a"].answer == "", "it is an answer to another question"


@pytest.mark.parametrize("answer", ["perhaps", "3"])
def test_an_answer_that_is_no_choice_is_not_kept(desk, answer):
    predict("99.a", ["no", "yes"])
    predictions._asked["99.a"].answer = answer
    assert not (desk / "progress.json").exists()


def test_unanswered_is_fine_and_without_a_desk_nothing_is_written(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv(progress.VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)
    predict("99.a", ["no", "yes"])
    resolve("99.a", "yes")
    assert shown(capsys)[-1] == "99.a predicted: not answered; seen: yes"
    assert progress.read()["predictions"]["99.a"] == {"seen": "yes"} and not list(tmp_path.iterdir())


def test_what_is_shown_is_text_never_html():
    html = predictions.Prediction("99.a", ("<b>", '"'), "")._repr_mimebundle_()["text/html"]
    assert "<b>" not in html and "&lt;b&gt;" in html and 'value="&quot;"' in html


@pytest.mark.parametrize(
    ("name", "choices", "number", "sentence"),
    [
        ("12", ["a", "b"], "", "is not the name of a prediction"),
        ("12.1", ["a", "b"], "", "is not the name of a prediction"),
        ("12.a", [], "", "nothing to choose from"),
        ("12.a", ["a"], "", "nothing to choose from"),
        ("12.a", "ab", "", "has 'ab' to choose from"),
        ("12.a", ["a", "b"], "pages", "nothing to choose from"),
    ],
)
def test_a_question_that_is_none_is_refused(name, choices, number, sentence):
    with pytest.raises(LabError, match=sentence):
        predict(name, choices, number=number)


def test_what_cannot_be_an_answer_is_refused(desk):
    with pytest.raises(LabError, match="has not been asked yet"):
        resolve("98.a", "no")
    predict("99.a", ["no", "yes"])
    predict("99.b", number="pages")
    for name, seen in (("99.a", "perhaps"), ("99.a", 3), ("99.b", "three"), ("99.b", True)):
        with pytest.raises(LabError, match="none of the answers"):
            resolve(name, seen)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"checks": 1}'])
def test_a_record_that_is_none_is_begun_anew(desk, text):
    (desk / "progress.json").write_text(text)
    assert progress.read() == {"checks": {}, "predictions": {}}
    progress.keep("checks", "99.1", passed=True)
    assert kept(desk) == {"checks": {"99.1": {"passed": True}}, "predictions": {}}


def test_a_check_is_kept_and_stays_passed(desk, monkeypatch):
    monkeypatch.setattr("lab_helpers.show.checks._checks", {})

    @register("99.1", "Whether it is yes")
    def judge(answer: str):
        if answer != "yes":
            raise wrong("it is not", "think")
        return "it is"

    with pytest.raises(LabError, match="it is not"):
        check("99.1", "no")
    assert kept(desk)["checks"] == {"99.1": {"passed": False}}
    check("99.1", "yes")
    with pytest.raises(LabError, match="it is not"):
        check("99.1", answer="no")
    assert kept(desk)["checks"] == {"99.1": {"passed": True}}


def test_a_check_that_is_given_dots_says_what_it_wants(monkeypatch):
    monkeypatch.setattr("lab_helpers.show.checks._checks", {})

    @register("99.1", "Whether it is yes")
    def judge(answer: str):
        return answer

    with pytest.raises(LabError, match="Check 99.1 waits for your answer") as caught:
        check("99.1", ...)
    assert "Put text in place of the dots" in caught.value.do
