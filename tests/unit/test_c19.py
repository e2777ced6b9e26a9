"""Chapter 19 without a mesh: its checks on right and wrong answers, what is asked and drawn, and when a policy needs a word."""

import itertools

import pandas as pd
import pytest

from lab_helpers.chapters.c19_access_control import asking, checks, doors, reasons
from lab_helpers.chapters.c19_access_control.checks import NEEDED, PAST, REFUSED
from lab_helpers.core.errors import MeshError, TrafficError
from lab_helpers.istio.analysis import policies
from lab_helpers.istio.apply import load_for
from lab_helpers.kube.apply import Outcome
from lab_helpers.kube.channels import Done
from lab_helpers.kube.kinds import POD, Kind
from lab_helpers.show.checks import check
from lab_helpers.traffic import pages
from tests.objects import Cluster, pod
from tests.wrong_answers import fails

POLICY = Kind("security.istio.io/v1", "AuthorizationPolicy")


def heard(*rows):
    return pd.DataFrame(rows, columns=["destination_workload", "response_code", "requests"])


def asked(*rows):
    return pd.DataFrame(rows, columns=asking.COLUMNS)


def three_services(*statuses):
    questions = [(service, method) for service in ("details", "reviews", "ratings") for method in ("GET", "DELETE")]
    return asked(*(("client", *each, f"/{each[0]}/0", status) for each, status in zip(questions, statuses, strict=True)))


def six(*statuses):
    rows = (("a reader", "gateway"), ("client", "productpage"))
    questions = itertools.product(rows, (("GET", "/productpage"), ("POST", "/login"), ("DELETE", "/productpage")))
    return asked(*((*who, *what, status) for (who, what), status in zip(questions, statuses, strict=True)))


def details(**statuses):
    paths = {"plain": "/details/0", "slashes": "//details/0", "health": "/health"}
    return asked(*(("client", "details", "GET", paths[name], status) for name, status in statuses.items()))


EMPTIES = three_services(200, 403, 200, 405, 403, 403)
LEFT = {"details": "as before", "reviews": "everything", "ratings": "nothing"}
DASH, RULE = six(200, 302, 405, 200, 403, 403), six(200, 403, 403, 403, 403, 403)
PAST_DENY, LISTED = details(plain=403, slashes=200), details(plain=403, slashes=403, health=200)
TRAFFIC = asked(*[("client", "details", method, "/details/0", 200) for method in ["HEAD"] * 8 + ["GET"] * 12]).assign(
    details=[""] * 8 + ["via_upstream"] * 12
)
TRIED = {"allowed": 20, "denied": 0, "shadow_allowed": 12, "shadow_denied": 8}


@pytest.mark.parametrize(
    ("number", "state", "answers"),
    [
        ("19.1", [heard(("productpage-v1", "403", 12))], {"answer": "productpage-v1"}),
        ("19.4", [EMPTIES], {"answer": LEFT}),
        ("19.5", [DASH, RULE], {}),
        ("19.6", [PAST_DENY, LISTED], {"answer": "ALLOW"}),
        ("19.7", [TRAFFIC, TRIED], {"answer": "shadow_denied"}),
    ],
)
def test_a_check_passes_on_the_right_answer(number, state, answers, capsys):
    check(number, *state, **answers)
    assert capsys.readouterr().out.startswith(f"✔ {number} ")


@pytest.mark.parametrize(
    ("number", "state", "answers", "sentence"),
    [
        ("19.1", [heard(("productpage-v1", "403", 12))], {"answer": "istio-ingressgateway"}, "istio-ingressgateway has counted no request"),
        ("19.1", [heard(("productpage-v1", "403", 12))], {"answer": "details-v1"}, "details-v1 has counted no request"),
        ("19.1", [heard(("productpage-v1", "200", 12))], {"answer": "productpage-v1"}, "no proxy has counted a 403"),
        (
            "19.1", [heard(("productpage-v1", "403", 12), ("details-v1", "200", 1))], {"answer": "productpage-v1"},
            "details-v1 has answered as well",
        ),
        ("19.4", [EMPTIES], {"answer": {**LEFT, "details": "nothing"}}, "details is not left 'nothing': GET is answered 200, DELETE 403"),
        ("19.4", [EMPTIES], {"answer": {**LEFT, "ratings": "as before"}}, "ratings is not left 'as before'"),
        ("19.4", [EMPTIES], {"answer": {**LEFT, "reviews": "as before"}}, "reviews is not left 'as before'"),
        ("19.4", [EMPTIES], {"answer": {"details": "as before"}}, "reviews is said to be left None"),
        ("19.4", [EMPTIES.head(2)], {"answer": LEFT}, "nobody has asked reviews by GET"),
        ("19.5", [DASH, DASH], {}, "with the second policy, a reader, POST /login: 302"),
        ("19.5", [DASH, six(403, 403, 403, 403, 403, 403)], {}, "with the second policy, a reader, GET /productpage: 403"),
        ("19.5", [DASH, six(200, 403, 403, 200, 403, 403)], {}, "with the second policy, client, GET /productpage: 200"),
        ("19.5", [RULE, RULE], {}, "with the first policy, one of its halves was not enough"),
        ("19.5", [DASH, RULE.head(3)], {}, "the second table is not one of both_ways"),
        ("19.6", [PAST_DENY, LISTED], {"answer": "DENY"}, "'DENY' is not the action"),
        ("19.6", [details(plain=403, slashes=403), LISTED], {"answer": "ALLOW"}, "none of the spellings has come through"),
        ("19.6", [details(plain=200, slashes=200), LISTED], {"answer": "ALLOW"}, "every one of the spellings has come through"),
        ("19.6", [PAST_DENY, details(plain=403, slashes=200, health=200)], {"answer": "ALLOW"}, "//details/0 is answered 200"),
        ("19.6", [PAST_DENY, details(plain=403, slashes=403, health=403)], {"answer": "ALLOW"}, "/health is not answered 200"),
        ("19.7", [TRAFFIC, TRIED], {"answer": "denied"}, "'denied' is not the counter of what would have been"),
        ("19.7", [TRAFFIC, TRIED], {"answer": "shadow_allowed"}, "'shadow_allowed' is not the counter"),
        ("19.7", [TRAFFIC.assign(status=403), TRIED], {"answer": "shadow_denied"}, "20 of 20 requests were answered 403"),
        ("19.7", [TRAFFIC.assign(details="x"), TRIED], {"answer": "shadow_denied"}, "20 requests were written down, and 12 were GET"),
        ("19.7", [TRAFFIC, {**TRIED, "shadow_denied": 0}], {"answer": "shadow_denied"}, "has judged 12 requests by it, not 20"),
        ("19.7", [TRAFFIC, {**TRIED, "shadow_allowed": 30}], {"answer": "shadow_denied"}, "has judged 38 requests by it, not 20"),
    ],
)  # fmt: skip
def test_a_check_fails_on_a_wrong_answer_and_says_why(number, state, answers, sentence):
    fails(number, *state, sentence=sentence, **answers)


@pytest.fixture
def answering(monkeypatch):
    """A mesh of made-up answers: by question, each 200 where nothing else is said."""
    statuses: dict[str, int] = {}

    def ask(lab, caller, *questions):
        read = [asking.QUESTION.fullmatch(each) for each in questions]
        told = [statuses.get(each, statuses.get(caller, 200)) for each in questions]
        return asked(*((caller, each[3] or "gateway", each[1], each[5], status) for each, status in zip(read, told, strict=True)))

    monkeypatch.setattr(checks, "ask", ask)
    return statuses


WANTED = ["GET /productpage", "GET /login", "POST /login"]


@pytest.mark.parametrize(
    ("statuses", "answer", "sentence"),
    [
        ({"GET /login": 403}, {"GET /login"}, None),
        ({"GET /login": 403}, {"GET /login", "POST /login"}, "POST /login comes through: 200"),
        ({"GET /login": 403, "POST /login": 403}, {"GET /login"}, "POST /login is turned away: 403"),
        ({"GET /login": 403}, {"/login"}, "'/login' is not among the questions"),
        ({"a reader": 403}, {"GET /login"}, "all of them are answered 403"),
        ({}, {"GET /login"}, "none of them is answered 403"),
    ],
)
def test_what_a_policy_forgets_is_asked_of_the_mesh(statuses, answer, sentence, answering, capsys):
    answering.update(statuses)
    if sentence:
        fails("19.2", Cluster({}), WANTED, sentence=sentence, answer=answer)
    else:
        check("19.2", Cluster({}), WANTED, answer)
        assert capsys.readouterr().out.startswith("✔ 19.2 ")


def read(*rows):
    many = [(status, 30.0, version, ratings, there) for version, ratings, there, number, status in rows for _ in range(number)]
    return pd.DataFrame(many, columns=pages.COLUMNS)


WHOLE = read(("v1", "none", True, 10, 200), ("v2", "stars", True, 10, 200), ("v3", "stars", True, 10, 200))


@pytest.mark.parametrize(
    ("found", "post", "sentence"),
    [
        (WHOLE, 403, None),
        (WHOLE, 405, "POST to productpage, details, reviews, ratings is answered 405, not 403"),
        (WHOLE.assign(status=403), 403, "30 of 30 pages have the status 403"),
        (WHOLE.assign(details=False), 403, "what details gives is missing on pages"),
        (WHOLE.assign(version=None, ratings="none"), 403, "what reviews gives is missing on pages"),
        (WHOLE.assign(ratings="unavailable"), 403, "what ratings gives is missing on pages"),
    ],
)
def test_a_page_is_whole_and_no_more_is_open(found, post, sentence, answering, monkeypatch, capsys):
    monkeypatch.setattr(pages, "read", lambda lab, n: found)
    answering["client"] = post
    if sentence:
        fails("19.3", Cluster({}), sentence=sentence)
    else:
        check("19.3", Cluster({}))
        assert capsys.readouterr().out.startswith("✔ 19.3 ")


@pytest.mark.parametrize(
    ("statuses", "sentence"),
    [
        ({}, None),
        ({"HEAD /productpage": 403}, "a reader's HEAD /productpage is answered 403"),
        ({"GET /api/v1/products/0/ratings": 403}, "a reader's GET /api/v1/products/0/ratings is answered 403"),
        ({"DELETE /productpage": 405}, "DELETE /productpage, asked by a reader, is answered 405, not 403"),
        ({"GET http://productpage:9080/": 200}, "GET http://productpage:9080/, asked by client, is answered 200, not 403"),
    ],
)
def test_readers_get_what_they_need_and_nothing_else(statuses, sentence, answering, capsys):
    answering.update(dict.fromkeys([*REFUSED, *PAST], 403) | dict.fromkeys(NEEDED, 200) | statuses)
    if sentence:
        fails("19.8", Cluster({}), sentence=sentence)
    else:
        check("19.8", Cluster({}))
        assert capsys.readouterr().out.startswith("✔ 19.8 ")


# What is asked.


@pytest.mark.parametrize(
    ("caller", "question", "sentence"),
    [
        ("client", "details", "'details' is no question"),
        ("client", "get http://details:9080/", "'get http://details:9080/' is no question"),
        ("client", "GET /details/0", "client cannot ask 'GET /details/0'"),
        ("a reader", "GET http://details:9080/details/0", "a reader cannot ask"),
        ("client", 'GET http://details:9080/a"\nhead', "is no question"),
        ("client", "GET http://details:9080/#a", "is no question"),
        ("nobody", "GET http://details:9080/", "no ready pod 'nobody'"),
        ("a,b=c", "GET http://details:9080/", "no ready pod 'a,b=c'"),
    ],
)
def test_what_is_no_question_gets_a_sentence(caller, question, sentence):
    with pytest.raises(TrafficError, match=sentence) as refused:
        asking.ask(Cluster({}), caller, question)
    assert refused.value.do


def test_no_question_at_all():
    with pytest.raises(TrafficError, match="There is no question"):
        asking.ask(Cluster({}), "client")


def test_one_curl_asks_everything_and_sends_paths_as_they_are_written(monkeypatch):
    sent = []

    def execute(client, name, container, command, deadline):
        sent.append(command[-1])
        return Done("\n#@ 200\n\n#@ 403\n\n#@ 000\n", "", 0)

    monkeypatch.setattr(asking.channels, "execute", execute)
    lab = Cluster({POD: [pod("client-1", app="client")]})
    questions = ("GET http://details:9080//details/../0", "HEAD http://details:9080/a[1]", "POST http://productpage:9080/login")
    found = asking.ask(lab, "client", *questions)
    assert found.status.tolist() == [200, 403, 0] and found.service.tolist() == ["details", "details", "productpage"]
    first, second, third = sent[0].split("\nnext\n")
    assert 'url = "http://details:9080//details/../0"' in first and "path-as-is" in first and 'request = "GET"' in first
    assert "head" in second.splitlines() and "a%5B1]" in second and "request" not in second
    assert 'data = "username=reader"' in third and "data" not in first
    with pytest.raises(TrafficError, match="told of 3 answers to 1 questions"):
        asking.ask(lab, "client", "GET http://details:9080/")


# Why.


class Log:
    """An access log of which another line is written each time that it is read."""

    status = 200
    line = '[2026-01-01T00:00:00.000Z] "GET /details/0?{} HTTP/1.1" 403 - rbac_access_denied_matched_policy[{}] - "-" 0 19\n'

    def __init__(self, *lines):
        self.lines, self.read = lines, 0

    @property
    def text(self):
        self.read += 1
        return "not a line\n" + "".join(self.line.format(*each) for each in self.lines[: self.read])


@pytest.fixture
def log(monkeypatch):
    """A cluster with the log of details, and requests that are asked under the token abc."""
    monkeypatch.setattr(reasons.secrets, "token_hex", lambda length: "abc")
    path = lambda question: question.removeprefix("GET http://details:9080")  # noqa: E731
    told = lambda lab, caller, *questions: asked(*((caller, "details", "GET", path(each), 403) for each in questions))  # noqa: E731
    monkeypatch.setattr(reasons, "ask", told)
    written = Log(("asked=other-0", "none"), ("asked=abc-0", "ns[default]-policy[p]-rule[0]"), ("page=1&asked=abc-2", "none"))
    return Cluster({POD: [pod("details-1", app="details")]}, raw=lambda path, query: written)


def test_the_reason_is_read_from_the_line_of_the_request(log):
    found = reasons.why(log, "client", "GET http://details:9080/details/0", "details")
    assert found == "rbac_access_denied_matched_policy[ns[default]-policy[p]-rule[0]]"


def test_what_is_not_in_the_log_by_the_time_that_the_last_request_is_was_not_written_down(log):
    book = "GET http://details:9080/details/0"
    found = reasons.logged(log, "client", book, book, f"{book}?page=1", app="details")
    denied = "rbac_access_denied_matched_policy"
    assert found.details.tolist() == [f"{denied}[ns[default]-policy[p]-rule[0]]", "", f"{denied}[none]"]
    assert found.path.tolist() == ["/details/0", "/details/0", "/details/0?page=1"]


def test_counters_of_all_ports_are_summed_and_those_of_what_is_tried_told_apart(monkeypatch):
    names = {
        "http.inbound_0.0.0.0_9080;.rbac.allowed": 20, "http.inbound_0.0.0.0_9080;.rbac.denied": 1,
        "http.inbound_0.0.0.0_9080;.rbac.istio_dry_run_deny_.shadow_allowed": 12, "http.InboundPassthroughCluster;.rbac.denied": 2,
        "http.inbound_0.0.0.0_9080;.rbac.istio_dry_run_allow_.shadow_denied": 8, "tcp.rbac.istio_dry_run_deny_.shadow_denied": 0,
    }  # fmt: skip
    told = {"stats": [{"name": name, "value": value} for name, value in names.items()] + [{"histograms": {}}]}
    monkeypatch.setattr(reasons.channels, "get_json", lambda *where: told)
    lab = Cluster({POD: [pod("ratings-1", app="ratings")]})
    assert dict(reasons.verdicts(lab, "ratings")) == {"allowed": 20, "denied": 3, "shadow_allowed": 12, "shadow_denied": 8}
    with pytest.raises(TrafficError, match="no ready pod 'nobody'"):
        reasons.verdicts(lab, "nobody")


# The slider.


@pytest.fixture
def mesh(monkeypatch):
    """A mesh that shows what its policies open, and remembers what was applied and deleted."""
    lab = Cluster({POLICY: []})
    lab.done = []
    note = lambda sign: lambda lab, documents, *more: lab.done.append((sign, [each["metadata"]["name"] for each in documents]))  # noqa: E731
    monkeypatch.setattr(doors.apply, "write", note("+"))
    monkeypatch.setattr(doors.apply, "erase", note("-"))
    monkeypatch.setattr(doors.pages, "read", lambda lab, n: WHOLE.head(n))
    return lab


def test_the_slider_opens_one_service_after_the_other(mesh):
    steps = list(doors.follow(mesh, 2))
    assert mesh.done == [("+", ["allow-nothing", "allow-productpage", "allow-details"]), ("-", ["allow-reviews", "allow-ratings"])]
    assert [each.done for each in steps] == [8, 16] and {each.of for each in steps} == {16}
    for each in steps:
        assert len(each.picture._repr_html_()) < 6000 and each.picture.caption == each.sentence


def test_the_slider_stops_when_it_is_told_to_and_leaves_other_peoples_policies_alone(mesh):
    assert list(doors.follow(mesh, 4, lambda: True)) == []
    mesh.objects[POLICY] = [{"metadata": {"name": "theirs"}}]
    with pytest.raises(MeshError, match="AuthorizationPolicy theirs is there, too"):
        next(doors.follow(mesh, 4))


@pytest.mark.parametrize(
    ("found", "value", "told"),
    [
        (WHOLE, 4, "productpage, details, reviews, ratings may be asked. Status 200; what they have: page, details, reviews, stars."),
        (WHOLE.assign(ratings="unavailable"), 3, "details, reviews may be asked. Status 200; what they have: page, details, reviews."),
        (read((None, "none", False, 4, 403)), 0, "nobody may be asked. Status 403; what they have: nothing."),
        (read((None, "none", False, 4, 200), (None, "none", True, 4, 200)), 2, "what they have: page; on some details."),
    ],
)  # fmt: skip
def test_what_is_on_the_pages_is_said_in_words(found, value, told):
    assert doors.sentence(found, value).endswith(told)


def test_what_nobody_has_asked_is_neither_there_nor_missing():
    drawn = doors.picture(read((None, "none", False, 4, 403)), 0)
    assert drawn.svg.count("missing") == 6 and "ratings: not asked" in drawn.svg


def test_pages_are_read_until_two_dozen_in_a_row_are_alike(monkeypatch):
    answers = iter([[200, 403, 200, 403], *[[403] * 4] * 4, [403, 200, 403, 403], *[[403] * 4] * 6, [200] * 4])
    monkeypatch.setattr(doors.pages, "read", lambda lab, n, parallel: pd.DataFrame({"status": next(answers)}))
    assert doors.until_all(None, 403).count(200) == 3 and next(answers) == [200] * 4


# What is said of a policy.


def policy(name="p", namespace=None, annotations=None, **spec):
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {}) | ({"annotations": annotations} if annotations else {})
    return {"apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy", "metadata": metadata, "spec": spec}


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        (policy(), "closes every workload of namespace default, but what another policy allows: 403 for you, too"),
        (policy(rules=[]), "closes every workload"),
        (policy(action="DENY", rules=[{}]), "whatever other policies allow"),
        (policy(namespace="istio-system"), "of the whole mesh, the gateways themselves"),
        (policy(rules=[{}]), None),
        (policy(action="DENY", rules=[{"to": []}]), None),
        (policy(action="AUDIT"), None),
        (policy(selector={"matchLabels": {"app": "details"}}), None),
        (policy(annotations={"istio.io/dry-run": "true"}), None),
        ({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "p"}}, None),
    ],
)
def test_a_policy_that_shuts_its_author_out_is_told(document, sentence):
    said = [each for _, each in policies.said(Cluster({}), [document])]
    assert len(said) == bool(sentence) and all(sentence in each and "kubectl delete authorizationpolicy p" in each for each in said)


def test_the_chapter_has_no_policy_for_the_whole_mesh_and_none_of_another_namespace():
    names = ("01-allow-nothing", "03-allow-productpage", "04-allow-the-rest", "08-who-and-what", "09-both", "10-deny-details", "12-tried")
    documents = load_for(Cluster({}), [f"19_access_control/{name}.yaml" for name in names])
    assert len(documents) == 11 and not any("namespace" in each["metadata"] for each in documents)
    assert isinstance(Outcome("", []).warnings, list)
