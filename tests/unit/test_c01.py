"""Chapter 01 without a cluster: its two drawings, and whose packets the eavesdropper has read."""

import json
import re

import pytest

from lab_helpers.chapters.c01_service_mesh import draw_services, wire
from lab_helpers.core.errors import TrafficError
from lab_helpers.kube.client import Answer
from lab_helpers.kube.kinds import POD, SERVICE
from lab_helpers.show.checks import numbers
from tests.objects import Cluster, named, pod


def test_the_two_drawings_differ_by_the_proxies_the_locks_and_the_verdict():
    without, with_proxies = draw_services(proxies=False), draw_services(proxies=True)
    assert [picture.svg.count(">proxy<") for picture in (without, with_proxies)] == [0, 4]
    assert ">200<" in without.svg and ">403<" not in without.svg and "plain text" in without.svg
    assert ">403<" in with_proxies.svg and ">200<" not in with_proxies.svg and "plain text" not in with_proxies.svg
    assert ">istiod<" in with_proxies.svg and ">istiod<" not in without.svg


@pytest.mark.parametrize("picture", [draw_services(False), draw_services(True)])
def test_a_drawing_takes_the_colour_of_the_page_and_says_what_it_shows(picture):
    assert "currentColor" in picture.svg and "<script" not in picture.svg and 'href="http' not in picture.svg
    assert len(picture.caption) > 50 and picture.caption in picture._repr_html_()
    assert re.search(r"<svg [^>]*max-width: 100%", picture.svg)


def test_the_eavesdropper_s_packets_have_names_and_strangers_and_other_times_are_left_out(monkeypatch):
    marks = []
    monkeypatch.setattr(wire, "_mark", lambda lab, pod, text: marks.append(text))

    def log(path, params):
        assert path == "/api/v1/namespaces/default/pods/eavesdropper-1-a/log"
        packets = [("10.0.0.1", "10.1.0.9"), ("10.0.0.1", "10.9.9.9"), ("10.0.0.9", "10.0.0.1")]
        said = [json.dumps({"source": a, "destination": b, "bytes": 3, "legible": True, "text": "GET"}) for a, b in packets]
        lines = [said[0], f"<{marks[0]}>", *said, f"<{marks[1]}>" if len(marks) > 1 else "", said[0]]
        return Answer(200, {}, "\n".join(lines).encode())

    own = pod("client-1-a", status={"podIP": "10.0.0.1"}, app="client", version="v1")
    starting, hosted = pod("web-1-a"), pod("host-1-a", spec={"hostNetwork": True}, status={"podIP": "10.0.0.9"})
    service = named("details", spec={"clusterIP": "10.1.0.9"})
    ran = []
    lab = Cluster({POD: [own, starting, hosted, pod("eavesdropper-1-a", app="eavesdropper")], SERVICE: [service]}, ran.append, log)
    heard = wire.overhear(lab, "curl something")
    assert ran == ["curl something"] and list(heard[["source", "destination"]].itertuples(index=False, name=None)) == [
        ("client-v1", "details")
    ]

    lab.raw = lambda path, params: Answer(404, {}, b'pods "eavesdropper-1-a" not found')
    with pytest.raises(TrafficError, match=r"log of eavesdropper-1-a cannot be read \(404\)"):
        wire.overhear(lab)
    with pytest.raises(TrafficError, match="Nobody eavesdrops in namespace default"):
        wire.overhear(Cluster({}))


def test_the_chapter_has_a_check_for_each_step():
    assert numbers("01") == [f"01.{step}" for step in range(1, 7)]
