"""Chapter 11 without a mesh: what is read of a proxy, who met which version, and its checks on right and wrong answers."""

import pandas as pd
import pytest

from lab_helpers.chapters.c11_destination_rule import READERS, check, cookie_of, known, met, readers, scale
from lab_helpers.chapters.c11_destination_rule.checks import HALVES, ONE_FAVOURED, POWER, THIRDS, UNEVEN
from lab_helpers.chapters.c11_destination_rule.modes import compared
from lab_helpers.core.errors import LabError, TrafficError
from lab_helpers.core.statistics import power, required_n
from lab_helpers.kube.channels import Done
from lab_helpers.kube.commands import Output
from lab_helpers.kube.kinds import DEPLOYMENT, POD, SERVICE
from tests.objects import Cluster, named, pod
from tests.wrong_answers import fails

# What a proxy knows.


def host(address, health="HEALTHY"):
    return {"address": {"socket_address": {"address": address}}, "health_status": {"eds_health_status": health}}


def cluster(name, *hosts):
    return {"name": name, "host_statuses": list(hosts)}


CLUSTER = "outbound|9080|{}|reviews.default.svc.cluster.local"
RULE = {"istio": {"config": "/apis/networking.istio.io/v1/namespaces/default/destination-rule/reviews"}}


@pytest.fixture
def lab(monkeypatch):
    """A client whose proxy knows two clusters of reviews, one of another namespace's, and one that it has not warmed yet."""
    there = [pod("client-1", app="client", version="v1", status={"podIP": "10.0.0.1"})]
    there += [pod(f"reviews-{v}", app="reviews", version=v, status={"podIP": f"10.0.0.{v[1]}0"}) for v in ("v1", "v2")]
    for each in there:
        each["status"]["conditions"] = [{"type": "Ready", "status": "True"}]
    seen = [
        cluster(CLUSTER.format("v1"), host("10.0.0.10")),
        cluster(CLUSTER.format(""), host("10.0.0.20"), host("10.0.0.10"), host("10.0.0.99", "UNHEALTHY")),
        cluster("outbound|9080||reviews.other.svc.cluster.local", host("10.0.0.10")),
        cluster(CLUSTER.format("v9")),
        cluster("inbound|9080||"),
    ]
    settings = {
        CLUSTER.format(""): {"connect_timeout": "10s", "lb_policy": "LEAST_REQUEST"},
        CLUSTER.format("v1"): {"connect_timeout": "3s", "metadata": {"filter_metadata": RULE}},
    }
    dump = {"configs": [{"cluster": {"name": name, **rest}} for name, rest in settings.items()] + [{}]}
    monkeypatch.setattr(known.envoy, "clusters", lambda *_: seen)
    answers = {known.DUMP: dump, "/server_info": {"command_line_options": {"concurrency": 2}}}
    monkeypatch.setattr(known.channels, "get_json", lambda client, namespace, name, port, path: answers[path])
    return Cluster({POD: there, SERVICE: [named("reviews")]})


def test_a_cluster_has_its_policy_its_pods_and_the_rule_in_force(lab):
    table = known.clusters(lab, "reviews")
    assert list(table.columns) == known.COLUMNS
    assert table.values.tolist() == [
        [9080, "", "LEAST_REQUEST", "10s", "reviews-v1, reviews-v2", ""],
        [9080, "v1", "ROUND_ROBIN", "3s", "reviews-v1", "reviews.default"],
    ]
    assert known.workers(lab, "client") == 2


def test_who_asks_for_what_is_not_there_is_told(lab):
    with pytest.raises(TrafficError, match="has no Service 'review'"):
        known.clusters(lab, "review")
    with pytest.raises(TrafficError, match="no ready pod 'nobody'"):
        known.clusters(lab, "reviews", client="nobody")
    for wrong, sentence in ((-1, "-1 pods cannot be had"), (True, "True pods"), ("2", "'2' pods")):
        with pytest.raises(LabError, match=sentence):
            scale(lab, "reviews-v3", wrong)
    with pytest.raises(LabError, match="no Deployment 'reviews'"):
        scale(Cluster({DEPLOYMENT: [named("reviews-v3")]}), "reviews", 1)


def test_a_rule_is_read_from_what_istiod_notes():
    assert known.rule_of({"metadata": {"filter_metadata": RULE}}) == "reviews.default"
    assert known.rule_of({}) == known.rule_of({"metadata": {"filter_metadata": {"istio": {"services": []}}}}) == ""


# What readers meet.


def visits(versions):
    """By reader, the versions that he met, as ``"1212"``."""
    rows = [(reader, f"v{each}", 200, 9.0, f"reviews-v{each}-x") for reader, seen in versions.items() for each in seen]
    return pd.DataFrame(rows, columns=["reader", "version", "status", "latency_ms", "pod"])


PRINTED = """{"filename_effective": "ann.1", "http_code": 200, "time_total": 0.009, "url": "http://reviews:9080/reviews/0#1"}
{"filename_effective": "ann.2", "http_code": 200, "time_total": 0.008, "url": "http://reviews:9080/reviews/0#2"}
{"filename_effective": "ben-1.1", "http_code": 503, "time_total": 0.001, "url": "http://reviews:9080/?b#1"}

./ann.1:"podname": "reviews-v1-x"
./ann.2:"podname":"reviews-v2-y"
"""


def test_each_reader_asks_by_what_he_is_known(lab, monkeypatch):
    asked = []

    def execute(client, pod, container, command, deadline):
        asked.append(command[-1])
        return Done(PRINTED, "", 0)

    monkeypatch.setattr(readers.channels, "execute", execute)
    monkeypatch.setattr(readers.gateway, "versions", lambda lab: {"reviews-v1-x": "v1", "reviews-v2-y": "v2"})
    lab.objects[SERVICE][0]["spec"] = {"ports": [{"port": 9080}]}
    table = readers.by_reader(lab, {"ann": {"headers": {"end-user": "ann"}}, "ben-1": {"path": "/?b"}}, n=2)
    first, second = asked[0].split("\nnext\n")
    assert 'url = "http://reviews:9080/reviews/0#[1-2]"' in first and 'header = "end-user: ann"' in first
    assert 'url = "http://reviews:9080/?b#[1-2]"' in second and "header" not in second
    assert table.astype(object).where(table.notna(), None).values.tolist() == [
        ["ann", "v1", 200, 9.0, "reviews-v1-x"],
        ["ann", "v2", 200, 8.0, "reviews-v2-y"],
        ["ben-1", None, 503, 1.0, None],
    ]


def test_readers_who_cannot_ask_are_told_so(lab):
    for wrong, n, sentence in (({}, 4, "0 readers"), ({"a": {}}, 0, "1 readers with 0"), ({"a/b": {}}, 1, "cannot be called 'a/b'")):
        with pytest.raises(TrafficError, match=sentence):
            readers.by_reader(lab, wrong, n=n)
    lab.objects[SERVICE][0]["spec"] = {"ports": [{"port": 9080}]}
    with pytest.raises(TrafficError, match="cannot be the name of a header"):
        readers.by_reader(lab, {"ann": {"headers": {"end user": "ann"}}})
    lab.objects[POD] = []
    with pytest.raises(TrafficError, match="no ready pod 'client'"):
        readers.by_reader(lab, {"ann": {}})


def test_readers_are_put_together_by_what_they_met():
    table = met(visits({"ann": "111", "ben": "121", "cleo": "11"}))
    assert table.to_dict("index") == {"v1": {"readers": 2, "who": "ann, cleo"}, "v1, v2": {"readers": 1, "who": "ben"}}
    assert met(visits({})).empty


def test_a_cookie_is_sent_back_as_it_was_set():
    answer = Output("curl", 'HTTP/1.1 200 OK\r\nset-cookie: reader="5f"; Max-Age=3600; HttpOnly\r\n\r\n{}')
    assert cookie_of(answer) == "reader=5f"
    with pytest.raises(LabError, match="sets no cookie"):
        cookie_of(Output("curl", "HTTP/1.1 200 OK\r\n\r\nset-cookies: a=b"))


def test_modes_are_compared_side_by_side():
    some = pd.DataFrame({"version": ["v1", "v3", None], "status": [200, 200, 503], "latency_ms": [10.0, 20.0, 30.0]})
    table = compared({"A": some, "B": some.assign(version="v2", status=200)})
    assert table.loc["A"].to_dict() == {"v1": 1, "v2": 0, "v3": 1, "failed": 1, "mean ms": 20, "p95 ms": 29}
    assert table.loc["B", "v2"] == 3 and table.loc["B", "failed"] == 0


# Judged.

TURN = ("123" * 60)[:180]
N = required_n(THIRDS, ONE_FAVOURED, wanted_power=POWER)


def seen(order, status=200, **columns):
    table = pd.DataFrame({"version": [f"v{each}" for each in order], "status": status})
    return table.assign(**columns)


def shuffled(v1, v2, v3, **columns):
    table = seen("1" * v1 + "2" * v2 + "3" * v3, **columns)
    return table.sample(frac=1, random_state=1, ignore_index=True)


def clusters(*rows, port=9080, policy="LEAST_REQUEST", timeout="10s", rule=""):
    table = pd.DataFrame([(port, subset, policy, timeout, behind, rule) for subset, behind in rows], columns=known.COLUMNS)
    return table.astype({"subset": object})


def told(*rows):
    return pd.DataFrame(rows, columns=["response_code", "response_flags", "requests"])


def busy(round_robin=(140, 130, 130), chance=(130, 135, 135), least=(190, 180, 30), slow=210.0):
    parts = []
    for mode, counts in (("ROUND_ROBIN", round_robin), ("RANDOM", chance), ("LEAST_REQUEST", least)):
        part = shuffled(*counts, mode=mode)
        parts.append(part.assign(latency_ms=part["version"].map({"v1": 5.0, "v2": 9.0, "v3": slow})))
    return pd.concat(parts, ignore_index=True)


def levels(**changed):
    rows = {
        (9080, ""): ("RANDOM", "3s"), (9080, "plain"): ("RANDOM", "3s"), (9080, "turns"): ("ROUND_ROBIN", "3s"),
        (9081, ""): ("RING_HASH", "10s"), (9081, "plain"): ("RING_HASH", "10s"), (9081, "turns"): ("ROUND_ROBIN", "10s"),
    }  # fmt: skip
    rows.update(changed.get("rows", {}))
    table = [(port, subset, *rest, "reviews-v1", "shelf.default") for (port, subset), rest in rows.items() if rest]
    return pd.DataFrame(table, columns=known.COLUMNS)


def secured(*rows):
    return pd.DataFrame(rows, columns=["connection_security_policy", "requests"])


NAMES = [("", "reviews-v1, reviews-v2, reviews-v3"), ("v1", "reviews-v1"), ("v2", "reviews-v2"), ("v3", "reviews-v3")]
UNDEFINED, EMPTY = told(("503", "NC", 20)), told(("503", "UH", 20))
STAYED = {name: "1231"[number % 3] * 4 for number, name in enumerate(READERS)}
SHARED = {name: "1122121221" for name in READERS}
NOWHERE, BESIDE = clusters(*NAMES[:1]), clusters(*NAMES[:1], rule="everything.default")
CHANCE = shuffled(60, 58, 62)


@pytest.mark.parametrize(
    ("number", "state"),
    [
        ("11.1", [clusters(*NAMES)]),
        ("11.2", [UNDEFINED, EMPTY, ("NC", "UH")]),
        ("11.3", [seen(TURN), CHANCE]),
        ("11.4", [busy(), "LEAST_REQUEST"]),
        ("11.5", [visits(STAYED)]),
        ("11.6", [visits(SHARED)]),
        ("11.7", [levels(), 9081]),
        ("11.8", [NOWHERE, BESIDE, secured(("none", 20))]),
    ],
)
def test_a_check_passes_on_the_right_answer(number, state, capsys):
    check(number, *state)
    assert capsys.readouterr().out.startswith(f"✔ {number} ")


@pytest.mark.parametrize(
    ("number", "state", "sentence"),
    [
        ("11.1", [clusters(NAMES[0])], "knows no subset of reviews"),
        ("11.1", [clusters(*NAMES[:3])], "no subset is called v3"),
        ("11.1", [clusters(*NAMES[:3], ("v3", ""))], "subset v3 has no pod"),
        ("11.1", [clusters(*NAMES[:2], ("v2", "reviews-v1"), NAMES[3])], "subset v2 leads to reviews-v1"),
        ("11.1", [clusters(*NAMES[:3], ("v3", "reviews-v1, reviews-v2, reviews-v3"))], "subset v3 leads to reviews-v1, reviews-v2"),
        ("11.2", [UNDEFINED, EMPTY, ("UH", "NC")], "it is another flag"),
        ("11.2", [UNDEFINED, EMPTY, ("NC", "NR")], "it is another flag"),
        ("11.2", [UNDEFINED, UNDEFINED, ("NC", "NC")], "both tables have the flag NC"),
        ("11.2", [told(("200", "-", 20)), EMPTY, ("NC", "UH")], "no request to a subset that nobody defines was answered 503"),
        ("11.2", [UNDEFINED, told(("503", "UH", 20), ("200", "-", 1)), ("NC", "UH")], "not every request to a subset that no pod"),
        ("11.2", [UNDEFINED, told(("503", "UH", 9), ("503", "NC", 11)), ("NC", "UH")], "several flags: NC, UH"),
        ("11.3", [CHANCE, seen(TURN)], "under ROUND_ROBIN the versions did not have their turns"),
        ("11.3", [seen(TURN), seen(TURN)], "under RANDOM the versions had their turns"),
        ("11.3", [seen(TURN[: N - 1]), CHANCE], f"{N - 1} requests under ROUND_ROBIN are too few to tell"),
        ("11.3", [seen(TURN), shuffled(108, 36, 36)], "under RANDOM the versions did not get a third each"),
        ("11.3", [seen(TURN), seen("1" * 100 + "2" * 100)], "under RANDOM the versions"),
        ("11.3", [seen(TURN, status=503), CHANCE], "180 of 180 requests under ROUND_ROBIN got no review, the first with status 503"),
        ("11.4", [busy(), "RANDOM"], "RANDOM did not spare it"),
        ("11.4", [busy(), "ROUND_ROBIN"], "ROUND_ROBIN did not spare it"),
        ("11.4", [busy(least=(135, 135, 130)), "LEAST_REQUEST"], "under LEAST_REQUEST the slow pod got its third"),
        ("11.4", [busy(round_robin=(190, 180, 30)), "LEAST_REQUEST"], "under ROUND_ROBIN the versions did not get a third each"),
        ("11.4", [busy(slow=12.0), "LEAST_REQUEST"], "v3 was not slow under ROUND_ROBIN"),
        ("11.4", [busy().query("mode != 'RANDOM'"), "LEAST_REQUEST"], "nothing was sent under RANDOM"),
        ("11.4", [busy(chance=(20, 20, 20)), "LEAST_REQUEST"], "60 requests under RANDOM are too few"),
        ("11.5", [visits({**STAYED, "mia": "1121"})], "mia met 2 versions"),
        ("11.5", [visits(dict.fromkeys(READERS, "222"))], "all of them met v2"),
        ("11.5", [visits(dict.fromkeys(READERS[:15], "222"))], "15 readers, each with 3 requests or more"),
        ("11.5", [visits({**STAYED, "mia": "11"})], "20 readers, each with 2 requests or more"),
        ("11.5", [visits({})], "0 readers"),
        ("11.5", [visits(STAYED).assign(status=503)], "80 of 80 requests of the readers got no review"),
        ("11.6", [visits({name: "12"[number % 2] * 10 for number, name in enumerate(READERS)})], "no reader met both versions"),
        ("11.6", [visits(dict.fromkeys(READERS, "1112111211"))], "the versions did not get half each"),
        ("11.6", [visits({**SHARED, "mia": "1132121221"})], "v3 answered, too"),
        ("11.6", [visits(dict.fromkeys(READERS, "1212"))], "80 requests are too few to tell"),
        ("11.7", [levels(), 9080], "at port 9080 it holds"),
        ("11.7", [levels(rows={(9081, "turns"): None}), 9081], "no cluster for subset turns at port 9081"),
        ("11.7", [levels(rows={(9080, ""): ("LEAST_REQUEST", "3s")}), 9081], "port 9080 has the policy LEAST_REQUEST"),
        ("11.7", [clusters(*NAMES), 9081], "port 9080 has the policy|no cluster for"),
        (
            "11.7",
            [levels().assign(connect_timeout="3s"), 9081],
            "the timeout of the host holds at every port, or at none",
        ),
        ("11.8", [BESIDE, BESIDE, secured(("none", 20))], "everything.default is in force there already"),
        ("11.8", [NOWHERE, NOWHERE, secured(("none", 20))], "the rule everything is not in force beside the caller either"),
        ("11.8", [NOWHERE, BESIDE, secured(("mutual_tls", 20))], "mutual TLS was still spoken"),
        ("11.8", [NOWHERE, BESIDE, secured(("none", 10), ("mutual_tls", 10))], "mutual TLS was still spoken"),
        ("11.8", [NOWHERE, BESIDE, secured()], "no server proxy has counted a request"),
        ("11.8", [NOWHERE.iloc[:0], BESIDE, secured(("none", 20))], "one of the tables of clusters is empty"),
    ],
)
def test_a_check_fails_on_a_wrong_answer_and_says_why(number, state, sentence):
    fails(number, *state, sentence=sentence)


@pytest.mark.parametrize(("right", "fault"), [(THIRDS, ONE_FAVOURED), (HALVES, UNEVEN)])
def test_so_many_requests_keep_the_promise(right, fault):
    n = required_n(right, fault, wanted_power=POWER)
    assert power(n, right, right) <= 1e-5 and 1 - power(n, right, fault) <= 1 / 200


def test_readers_are_so_many_that_chance_does_not_send_all_to_one_pod():
    """A ring of some thousand places gives a pod of three 0.4 of them at most; sixteen readers are what the check asks for."""
    assert 3 * 0.4**16 < 1e-5 and len(set(READERS)) == 20
