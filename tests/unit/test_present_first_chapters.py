"""The pictures and checks of chapters 01 and 02, without a cluster."""

import re

import pandas as pd
import pytest

from lab_helpers.core.errors import CheckError, LabError
from lab_helpers.show.checks import check, numbers
from lab_helpers.chapters.c01_service_mesh.drawings import draw_services
from lab_helpers.chapters.c02_lab_environment.scaling import plot_scaling


def timeline(*rows):
    """Rows of (seconds, utilization, wanted, pods) as ``lab.follow`` returns them."""
    start = pd.Timestamp("2026-01-01", tz="UTC")
    return pd.DataFrame(
        [(start + pd.Timedelta(seconds=second), *rest) for second, *rest in rows],
        columns=["time", "utilization", "wanted", "pods"],
    )


UP_AND_DOWN = timeline((0, float("nan"), 0, 1), (5, 4.0, 1, 1), (15, 210.0, 3, 1), (17, 210.0, 3, 3), (40, 5.0, 1, 3), (41, 5.0, 1, 1))


def test_the_two_drawings_differ_by_the_proxies_the_locks_and_the_verdict():
    without, with_proxies = draw_services(proxies=False), draw_services(proxies=True)
    assert [picture.svg.count(">proxy<") for picture in (without, with_proxies)] == [0, 4]
    assert ">200<" in without.svg and ">403<" not in without.svg and "plain text" in without.svg
    assert ">403<" in with_proxies.svg and ">200<" not in with_proxies.svg and "plain text" not in with_proxies.svg
    assert ">istiod<" in with_proxies.svg and ">istiod<" not in without.svg


@pytest.mark.parametrize("picture", [draw_services(False), draw_services(True), plot_scaling(UP_AND_DOWN, 50)])
def test_a_drawing_takes_the_colour_of_the_page_and_says_what_it_shows(picture):
    assert "currentColor" in picture.svg and "<script" not in picture.svg and 'href="http' not in picture.svg
    assert len(picture.caption) > 50 and picture.caption in picture._repr_html_()
    assert re.search(r"<svg [^>]*max-width: 100%", picture.svg)


def test_scaling_is_told_in_numbers():
    assert str(plot_scaling(UP_AND_DOWN, 50)) == "Autoscaling over 41 s: highest use 210 % at a target of 50 %; from 1 pods to 3, then 1."


def test_an_autoscaler_that_has_measured_nothing_is_not_drawn():
    with pytest.raises(LabError, match="nothing to draw"):
        plot_scaling(UP_AND_DOWN.iloc[:1], 50)


def test_check_4_judges_what_the_autoscaler_did(capsys):
    check("02.4", UP_AND_DOWN, target=50)
    assert "at 210 % it went up, to 3 pods; at 5 % it was down to 1" in capsys.readouterr().out
    for sentence, seen in {
        "the number of pods has not grown": UP_AND_DOWN.iloc[:2],
        "there are 3 pods still": UP_AND_DOWN.iloc[:4],
        "it grew while use was no higher than the target": UP_AND_DOWN.assign(utilization=40.0),
        "it shrank while use was above the target": UP_AND_DOWN.assign(utilization=140.0),
    }.items():
        with pytest.raises(CheckError, match=sentence):
            check("02.4", seen, target=50)


def test_both_chapters_have_a_check_for_each_step():
    assert numbers("01") == [f"01.{step}" for step in range(1, 7)]
    assert numbers("02") == [f"02.{step}" for step in range(1, 6)]
