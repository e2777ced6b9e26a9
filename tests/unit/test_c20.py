"""Chapter 20 without a mesh: what its checks make of right and wrong answers, names that nobody has, and answers that are made up."""

import re
import subprocess
from collections import Counter

import pandas as pd
import pytest
import yaml

from lab_helpers.chapters.c20_service_accounts import address, asking, checks, kept, steps
from lab_helpers.core.errors import MeshError, TrafficError
from lab_helpers.core.manifests import FOLDER, load, of_namespace
from lab_helpers.istio import apply
from lab_helpers.istio.analysis import callers
from lab_helpers.istio.analysis.callers import Known, principal, why
from lab_helpers.kube import channels
from lab_helpers.kube.apply import Outcome
from lab_helpers.kube.kinds import POD, SERVICE_ACCOUNT
from lab_helpers.show.checks import check
from tests.objects import Cluster, pod
from tests.wrong_answers import fails

STEM = "20_service_accounts"
SERVICES = ["details", "reviews", "ratings"]


def seen(columns, **rows):
    """Statuses by caller; two underscores in a caller's name are a slash, one is a blank."""
    index = [name.replace("__", "/").replace("_", " ") for name in rows]
    return pd.DataFrame(list(rows.values()), index=pd.Index(index, name="caller"), columns=columns)


def certificates(*rows):
    return pd.DataFrame(rows, columns=["pod", "service account", "identity", "hours"])


NO = [403, 403, 403]
ONE = seen(SERVICES, client=NO, productpage=[200, 403, 403], reviews=NO, ratings=NO)
THREE = seen(SERVICES, client=NO, productpage=[200, 200, 403], reviews=[403, 403, 200], ratings=NO)
SAME = pd.DataFrame(
    [[403, 403], [200, 200], [403, 200]], index=["client", "productpage", "productpage/istio-proxy"], columns=["details", "ratings"]
)
NEW = seen(["details", "ratings"], backup=[403, 200], guest=[403, 200], lookalike=[200, 403])
PROVEN = certificates(
    ("client-v1", "client", "spiffe://cluster.local/ns/default/sa/client", 24.0),
    ("plain-client-v1", "plain-client", "", float("nan")),
    ("reviews-v1", "bookinfo-reviews", "spiffe://cluster.local/ns/default/sa/bookinfo-reviews", 24.0),
    ("reviews-v2", "bookinfo-reviews", "spiffe://cluster.local/ns/default/sa/bookinfo-reviews", 24.0),
)
GATEWAY = "spiffe://cluster.local/ns/istio-system/sa/istio-ingressgateway-service-account"
TOLD = pd.DataFrame(
    [("productpage", GATEWAY, "403", 60), ("productpage", "spiffe://cluster.local/ns/default/sa/client", "200", 40),
     ("productpage", "unknown", "403", 12), ("details", "spiffe://x", "403", 1)],
    columns=["destination_service_name", "source_principal", "response_code", "requests"],
)  # fmt: skip
GATE = pd.DataFrame([200, 403], index=["client", "a reader"], columns=["productpage"])
BY_NAME = pd.DataFrame([200, 200], index=["client", "plain-client"], columns=["productpage"])
NAMELESS = pd.DataFrame([200, 403], index=["client", "plain-client"], columns=["productpage"])
FOUND = pd.DataFrame(
    [(name, "principals", "x", "y") for name in ("allow-details", "allow-reviews", "allow-ratings")],
    columns=["policy", "field", "value", "why"],
)


def running(account, name=None, namespace="default"):
    made = pod(name or account, spec={"serviceAccountName": account, "containers": [{"name": "istio-proxy"}]})
    return {**made, "metadata": {**made["metadata"], "namespace": namespace}}


def account(name, namespace="default"):
    return {"metadata": {"name": name, "namespace": namespace}}


ACCOUNTS = ["bookinfo-productpage", "bookinfo-reviews", "bookinfo-ratings", "bookinfo-details", "client", "default"]
MESH = Cluster({POD: [running(each) for each in ACCOUNTS], SERVICE_ACCOUNT: [account(each) for each in (*ACCOUNTS, "idle")]})


@pytest.mark.parametrize(
    ("number", "state", "answers"),
    [
        ("20.1", [PROVEN], {"answer": {"reviews-v1", "reviews-v2"}}),
        ("20.2", [ONE], {}),
        ("20.3", [THREE], {"answer": ("productpage", "ratings")}),
        ("20.4", [SAME], {}),
        ("20.5", [NEW], {"answer": "bookinfo-productpage"}),
        ("20.6", [MESH, FOUND], {"answer": "cluster.local/ns/default/sa/bookinfo-productpage"}),
        ("20.7", [GATE, TOLD], {"answer": GATEWAY}),
        ("20.8", [BY_NAME, NAMELESS], {}),
    ],
)
def test_a_check_passes_on_the_right_answer(number, state, answers, capsys):
    check(number, *state, **answers)
    assert capsys.readouterr().out.startswith(f"✔ {number} ")


@pytest.mark.parametrize(
    ("number", "state", "answers", "sentence"),
    [
        ("20.1", [PROVEN], {"answer": {"reviews-v1"}}, "there are more of them"),
        ("20.1", [PROVEN], {"answer": {"reviews-v1", "client-v1"}}, "client-v1 has an identity that no other pod has"),
        ("20.1", [PROVEN], {"answer": "reviews"}, "there is no pod 'reviews' in the table"),
        ("20.1", [PROVEN.assign(identity="")], {"answer": {"reviews-v1"}}, "no pod has a certificate"),
        ("20.1", [PROVEN.assign(**{"service account": "other"})], {"answer": "x"}, "client-v1 runs as other, and its certificate says"),
        ("20.2", [THREE], {}, "productpage gets 200 from reviews, and should get 403"),
        ("20.2", [seen(SERVICES, client=NO, productpage=NO, reviews=NO, ratings=NO)], {}, "productpage gets 403 from details"),
        ("20.2", [ONE.assign(details=200)], {}, "client gets 200 from details"),
        ("20.2", [ONE.drop("ratings")], {}, "the table has no line for ratings"),
        ("20.3", [THREE], {"answer": ("reviews", "ratings")}, "reviews is answered by ratings"),
        ("20.3", [THREE], {"answer": ("ratings", "productpage")}, "nothing in Bookinfo has ratings call productpage"),
        ("20.3", [ONE], {"answer": ("productpage", "ratings")}, "productpage gets 403 from reviews, and should get 200"),
        ("20.4", [SAME.assign(ratings=403)], {}, "productpage gets 403 from ratings, and should get 200"),
        ("20.4", [SAME.assign(details=200)], {}, "productpage/istio-proxy gets 200 from details"),
        ("20.4", [SAME.assign(ratings=200)], {}, "client gets 200 from ratings, and should get 403"),
        ("20.4", [SAME.drop("productpage/istio-proxy")], {}, "no line for productpage/istio-proxy"),
        ("20.5", [NEW], {"answer": "default"}, "lookalike does not run as default"),
        ("20.5", [NEW], {"answer": "lookalike"}, "lookalike does not run as lookalike"),
        ("20.5", [NEW.assign(ratings=403)], {"answer": "bookinfo-productpage"}, "backup gets 403 from ratings"),
        ("20.5", [NEW.assign(details=403)], {"answer": "bookinfo-productpage"}, "lookalike gets 403 from details"),
        ("20.6", [MESH, FOUND.head(2)], {"answer": "x"}, "every name in allow-ratings is somebody's"),
        ("20.6", [MESH, FOUND], {"answer": "cluster.local/ns/default/sa/bookinfo-prodcutpage"}, "is nobody's identity"),
        ("20.6", [MESH, FOUND], {"answer": "spiffe://cluster.local/ns/default/sa/bookinfo-productpage"}, "is nobody's identity"),
        ("20.6", [MESH, FOUND], {"answer": "cluster.local/ns/default/sa/client"}, "is somebody else"),
        ("20.7", [GATE, TOLD], {"answer": "unknown"}, "the one without an identity is plain-client"),
        ("20.7", [GATE, TOLD], {"answer": "spiffe://cluster.local/ns/default/sa/client"}, "sa/client' has not been denied"),
        ("20.7", [GATE, TOLD.tail(1)], {"answer": GATEWAY}, "has not denied anybody"),
        ("20.7", [GATE.assign(productpage=200), TOLD], {"answer": GATEWAY}, "a reader gets 200 from productpage"),
        ("20.8", [NAMELESS, NAMELESS], {}, "plain-client gets 403 from productpage, and should get 200"),
        ("20.8", [BY_NAME, BY_NAME], {}, "plain-client gets 200 from productpage, and should get 403"),
        ("20.8", [BY_NAME, NAMELESS.assign(productpage=403)], {}, "client gets 403 from productpage"),
        ("20.8", [BY_NAME, NAMELESS.drop("client")], {}, "no line for client"),
    ],
)
def test_a_check_fails_on_a_wrong_answer_and_says_why(number, state, answers, sentence):
    fails(number, *state, sentence=sentence, **answers)


RIGHT = seen(["details", "ratings"], backup=[403, 200], guest=[403, 403], reviews=[403, 200], productpage=[200, 403])


@pytest.mark.parametrize(
    ("caller", "statuses", "sentence"),
    [
        ("backup", [403, 200], None),
        ("backup", [403, 403], "backup gets 403 from ratings, and should get 200"),
        ("guest", [403, 200], "guest gets 200 from ratings, and should get 403"),
        ("backup", [200, 200], "backup gets 200 from details, and should get 403"),
        ("reviews", [403, 403], "reviews gets 403 from ratings, and should get 200"),
        ("productpage", [403, 403], "productpage gets 403 from details, and should get 200"),
    ],
)
def test_an_account_of_its_own_is_backups_alone(caller, statuses, sentence, monkeypatch, capsys):
    table = RIGHT.copy()
    table.loc[caller] = statuses
    monkeypatch.setattr(checks, "who_may", lambda lab, callers, services: table.loc[callers, services])
    if sentence:
        fails("20.9", MESH, sentence=sentence)
    else:
        check("20.9", MESH)
        assert capsys.readouterr().out.startswith("✔ 20.9")


# Names that nobody has.

KNOWN = Known({("default", each) for each in ACCOUNTS} | {("team", "client"), ("team", "robot")}, {("default", "idle")})


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("principals", "cluster.local/ns/default/sa/client", ""),
        ("principals", "*", ""),
        ("notPrincipals", "*", ""),
        ("principals", "*/ns/default/sa/client", ""),
        ("principals", "cluster.local/ns/default/*", ""),
        ("principals", "other.example/ns/a/sa/b", ""),
        ("serviceAccounts", "client", ""),
        ("serviceAccounts", "team/robot", ""),
        ("principals", "spiffe://cluster.local/ns/default/sa/client", "stands there twice. Write cluster.local/ns/default/sa/client"),
        (
            "principals",
            "cluster.local/ns/default/sa/bookinfo-reveiws",
            "No pod with a proxy runs as bookinfo-reveiws in namespace default. Did you mean cluster.local/ns/default/sa/bookinfo-reviews?",
        ),
        ("principals", "cluster.local/ns/tema/sa/robot", "in namespace tema. Did you mean cluster.local/ns/team/sa/robot?"),
        ("principals", "cluster.local/ns/*/sa/client", "An asterisk stands for something only as the first or the last character."),
        ("principals", "client", "has not the form .* Did you mean cluster.local/ns/default/sa/client?"),
        ("principals", "default/sa/client", "has not the form .* Did you mean cluster.local/ns/default/sa/client?"),
        ("principals", "*/sa/clinet", "No pod with a proxy has an identity like that."),
        ("principals", "cluster.local/ns/default/sa/idle", "The ServiceAccount idle is there, and no pod with a proxy runs as it"),
        ("serviceAccounts", "cleint", "No pod with a proxy runs as cleint in namespace default. Did you mean client?"),
        ("serviceAccounts", "robot", "in namespace default. Did you mean team/robot?"),
        ("notServiceAccounts", "team/robto", "Did you mean team/robot?"),
        ("serviceAccounts", "somebody-quite-different", "in namespace default.$"),
    ],
)
def test_a_name_is_somebodys_or_gets_a_sentence(field, value, sentence):
    said = why(field, value, "default", KNOWN)
    assert re.search(sentence, said) if sentence else said == ""


def test_a_list_of_close_matches_names_none_that_is_much_farther_off():
    assert "Did you mean bookinfo-productpage?" in why("serviceAccounts", "bookinfo-prodcutpage", "default", KNOWN)


def test_every_caller_of_a_policy_is_looked_at():
    source = {"principals": ["a"], "notServiceAccounts": ["b"]}
    when = [
        {"key": "source.principal", "values": ["c"]},
        {"key": "source.serviceAccount", "notValues": ["d"]},
        {"key": "x", "values": ["e"]},
    ]
    policy = {"kind": "AuthorizationPolicy", "metadata": {"name": "p"}, "spec": {"rules": [{"from": [{"source": source}], "when": when}]}}
    found = callers.strangers(MESH, [policy, {"kind": "VirtualService", "metadata": {"name": "v"}, "spec": {}}])
    assert [each.value for each in found] == ["a", "b", "c", "d"] and {each.policy for each in found} == {"AuthorizationPolicy p"}
    assert callers.strangers(MESH, [{"kind": "AuthorizationPolicy", "metadata": {"name": "p"}}]) == []


def test_the_three_slips_are_found_and_the_three_rules_are_not():
    slips = callers.strangers(MESH, load(f"{STEM}/07-three-slips.yaml"))
    assert [each.policy.split()[1] for each in slips] == ["allow-details", "allow-reviews", "allow-ratings"]
    assert callers.strangers(MESH, [each for name in steps.RULES for each in load(f"{STEM}/{name}.yaml")]) == []


# A namespace of one's own.


def test_an_identity_of_the_namespace_default_is_the_learners_own_in_the_courses_manifests(tmp_path):
    lab = Cluster({})
    lab.namespace = "alice"
    (rule,) = apply.load_for(lab, [f"{STEM}/02-details.yaml"])
    assert rule["spec"]["rules"][0]["from"][0]["source"]["principals"] == ["cluster.local/ns/alice/sa/bookinfo-productpage"]
    assert rule == of_namespace(*load(f"{STEM}/02-details.yaml", FOLDER), "alice") != load(f"{STEM}/02-details.yaml")[0]
    own = tmp_path / "own.yaml"
    own.write_text((FOLDER / STEM / "02-details.yaml").read_text())
    assert apply.load_for(lab, [str(own)]) == load(str(own))


def test_the_line_for_a_terminal_says_so():
    lab = Cluster({})
    assert apply._line(lab, "apply", [f"{STEM}/02-details.yaml"]) == f"kubectl apply -f manifests/{STEM}/02-details.yaml"
    lab.namespace = "alice"
    line = f"sed 's#/ns/default/#/ns/alice/#' manifests/{STEM}/02-details.yaml | kubectl apply -f -"
    assert apply._line(lab, "apply", [f"{STEM}/02-details.yaml"]) == line
    assert apply._line(lab, "delete", [f"{STEM}/02-details.yaml"]) == f"kubectl delete -f manifests/{STEM}/02-details.yaml"


def test_the_line_for_several_files_keeps_their_objects_apart():
    lab = Cluster({})
    lab.namespace = "alice"
    line = apply._line(lab, "apply", [f"{STEM}/02-details.yaml", f"{STEM}/04-ratings.yaml"])
    edited, bar, kubectl = line.rpartition(" | ")
    assert (bar, kubectl) == (" | ", "kubectl apply -f -")
    written = subprocess.run(["bash", "-c", edited], cwd=FOLDER.parent, capture_output=True, text=True, check=True).stdout
    assert [each["metadata"]["name"] for each in yaml.safe_load_all(written) if each] == ["allow-details", "allow-ratings"]
    assert "/ns/alice/sa/bookinfo-productpage" in written and "/ns/default/" not in written


def test_an_address_is_put_into_a_rule_and_nowhere_else():
    (rule,) = load(f"{STEM}/05-by-address.yaml")
    put = address._with(rule, "10.0.0.7")
    assert put["spec"]["rules"][0]["from"][0]["source"]["ipBlocks"] == ["10.0.0.7"]
    assert str(put).replace("10.0.0.7", address.PLACE) == str(rule)
    with pytest.raises(TrafficError, match="no ready pod 'productpage'"):
        address.apply_for_address_of(Cluster({}), "productpage", f"{STEM}/05-by-address.yaml")


# Asking.


@pytest.fixture
def mesh(monkeypatch):
    """A lab whose callers get, round after round, what `rounds` has for them."""
    lab = Cluster({POD: [pod(name, app=name) for name in ("client", "guest")]})
    lab.rounds, lab.asked = [], []

    def answers(lab, namespace, pod, container, services, n):
        lab.asked.append((container, tuple(services), n))
        found = lab.rounds.pop(0)
        return {service: Counter(found[service]) for service in services}

    monkeypatch.setattr(asking, "_answers", answers)
    return lab


def test_whoever_gets_two_kinds_of_answers_asks_again_and_only_for_these(mesh):
    mesh.rounds = [{"details": {403: 8}, "ratings": {200: 3, 403: 5}}, {"ratings": {403: 8}}]
    table = asking.who_may(mesh, ["client"], ["details", "ratings"])
    assert table.loc["client"].tolist() == [403, 403]
    assert mesh.asked == [("client", ("details", "ratings"), asking.FEW), ("client", ("ratings",), asking.FEW)]


def test_answers_that_never_become_alike_are_told(mesh, monkeypatch):
    monkeypatch.setattr(asking, "DEADLINE", 0.05)
    mesh.rounds = [{"ratings": {200: 1, 403: 7}}] * 1000
    with pytest.raises(MeshError, match=r"all answers to be alike: client gets \{200: 1, 403: 7\} from ratings"):
        asking.who_may(mesh, ["client"], ["ratings"])


@pytest.mark.parametrize(
    ("callers_", "services", "sentence"),
    [
        (["client"], ["detials"], "'detials' is not a service of Bookinfo"),
        (["clinet"], ["details"], "no ready pod 'clinet' in namespace default"),
        (["a reader"], ["productpage"], "no ready pod 'istio-ingressgateway' in namespace istio-system"),
    ],
)
def test_who_cannot_ask_or_be_asked_gets_a_sentence(mesh, callers_, services, sentence):
    with pytest.raises(TrafficError, match=sentence) as caught:
        asking.who_may(mesh, callers_, services)
    assert caught.value.do


@pytest.mark.parametrize(
    ("done", "expected"),
    [
        (channels.Done("http://details:9080/details/0 200\nhttp://details:9080/details/0 403\n", "", 0), Counter({200: 1, 403: 1})),
        (channels.Done("", "", 127), "The image of client has neither curl nor Python"),
        (channels.Done("", "sh: killed", 1), "client-x has sent nothing to details: sh: killed"),
    ],
)
def test_what_a_pod_prints_is_counted(done, expected, monkeypatch):
    monkeypatch.setattr(asking.channels, "execute", lambda *_: done)
    ask = lambda: asking._answers(Cluster({}), "default", "client-x", "client", ["details"], 8)  # noqa: E731
    if isinstance(expected, str):
        with pytest.raises((TrafficError, MeshError), match=expected):
            ask()
    else:
        assert ask() == {"details": expected}


def test_the_more_connections_a_proxy_has_open_the_more_often_it_is_asked(monkeypatch):
    host = {"stats": [{"name": "cx_active", "value": "4"}, {"name": "rq_total", "value": "90"}]}
    of = lambda name, *hosts: {"name": f"outbound|9080||{name}.svc.cluster.local", "host_statuses": [*hosts]}  # noqa: E731
    monkeypatch.setattr(
        asking.envoy, "clusters", lambda *_: [of("details.default", host), of("ratings.default", host, host), of("x.y", *[host] * 9)]
    )
    lab = Cluster({POD: [running("client", "client-x"), pod("plain")]})
    assert asking._enough(lab, "default", "client-x", "client") == asking.FEW + 3 * 8
    assert asking._enough(lab, "default", "client-x", asking.PROXY) == asking._enough(lab, "default", "plain", "plain") == asking.FEW


# A connection that is kept.


@pytest.mark.parametrize(
    ("printed", "code", "expected"),
    [
        ("200 41\n200 41\n403 41\n403 41\n403 41\n", 0, (200, [200, 403, 403, 403])),
        ("200 41\n403 42\n", 0, "was closed in between"),
        ("", 1, "productpage could not ask details"),
    ],
)
def test_a_kept_connection_tells_before_from_after(printed, code, expected, monkeypatch):
    asked = []

    def execute(client, pod, container, command, deadline=60):
        asked.append(command[0])
        return channels.Done(printed, "", code) if command[0] == "python3" else channels.Done("", "", 0)

    monkeypatch.setattr(kept.channels, "execute", execute)
    lab = Cluster({POD: [pod("productpage", app="productpage")]})
    if isinstance(expected, str):
        with pytest.raises(MeshError, match=expected), kept.kept_open(lab, "details"):
            pass
        return
    with kept.kept_open(lab, "details") as found:
        assert found == kept.Kept()
    assert (found.before, found.after) == expected and asked[-1] == "rm"


@pytest.mark.parametrize(("service", "sentence"), [("ghost", "'ghost' is not a service"), ("details", "no ready pod 'productpage'")])
def test_a_connection_that_cannot_be_kept_gets_a_sentence(service, sentence):
    with pytest.raises(TrafficError, match=sentence), kept.kept_open(Cluster({}), service):
        pass


# The picture, and the slider.


def test_the_picture_says_who_is_answered_by_whom():
    drawn = steps.draw_permits(THREE)
    assert repr(drawn) == "Who is answered: client by nobody; productpage by details and reviews; reviews by ratings; ratings by nobody."
    assert drawn.svg.count("✓ 200") == 3 and drawn.svg.count("✗ 403") == 9 and "sa/bookinfo-reviews" in drawn.svg


@pytest.mark.parametrize("rules", [0, 1, 2, 3])
def test_the_slider_applies_so_many_rules_and_deletes_the_others(rules, monkeypatch):
    written, erased = [], []
    monkeypatch.setattr(steps.apply, "write", lambda lab, documents, command: written.extend(documents) or Outcome(command, []))
    monkeypatch.setattr(steps.apply, "erase", lambda lab, documents: erased.extend(documents))
    monkeypatch.setattr(steps, "who_may", lambda lab: THREE)
    (step,) = steps.follow(Cluster({}), rules)
    names = ["allow-details", "allow-reviews", "allow-ratings"]
    assert [each["metadata"]["name"] for each in written] == names[:rules]
    assert [each["metadata"]["name"] for each in erased] == names[rules:]
    assert "3 of 12 pairs" in step.sentence and step.done == step.of
    assert steps.shown(rules, THREE)[0]["sentence"] == step.sentence and steps.shown(rules, THREE)[0]["value"] == rules


def test_a_principal_is_written_without_its_scheme():
    assert principal(("team", "robot")) == "cluster.local/ns/team/sa/robot"
