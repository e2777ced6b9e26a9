"""Chapter 21 without a mesh: tokens are made and read, key sets are looked at before they are published, wrong answers are told."""

import json
import time
from types import SimpleNamespace

import pandas as pd
import pytest
from joserfc import jwt

from lab_helpers.chapters.c21_jwt import asking, checks, keysets, minting, pictures, rotation, server, tokens
from lab_helpers.core.errors import ManifestError, MeshError, TrafficError
from lab_helpers.core.http import Answer
from lab_helpers.istio import istiod
from lab_helpers.istio.analysis import tokens as by_proxy
from lab_helpers.kube.commands import Output
from lab_helpers.show.checks import check, numbers
from tests.objects import Cluster, pod
from tests.wrong_answers import fails

ONE, TWO = minting.new_key("one"), minting.new_key("two")


# Tokens.


def test_a_token_is_read_without_a_key_and_its_times_are_told():
    found = tokens.read(minting.mint(ONE, lives=600, exp=None, groups=["editors"]))
    assert (
        found.header == {"typ": "JWT", "alg": "RS256", "kid": "one"} and "exp" not in found.claims and found.claims["groups"] == ["editors"]
    )
    assert "(now)" in str(found) and str(tokens.read(minting.mint(ONE, lives=-90))).endswith("(2 min ago)")


@pytest.mark.parametrize(
    ("token", "sentence"),
    [
        ("", "has 1 parts"),
        ("a.b", "has 2 parts"),
        (None, "of the type NoneType"),
        ("a-cup" + minting.mint(ONE), "its header is not JSON in base64"),
        (f"{tokens.coded({'alg': 'RS256'})}.!.x", "its claims is not JSON in base64"),
        (f"{tokens.coded([1])}.{tokens.coded({})}.x", r"its header is \[1\], not an object"),
    ],
)
def test_what_is_no_token_says_in_which_part(token, sentence):
    with pytest.raises(TrafficError, match=sentence):
        tokens.read(token)


def test_a_token_is_shown_so_that_nobody_can_use_it():
    token = minting.mint(ONE)
    shown = tokens.shortened(token)
    assert len(shown) < 60 and token.split(".")[2][:8] not in shown and shown.endswith("(342 characters)")


@pytest.mark.parametrize(("moment", "words"), [(1_000, "now"), (1_060, "in 1 min"), (400, "10 min ago"), (1_000 + 3 * 86_400, "in 3 days")])
def test_a_time_in_words(moment, words):
    assert tokens.when(moment, 1_000) == words


def test_each_case_has_the_one_thing_wrong_that_its_name_says(monkeypatch):
    now = int(time.time())
    monkeypatch.setattr(time, "time", lambda: now)
    made = minting.mint_each(ONE)
    assert list(made) == list(minting.cases()) and made["no token"] is None
    claims = {name: tokens.read(token).claims for name, token in made.items() if token}
    ends = {name: each["exp"] - now for name, each in claims.items() if "exp" in each}
    assert (ends["ended 55 s ago"], ends["ended 65 s ago"], ends["as it should be"]) == (-55, -65, 3600)
    assert claims["ended an hour ago, in milliseconds"]["exp"] // 1000 - now == -3600 and "exp" not in claims["never ends"]
    assert claims["begins in 55 s"]["nbf"] - now == 55 and claims["begins in 65 s"]["nbf"] - now == 65
    assert claims["another issuer"]["iss"] != minting.ISSUER and claims["another audience"]["aud"] == "warehouse"
    heads = {name: tokens.read(token).header for name, token in made.items() if token}
    assert heads["alg none"]["alg"] == "none" and made["alg none"].endswith(".")
    assert heads["alg HS256, by the public key"] == {"alg": "HS256", "typ": "JWT", "kid": "one"}
    assert heads["another key"]["kid"] == "one" and heads["another key, by its own name"]["kid"] == "nobody-knows"
    signed_by_us = {name for name, token in made.items() if token and _fits(token)}
    forged = {
        "another key",
        "another key, by its own name",
        "alg none",
        "alg HS256, by the public key",
        "another name under the old signature",
    }
    assert signed_by_us == set(claims) - forged


def _fits(token):
    try:
        jwt.decode(token, ONE, algorithms=["RS256"])
    except Exception:
        return False
    return True


def test_tokens_are_not_minted_by_what_cannot_sign():
    for what in (None, "one", minting.RSAKey.import_key(ONE.as_dict(private=False))):
        with pytest.raises(TrafficError, match="no key that can sign"):
            minting.mint_each(what)


# Key sets.


def test_a_key_set_has_public_halves_only_and_is_shown_short():
    found = keysets.key_set(ONE, TWO)
    assert [each["kid"] for each in found["keys"]] == ["one", "two"] and not any(set(each) & {"d", "p", "q"} for each in found["keys"])
    assert "… 342 characters …" in repr(found) and found["keys"][0]["n"] not in repr(found) and len(json.dumps(found)) > 700


@pytest.mark.parametrize(
    ("jwks", "sentence"),
    [
        ("{'keys': []}", r"not JSON \(line 1, column 2"),
        ('{"keys": [}', "not JSON"),
        ("<html>Service temporarily unavailable</html>", "not JSON"),
        (ONE.as_dict(private=False), "no list of keys"),
        ([ONE.as_dict(private=False)], "no list of keys"),
        ({"keys": ["one"]}, "Key 0 of the set does not say of what type"),
        ({"keys": [ONE.as_dict(private=False), TWO.as_dict(private=True)]}, "Key two of the set is not only public: it has d, p, q"),
        ({"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}, "Key 0 of the set is not only public: it has k"),
    ],
)
def test_a_malformed_key_set_says_what_is_wrong_with_it(jwks, sentence):
    with pytest.raises(ManifestError, match=sentence) as told:
        keysets.checked(jwks)
    assert told.value.do
    with pytest.raises(ManifestError, match=sentence):
        keysets.apply_with(Cluster({}), "21_jwt/02-authentication.yaml", jwks)


def test_a_value_that_is_missing_is_named():
    with pytest.raises(ManifestError, match="wants a value for JWKS"):
        keysets.apply_with(Cluster({}), "21_jwt/02-authentication.yaml")
    with pytest.raises(ManifestError, match="wants a value for FILE"):
        keysets.apply_with(Cluster({}), "21_jwt/11-by-uri.yaml")


def test_a_manifest_is_applied_with_its_values_and_shown_without_them(monkeypatch):
    applied = []

    def write(lab, documents, command):
        applied.extend(documents)
        return keysets.Outcome(command, [])

    monkeypatch.setattr(keysets.apply, "write", write)
    lab = Cluster({})
    lab.namespace = "alice"
    done = keysets.apply_with(lab, "21_jwt/02-authentication.yaml", keysets.key_set(ONE))
    assert json.loads(applied[0]["spec"]["jwtRules"][0]["jwks"]) == keysets.key_set(ONE)
    assert "${JWKS}" in done.manifests[0].text and done.command.startswith("JWKS=$(cat jwks.json) envsubst < manifests/21_jwt/02")
    keysets.apply_with(lab, "21_jwt/11-by-uri.yaml", FILE="a.json")
    assert applied[1]["spec"]["jwtRules"][0]["jwksUri"] == "http://keys.alice.svc.cluster.local:8080/a.json"
    keysets.apply_with(lab, "21_jwt/10-at-the-gateway.yaml", keysets.key_set(ONE))
    assert applied[2]["spec"]["selector"]["matchLabels"] == {"istio": "own-ingress-alice"}


def dump(**held):
    """What the admin port of a proxy says that has these key sets, by issuer, in two chains of one listener; another one it has refused."""

    def chain(providers):
        return {"filters": [{"typed_config": {"http_filters": [{"name": by_proxy.FILTER, "typed_config": {"providers": providers}}]}}]}

    told = [{"issuer": f"https://{name}.example", "local_jwks": {"inline_string": text}} for name, text in held.items()]
    taken = chain({f"origins-{at}": each for at, each in enumerate(told)})
    refused = chain({"origins-0": {"issuer": "https://refused.example"}})
    return {
        "configs": [{"active_state": {"listener": {"filter_chains": [taken, taken]}}, "error_state": {"failed_configuration": refused}}]
    }


NOBODYS = json.dumps({"keys": [{"kty": "RSA", "n": f"{by_proxy.NOBODYS}tEJ4", "e": "AQAB"}]})


def test_what_a_proxy_has_is_read_by_issuer_and_the_key_of_istiod_is_told_from_a_key_set(monkeypatch):
    held = dump(a=json.dumps(keysets.key_set(ONE, TWO)), b=NOBODYS, c="<html>", d='{"keys": [{"kty": "RSA"}]}')
    monkeypatch.setattr(by_proxy.channels, "get_json", lambda *_: held)
    lab = Cluster({by_proxy.POD: [pod("productpage-v1-1", app="productpage")]})
    assert keysets.keys_of(lab) == {
        "https://a.example": ["one", "two"], "https://b.example": [keysets.NOBODYS],
        "https://c.example": ["(no key set: <html>…)"], "https://d.example": ["(no kid)"],
    }  # fmt: skip
    with pytest.raises(TrafficError, match="no ready pod 'productpage'"):
        keysets.keys_of(Cluster({}))


def authentication(*rules):
    spec = {"selector": {"matchLabels": {"app": "productpage"}}, "jwtRules": list(rules)}
    return {"kind": "RequestAuthentication", "metadata": {"name": "mine"}, "spec": spec}


def test_an_address_that_was_not_read_is_told_once_and_nothing_else_is_asked(monkeypatch):
    asked = []
    monkeypatch.setattr(
        by_proxy.channels, "get_json", lambda *where: asked.append(where) or dump(a=json.dumps(keysets.key_set(ONE)), b=NOBODYS)
    )
    proxy = pod("productpage-v1-1", spec={"initContainers": [{"name": "istio-proxy", "restartPolicy": "Always"}]}, app="productpage")
    uris = [{"issuer": f"https://{name}.example", "jwksUri": f"http://{name}/keys.json"} for name in "ab"]
    lab = Cluster({by_proxy.POD: [proxy]})
    [(what, sentence)] = by_proxy.said(lab, [authentication(*uris)])
    assert what == "RequestAuthentication mine"
    assert sentence.startswith("istiod could not read a key set from http://b/keys.json, so every token of https://b.example is refused.")
    before = len(asked)
    assert list(by_proxy.said(lab, [authentication({"issuer": "https://b.example", "jwks": "{}"})])) == []
    assert list(by_proxy.said(lab, [{"kind": "Service", "metadata": {"name": "mine"}}])) == [] and len(asked) == before
    gone = Cluster({by_proxy.POD: [pod("a", ready=False, app="productpage")]})
    assert list(by_proxy.said(gone, [authentication(*uris)])) == []


def test_a_refusal_is_told_and_its_absence_as_well(monkeypatch):
    def refused():
        raise MeshError("productpage-v1-7bb75b6cc8-xd4vw.alice refused Listener: it is rubbish\n", "Undo it.")

    lab, late = Cluster({}), [[], [istiod.Proxy("productpage-v1-7bb75b6cc8-xd4vw", "default", errors={"Listener": "it is rubbish"})]]
    assert keysets.refusal(lab, refused) == "productpage-v1 refused Listener: it is rubbish"
    monkeypatch.setattr(istiod, "proxies", lambda client: late.pop(0))
    assert keysets.refusal(lab, lambda: None) == "productpage-v1 refused Listener: it is rubbish"
    monkeypatch.setattr(istiod, "proxies", lambda client: [istiod.Proxy("productpage-v1", "others", errors={"Listener": "another's"})])
    monkeypatch.setattr(keysets, "REFUSED", 0.0)
    with pytest.raises(MeshError, match="every proxy has taken it"):
        keysets.refusal(lab, lambda: None)


@pytest.mark.parametrize("refused", [False, True])
def test_a_change_is_waited_for_until_istiod_has_read_a_new_address_and_only_then(refused, monkeypatch):
    answers, settled, looks = [{"a": "old"}, {"a": "old"}, {"a": "old" if refused else "new"}], [], []
    errors = {"Listener": "rubbish"} if refused else {}
    monkeypatch.setattr(by_proxy, "token_keys", lambda *_: looks.append(1) or answers.pop(0))
    monkeypatch.setattr(istiod, "proxies", lambda _: [istiod.Proxy("p", "default", errors=errors if len(looks) == 3 else {})])
    monkeypatch.setattr(keysets.apply, "write", lambda lab, documents, command: keysets.Outcome(command, []))
    monkeypatch.setattr(keysets.converge, "settled", settled.append)
    monkeypatch.setattr(keysets, "_known", set())
    lab = Cluster({by_proxy.POD: [pod("productpage-v1-1", app="productpage")]})
    keysets.apply_with(lab, "21_jwt/11-by-uri.yaml", FILE="new.json")
    assert len(looks) == 3 and settled == [lab]
    keysets.apply_with(lab, "21_jwt/11-by-uri.yaml", FILE="new.json")
    assert len(looks) == 3, "what istiod has read it has at hand"


def test_a_file_has_a_name_that_nobody_has_asked_for():
    assert keysets.new_file() != keysets.new_file() and server.FILE.fullmatch(keysets.new_file())


# Asking.


def test_an_answer_is_told_by_its_status_and_its_sentence():
    answer = asking.Answer("curl", "HTTP/1.1 401 Unauthorized\nwww-authenticate: Bearer\n\nJwt is expired")
    assert answer.status == 401 and answer.said == "Jwt is expired" and "Jwt is expired" in str(answer)
    page = asking.Answer("curl", f"HTTP/1.1 200 OK\n\n<html>{'x' * 4000}")
    assert page.status == 200 and page.said == "" and len(page.shown) < 100
    assert asking.Answer("curl", "", "curl: (7) Failed").status == 0


def test_tokens_are_sent_each_by_a_request_of_its_own_and_none_is_in_the_line(monkeypatch):
    sent = []

    def execute(client, name, container, command):
        sent.append(command)
        return asking.channels.Done("\x1eHTTP/1.1 403 Forbidden\r\n\r\nRBAC: access denied\x1eHTTP/1.1 200 OK\r\n\r\n<html>", "", 0)

    monkeypatch.setattr(asking.channels, "execute", execute)
    lab = Cluster({asking.pods.POD: [pod("plain-client-1", app="plain-client")]})
    token = minting.mint(ONE)
    seen = asking.ask_each(lab, {"no token": None, "as it should be": token})
    assert seen.to_dict("list") == {"token": ["no token", "as it should be"], "status": [403, 200], "said": ["RBAC: access denied", ""]}
    config = sent[0][4]
    assert config.count("\nnext\n") == 1 and config.count("authorization: Bearer") == 1 and token in config
    monkeypatch.setattr(asking.channels, "execute", lambda *_: asking.channels.Done("\x1eHTTP/1.1 200 OK\r\n\r\n<html>", "", 0))
    answer = asking.ask(lab, token, host="books.example", method="POST")
    assert token not in str(answer) and '-X POST -H "Host: books.example" -H "Authorization: Bearer $TOKEN"' in answer.command
    with pytest.raises(TrafficError, match="no ready pod 'plain-client'"):
        asking.ask(Cluster({}), token)


def test_predictions_stand_beside_what_was_seen():
    table = asking.beside(told(good=200, none=403), {"good": 200, "none": ...})
    assert table["predicted"].tolist() == [200, "–"] and list(table.columns) == ["token", "predicted", "status", "said"]


# The server.


def test_only_a_file_of_its_folder_is_published():
    for name in ("../etc/passwd", "jwks", "a b.json"):
        with pytest.raises(TrafficError, match="cannot show"):
            server.publish(Cluster({}), {}, name)
    with pytest.raises(TrafficError, match="no ready pod 'keys'"):
        server.publish(Cluster({}), {}, "a.json")


def test_visits_are_read_from_what_the_server_prints():
    raw = Answer(200, {}, b"GET /a.json 200 Go-http-client/1.1 None\nTraceback\nGET /b.json?token=a.b.c 404 curl/8.16.0 quentin\n")
    lab = Cluster({server.pods.POD: [pod("keys-1", app="keys")]}, raw=lambda path, params: raw)
    assert server.visits(lab, "a.json").values.tolist() == [["/a.json", 200, "Go-http-client/1.1", "None"]]
    assert (
        server.visits(lab, "b.json").values.tolist() == [["/b.json?…", 404, "curl/8.16.0", "quentin"]]
        and len(server.visits(lab, "c.json")) == 0
    )


def test_what_istiod_could_not_read_is_told_once_by_address(monkeypatch):
    line = "2026-11-27T20:37:33Z\terror\tmodel\tFailed to fetch public key from jwks URI"
    log = f"""{line} "http://keys:8080/a.json": status 404, message "<html>"
{line} "http://keys:9999/a.json": Get "http://keys:9999/a.json": dial tcp 10.0.0.1:9999: connect: connection refused
{line} "http://keys:9999/a.json": Get "http://keys:9999/a.json": dial tcp 10.0.0.1:9999: connect: connection refused
{line} "http://keys:8080/b.json": status 500
"""
    monkeypatch.setattr(server.istiod, "pods", lambda client: [{"metadata": {"name": "istiod-1", "namespace": "istio-system"}}])
    lab = Cluster({}, raw=lambda path, params: Answer(200, {}, log.encode()))
    assert server.failures(lab, "a.json").values.tolist() == [
        ["http://keys:8080/a.json", "status 404"],
        ["http://keys:9999/a.json", "dial tcp 10.0.0.1:9999: connect: connection refused"],
    ]


def test_the_server_is_away_when_its_pods_are_and_its_address_refuses(monkeypatch):
    left, codes = [pod("keys-1", app="keys")], [28, 28, 7]
    monkeypatch.setattr(server, "curl", lambda lab, options: SimpleNamespace(code=codes.pop(0)))
    lab = Cluster({server.pods.POD: left}, run=lambda line: left.clear() or Output(line, ""))
    assert "--replicas=0" in server.shut_down(lab).command and not left and not codes


# The stream.


def statuses(*each):
    return pd.DataFrame({"status": each})


def test_a_stream_notes_during_what_and_by_whose_token(monkeypatch):
    carried = []

    def repeat(lab, token, n, path):
        carried.append(token)
        return [200] * n

    monkeypatch.setattr(rotation, "repeat", repeat)
    monkeypatch.setattr(rotation, "MOST", 10**9)
    with rotation.Stream(None, "t1", by="one") as stream:
        with stream.during("two beside it"):
            pass
        stream.use("t2", by="two")
    seen = stream.seen
    assert list(dict.fromkeys(seen.during)) == ["tokens by one", "two beside it", "tokens by two"]
    assert carried[0] == "t1" and carried[-1] == "t2" and len(seen) % rotation.BATCH == 0 and seen.second.is_monotonic_increasing


def test_a_stream_that_breaks_off_says_so(monkeypatch):
    def broken(*_, **__):
        raise TrafficError("None of 10 requests was answered.", "See why.")

    monkeypatch.setattr(rotation, "repeat", broken)
    with pytest.raises(TrafficError, match="None of 10"), rotation.Stream(None, "t", by="one") as stream:
        stream.use("t", by="two")


def test_a_stream_has_an_end(monkeypatch):
    monkeypatch.setattr(rotation, "repeat", lambda *_: [200] * rotation.BATCH)
    monkeypatch.setattr(rotation, "MOST", 40)
    with pytest.raises(MeshError, match="40 requests were sent"), rotation.Stream(None, "t", by="one") as stream:
        stream._thread.join(5)


# Pictures.


def test_pictures_say_in_words_what_they_show():
    assert "401" in way().caption and "403" in way().caption
    drawn = pictures.plot_stream(streamed(("tokens by one", "one", 200, 20), ("three in its place", "two", 401, 20)))
    assert drawn.caption == "40 requests. tokens by one: 0 failed; three in its place: 20 failed." and drawn.svg.count("#e0474c") >= 20


def way():
    return pictures.way_in()


def test_the_slider_sends_tokens_that_ended_so_long_ago(monkeypatch):
    lives = []

    def ask_each(lab, given):
        lives.extend(tokens.read(each).claims["exp"] - int(time.time()) for each in given.values())
        return told(**{name: 401 for name in given}, said="Jwt is expired")

    monkeypatch.setattr(pictures, "ask_each", ask_each)
    steps = list(pictures.grace(ONE)(None, 65))
    assert [each.done for each in steps] == [0, 5] and set(lives) <= {-65, -66} and len(lives) == 5
    assert steps[-1].sentence == "A token that ended 65 s ago: 5 times 401 (Jwt is expired)."
    assert len(steps[-1].picture._repr_html_()) < 6000 and "401" in steps[-1].picture.caption
    assert [each.done for each in pictures.grace(ONE)(None, -30, lambda: True)] == [0]


# Wrong answers.


def told(said="", **status):
    return pd.DataFrame({"token": list(status), "status": list(status.values()), "said": [said] * len(status)})


def named(**status):
    """As `told`, for names with spaces."""
    return told(**{name.replace("_", " "): each for name, each in status.items()})


def streamed(*parts):
    rows = [(during, by, status) for during, by, status, n in parts for _ in range(n)]
    return pd.DataFrame(rows, columns=["during", "by", "status"])


def every(**changed):
    due = {name: case.due for name, case in minting.cases().items()}
    return told(**{**due, **{name.replace("_", " "): each for name, each in changed.items()}})


def routed(**rows):
    table = [(name.replace("_", " "), *each) for name, each in rows.items()]
    return pd.DataFrame(table, columns=["token", "status", "version"])


ROBIN = {"sub": "robin", "lives": 600}
KEPT = statuses(*[200] * 40)
CAREFUL = [(each, "one" if "by two" not in each and "out" not in each else "two", 200, 20)
           for each in ("tokens by one", "two beside it", "tokens by two", "one taken out")]  # fmt: skip
GROUPS = {"no_token": 403, "no_groups": 403, "a_list": 200, "one_word": 200, "words_in_a_line": 403, "another_case": 403, "a_scope": 200}
GOOD = {"no_token": 200, "as_it_should_be": 200, "spoilt": 401}
READ = "by_the_key_that_was_read"
ACCEPTED = {"ended 55 s ago", "begins in 55 s", "never ends", "ended an hour ago, in milliseconds"}
GATEWAY = {"no_token": (200, "v1"), "somebody": (200, "v1"), "a_tester": (200, "v3"), "spoilt": (401, "–")}
RIGHT = [
    ("21.1", (ONE, minting.mint(ONE, **ROBIN)), {}),
    ("21.2", (named(**GOOD),), {}),
    ("21.3", (named(no_token=403, as_it_should_be=200, short=403), named(no_token=403, as_it_should_be=200, short=200), "sub"), {}),
    ("21.4", (every(), ACCEPTED), {}),
    ("21.5", (named(**GROUPS), {"a list", "one word", "a scope"}), {}),
    ("21.6", (KEPT, statuses(*[403] * 40)), {}),
    ("21.7", (routed(**GATEWAY),), {}),
    ("21.8", (streamed(*CAREFUL, ("three in its place", "two", 401, 8)),), {}),
    ("21.9", (named(**{READ: 200}), named(**{READ: 200}), named(**{READ: 401}), 0), {}),
]


@pytest.mark.parametrize(("number", "state", "answers"), RIGHT, ids=lambda each: each if isinstance(each, str) else "")
def test_a_check_passes_on_what_is_right(number, state, answers, capsys):
    check(number, *state, **answers)
    assert capsys.readouterr().out.startswith(f"✔ {number}")


SHORT = (named(no_token=403, as_it_should_be=200, short=403), named(no_token=403, as_it_should_be=200, short=200))


@pytest.mark.parametrize(
    ("number", "state", "sentence"),
    [
        ("21.1", (ONE, "token"), "has 1 parts"),
        ("21.1", (ONE, minting.mint(TWO, **ROBIN)), "its signature is not by this key"),
        ("21.1", (ONE, minting._edited(ONE, 0)), "its signature is not by this key"),
        ("21.1", (ONE, minting._none(ONE, 0)), "its signature is not by this key"),
        ("21.1", (ONE, minting.mint(ONE, lives=600)), "its claim sub is 'quentin', not 'robin'"),
        ("21.1", (ONE, minting.mint(ONE, **ROBIN, aud="warehouse")), "its claim aud is 'warehouse'"),
        ("21.1", (ONE, minting.mint(ONE, **ROBIN, exp=None)), "does not say when it ends"),
        ("21.1", (ONE, minting.mint(ONE, sub="robin")), r"it ends in 3,\d\d\d s"),
        ("21.1", (ONE, minting.mint(ONE, sub="robin", exp=int(time.time() + 600) * 1000)), r"it ends in 1,\d\d\d,\d\d\d,\d\d\d,\d\d\d s"),
        ("21.1", (ONE, minting.mint(ONE, sub="robin", lives=-5)), "it ends in -"),
        ("21.1", (ONE, jwt.encode({"alg": "RS256"}, tokens.read(minting.mint(ONE, **ROBIN)).claims, ONE)), "does not name the key"),
        ("21.2", (named(**{**GOOD, "as_it_should_be": 401}),), "the good token is answered 401"),
        ("21.2", (named(**{**GOOD, "no_token": 403}),), "without a token the answer is 403"),
        ("21.2", (named(**{**GOOD, "spoilt": 200}),), "the spoilt token is answered 200"),
        ("21.2", (named(no_token=200),), "no token 'as it should be'"),
        ("21.3", (*SHORT, "iss"), "'iss' is not what the short token lacks"),
        ("21.3", (*SHORT[::-1], "sub"), "answered 200 and then 403"),
        ("21.3", (named(no_token=200, as_it_should_be=200, short=403), SHORT[1], "sub"), "not 403 both times"),
        ("21.4", (every(), {"never ends"}), "4 tokens with something wrong got 200, and you name 1"),
        ("21.4", (every(), ACCEPTED | {"as it should be"}), "'as it should be' is answered 200, or has nothing wrong"),
        ("21.4", (every(), ACCEPTED | {"another audience"}), "'another audience' is answered 403"),
        ("21.4", (every(), {"expired"}), "there is no token 'expired'"),
        ("21.4", (every(another_audience=200), ACCEPTED), "'another audience' is answered 200, not 403"),
        ("21.4", (every(no_token=200), ACCEPTED), "'no token' is answered 200, not 403"),
        ("21.4", (every(ended_55_s_ago=401), ACCEPTED), "'ended 55 s ago' is answered 401, not 200"),
        ("21.4", (every(alg_none=200), ACCEPTED), "'alg none' is answered 200, not 401"),
        ("21.5", (named(**GROUPS), {"a list", "a scope"}), "'one word' is left out, and answered 200"),
        ("21.5", (named(**GROUPS), {"a list", "one word", "a scope", "words in a line"}), "'words in a line' is answered 403"),
        ("21.5", (named(**GROUPS), {"editors"}), "there is no token 'editors'"),
        ("21.5", (named(**dict.fromkeys(GROUPS, 200)), {"a list", "one word"}), "open to everybody"),
        ("21.5", (named(**dict.fromkeys(GROUPS, 403)), {"a list", "one word"}), "open to nobody"),
        ("21.6", (statuses(*[200] * 38, 403, 403), statuses(*[403] * 40)), "2 of 40 requests with the token handed on got 403"),
        ("21.6", (KEPT, KEPT), "40 of 40 requests were answered 200 without the token"),
        ("21.6", (KEPT, statuses(*[401] * 40)), "a request got 401"),
        ("21.7", (routed(**{**GATEWAY, "a_tester": (200, "v1")}),), "a tester is served by v1, not by v3"),
        ("21.7", (routed(**{**GATEWAY, "no_token": (200, "v3")}),), "no token is served by v3, not by v1"),
        ("21.7", (routed(**{**GATEWAY, "somebody": (403, "–")}),), "somebody is served by nobody, not by v1"),
        ("21.7", (routed(**{**GATEWAY, "spoilt": (200, "v1")}),), "the gateway answers a bad token 200"),
        ("21.8", (streamed(*CAREFUL[:2]),), "has not seen the whole exchange"),
        ("21.8", (streamed(*CAREFUL, ("tokens by two", "two", 401, 3)),), "3 requests failed, the first with 401 during 'tokens by two'"),
        ("21.8", (streamed(*CAREFUL, ("three in its place", "two", 200, 8)),), "nothing failed when a key was put in another's place"),
        ("21.9", (named(**{READ: 200}), named(**{READ: 200}), named(**{READ: 401}), 1000), "it was not 1000 of them"),
        ("21.9", (named(**{READ: 200}), named(**{READ: 401}), named(**{READ: 401}), 0), "200 before the outage, and 401 during it"),
        ("21.9", (named(**{READ: 200}), named(**{READ: 200}), named(**{READ: 200}), 0), "that nobody has read yet it got 200"),
    ],
)
def test_a_check_fails_on_a_wrong_answer_and_says_why(number, state, sentence):
    fails(number, *state, sentence=sentence)


ALLOWED = {"GET": {"no token": 403, "a reader": 200, "a librarian": 200, "an impostor": 200},
           "POST": {"no token": 403, "a reader": 403, "a librarian": 302, "an impostor": 403}}  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({}, None),
        ({("POST", "a reader"): 302}, "a reader may POST /login: 302"),
        ({("POST", "a librarian"): 403}, "a librarian may not POST /login: 403"),
        ({("GET", "a reader"): 403}, "a reader may not GET /productpage: 403"),
        ({("GET", "no token"): 200}, "no token may GET /productpage: 200"),
        ({("POST", "an impostor"): 302}, "an impostor may POST"),
        ({("GET", "a reader"): 401}, "a reader is answered 401"),
    ],
)
def test_readers_and_librarians(changed, sentence, monkeypatch, capsys):
    def ask_each(lab, given, path, method):
        for token in filter(None, given.values()):
            tokens.read(token)
        return told(**{name: changed.get((method, name), status) for name, status in ALLOWED[method].items()})

    monkeypatch.setattr(checks, "ask_each", ask_each)
    if sentence:
        fails("21.10", Cluster({}), ONE, sentence=sentence)
    else:
        check("21.10", Cluster({}), ONE)
        assert capsys.readouterr().out.startswith("✔ 21.10")


def test_what_is_published_is_told_as_a_line_for_a_terminal(monkeypatch):
    monkeypatch.setattr(server.channels, "execute", lambda *_: server.channels.Done("", "", 0))
    done = server.publish(Cluster({server.pods.POD: [pod("keys-1", app="keys")]}), keysets.key_set(ONE), "a.json")
    assert isinstance(done, Output) and done.command.endswith("< a.json") and ONE.as_dict(private=False)["n"] not in str(done)


def test_the_tenth_check_comes_after_the_ninth():
    assert numbers("21") == [f"21.{number}" for number in range(1, 11)]
