"""Chapter 01 without a cluster: its drawings, whose packets the eavesdropper has read, and where it has to be for that."""

import json
import re
from queue import SimpleQueue
from random import random

import pytest
from kubernetes.client import ApiException

from lab_helpers.chapters.c01_service_mesh import draw_services
from lab_helpers.core.errors import TrafficError
from lab_helpers.kube.kinds import DEPLOYMENT, POD, SERVICE
from lab_helpers.lab.asking import identity, wire
from lab_helpers.show.checks import numbers
from tests.objects import Cluster, named, pod


def test_the_drawings_differ_by_the_proxies_and_by_what_the_questions_have_shown():
    asked, told = ([draw_services(proxies, answered) for proxies in (False, True)] for answered in (False, True))
    assert [picture.svg.count(">proxy<") for picture in (*asked, *told)] == [0, 4, 0, 4]
    assert [">istiod<" in picture.svg for picture in (*asked, *told)] == [False, True, False, True]
    assert all(">?<" in picture.svg and "plain text" not in picture.svg for picture in asked)
    assert not any(word in f"{picture.svg}{picture.caption}" for picture in asked for word in (">200<", ">403<", "gets 200", "encrypted"))
    assert ">200<" in told[0].svg and "plain text" in told[0].svg and ">403<" in told[1].svg and "plain text" not in told[1].svg


@pytest.mark.parametrize("picture", [draw_services(proxies, answered) for proxies in (False, True) for answered in (False, True)])
def test_a_drawing_takes_the_colour_of_the_page_and_says_what_it_shows(picture):
    assert "currentColor" in picture.svg and "<script" not in picture.svg and 'href="http' not in picture.svg
    assert len(picture.caption) > 50 and picture.caption in picture._repr_html_()
    assert re.search(r"<svg [^>]*max-width: 100%", picture.svg)


def packet(source, destination, sequence=1, text="GET"):
    return json.dumps({"source": source, "destination": destination, "sequence": sequence, "bytes": 3, "legible": True, "text": text})


def test_the_eavesdropper_s_packets_have_names_and_strangers_and_other_times_are_left_out(monkeypatch):
    marks = SimpleQueue()

    def mark(lab, pod):
        marks.put(made := f"<{random()}>")
        return made

    def lines(lab, watch, pod):
        packets = [("10.0.0.1", "10.1.0.9", 1), ("10.0.0.1", "10.0.0.2", 1), ("10.0.0.1", "10.9.9.9", 2), ("10.0.0.9", "10.0.0.1", 3)]
        said = [packet(*each) for each in packets]
        yield from [said[0], begin := packet("127.0.0.1", "127.0.0.1", text=marks.get()), begin, *said, packet("10.0.0.1", "10.0.0.2", 4)]
        yield from [marks.get(), said[0]]

    monkeypatch.setattr(wire, "_mark", mark)
    monkeypatch.setattr(wire, "_lines", lines)
    own = pod("client-1-a", status={"podIP": "10.0.0.1"}, app="client", version="v1")
    called = pod("productpage-1-a", status={"podIP": "10.0.0.2"}, app="productpage", version="v1")
    starting, hosted = pod("web-1-a"), pod("host-1-a", spec={"hostNetwork": True}, status={"podIP": "10.0.0.9"})
    service = named("details", spec={"clusterIP": "10.1.0.9"})
    ran = []
    lab = Cluster({POD: [own, called, starting, hosted, pod("eavesdropper-1-a", app="eavesdropper")], SERVICE: [service]}, ran.append)
    heard = wire.overhear(lab, "curl something", lambda: ran.append("something else"))
    assert ran == ["curl something", "something else"]
    # What was heard twice, before and after its address was changed, is there once.
    assert heard[["source", "destination"]].to_numpy().tolist() == [["client-v1", "details"], ["client-v1", "productpage-v1"]]

    def gone(lab, watch, pod):
        raise ApiException(404)

    monkeypatch.setattr(wire, "_lines", gone)
    with pytest.raises(TrafficError, match=r"log of eavesdropper-1-a cannot be read \(404\)"):
        wire.overhear(lab)
    monkeypatch.setattr(wire, "_lines", lambda lab, watch, pod: iter([]))
    with pytest.raises(TrafficError, match="log of eavesdropper-1-a has ended"):
        wire.overhear(lab)
    with pytest.raises(TrafficError, match="Nobody eavesdrops in namespace default"):
        wire.overhear(Cluster({}))


def three_nodes(eavesdropper):
    """The pods of a cluster of three nodes, as the API server lists them: client, productpage, ratings apart; the eavesdropper anywhere."""
    places = {"client": "controlplane", "productpage": "worker-2", "ratings": "worker-1", "eavesdropper": eavesdropper}
    return [
        pod(f"{app}-1-a", spec={"nodeName": node}, status={"podIP": f"10.244.{at}.7"}, app=app)
        for at, (app, node) in enumerate(places.items())
    ]


@pytest.mark.parametrize("start", ["controlplane", "worker-1", "worker-2"])
@pytest.mark.parametrize(("at", "node"), [("productpage", "worker-2"), ("ratings", "worker-1")])
def test_on_three_nodes_the_eavesdropper_is_moved_to_where_the_call_arrives(monkeypatch, start, at, node):
    lab = Cluster({POD: three_nodes(start)})
    moved = []

    def patch(kind, name, change):
        moved.append((kind, name, change["spec"]["template"]["spec"]["nodeName"]))
        lab.objects[POD] = three_nodes(moved[-1][-1])

    lab.patch = patch
    monkeypatch.setattr(wire.rollout, "complete", lambda client, names: None)
    assert wire._eavesdropper(lab, at) == "eavesdropper-1-a"
    assert moved == ([] if start == node else [(DEPLOYMENT, "eavesdropper", node)])
    with pytest.raises(TrafficError, match="no ready pod 'ghost' in namespace default"):
        wire._eavesdropper(lab, "ghost")


CLUSTERS = {
    "configs": [
        {"cluster": {"name": "outbound|9080||details", "transport_socket_matches": [{"transport_socket": {"typed_config": {
            "common_tls_context": {"combined_validation_context": {"default_validation_context": {
                "match_subject_alt_names": [{"exact": "spiffe://b"}, {"exact": "spiffe://a"}]}}}}}}, {"name": "tlsMode-disabled"}]}},
        {"cluster": {"name": "outbound|9080|v1|details", "transport_socket_matches": []}},
    ]
}  # fmt: skip


def test_whom_a_proxy_accepts_is_read_from_its_clusters(monkeypatch):
    asked = []

    def get_json(client, namespace, pod, port, path):
        asked.append(path)
        return CLUSTERS if "details" in path else {}

    monkeypatch.setattr(identity.channels, "get_json", get_json)
    meshed = pod("client-1-a", spec={"containers": [{"name": "client"}, {"name": "istio-proxy"}]}, app="client")
    lab = Cluster({POD: [meshed, pod("plain-client-1-a", app="plain-client")]})
    assert identity.accepted(lab, "client", "details") == ["spiffe://a", "spiffe://b"]
    assert "[.]default[.]" in asked[0]
    with pytest.raises(TrafficError, match="knows no service 'ghost'"):
        identity.accepted(lab, "client", "ghost")
    for caller in ("plain-client", "nobody"):
        with pytest.raises(TrafficError, match="no ready pod .* with a proxy"):
            identity.accepted(lab, caller, "details")


def test_the_chapter_has_a_check_for_each_step():
    assert numbers("01") == [f"01.{step}" for step in range(1, 7)]
