"""Chapter 13 without a mesh: a browser keeps its cookies, and each check fails on every way in which an answer can be wrong."""

import re

import pandas as pd
import pytest

from lab_helpers.chapters.c13_ab_testing import PHONE, Browser, check, checks, inside, visitors, who_got_what
from lab_helpers.core.errors import TrafficError
from lab_helpers.istio import gateway
from lab_helpers.istio.gateway import Page
from tests.wrong_answers import fails

SESSION = "eyJ1c2VyIjoicXVlbnRpbiJ9.aSgk3g.x9"  # {"user": "quentin"}, a time, a signature


class Lab:
    namespace, url = "learner", "http://192.0.2.1:30080"


@pytest.fixture
def asked(monkeypatch):
    """The pages that were asked for; each answers with what `given` holds, by the cookie that was sent."""
    sent, given = [], {}

    def page(lab, path, headers):
        sent.append((path, headers))
        more, text, version = given.get(headers.get("cookie", ""), ("", "", "v2"))
        return Page(f"{lab.url}{path}", 200, {"set-cookie": more} if more else {}, text, "reviews-1", version)

    monkeypatch.setattr(gateway, "page", page)
    return sent, given


def test_a_browser_sends_along_what_it_was_given(asked):
    sent, given = asked
    given[""] = ("group=b; Path=/", "", "v3")
    somebody = Browser(Lab, PHONE)
    somebody.page()
    assert somebody.cookies == {"group": "b"}
    somebody.cookies["session"] = SESSION
    somebody.page("/static/x")
    assert sent[0] == ("/productpage", {"host": "learner.lab", "user-agent": PHONE})
    assert sent[1] == ("/static/x", {"host": "learner.lab", "user-agent": PHONE, "cookie": f"group=b; session={SESSION}"})


def test_what_is_no_cookie_is_dropped(asked):
    _, given = asked
    given[""] = ("\x00=;;", "", "v2")
    somebody = Browser(Lab)
    somebody.page()
    assert somebody.cookies == {}


@pytest.mark.parametrize("user", ["", "  ", None, 7])
def test_nobody_logs_in_without_a_name(user):
    with pytest.raises(TrafficError, match="is not a user's name"):
        Browser(Lab).login(user)


class Gateway:
    """What urllib3 gives for a form."""

    def __init__(self, status, headers):
        self.status, self.headers, self.sent = status, headers, []

    def __call__(self, **_how):
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        return False

    def request(self, *positional, **named):
        self.sent.append((positional, named))
        return self


def test_logging_in_keeps_the_cookie_and_shows_the_line_for_a_terminal(monkeypatch):
    answered = Gateway(302, {"location": "/productpage", "set-cookie": f"session={SESSION}; HttpOnly; Path=/"})
    monkeypatch.setattr(gateway.urllib3, "PoolManager", answered)
    quentin = Browser(Lab)
    told = quentin.login("quentin")
    assert quentin.cookies == {"session": SESSION} and inside(quentin.cookies["session"]) == {"user": "quentin"}
    assert str(told).splitlines() == [
        "$ curl --include --header 'Host: learner.lab' --referer http://192.0.2.1:30080/productpage"
        " --data 'username=quentin&passwd=anything' http://192.0.2.1:30080/login",
        "302", "location: /productpage", f"set-cookie: session={SESSION}; HttpOnly; Path=/",
    ]  # fmt: skip
    assert answered.sent[0][1]["headers"]["referer"] == "http://192.0.2.1:30080/productpage"


@pytest.mark.parametrize(("status", "headers"), [(404, {}), (302, {}), (200, {"set-cookie": "a=b"})])
def test_what_is_no_login_says_so(monkeypatch, status, headers):
    monkeypatch.setattr(gateway.urllib3, "PoolManager", Gateway(status, headers))
    with pytest.raises(TrafficError, match=f"answered {status}, and gave no cookie"):
        Browser(Lab).login("quentin")


@pytest.mark.parametrize("cookie", ["", "b", "group=b", "....", "bnVsbA!!"])
def test_what_is_no_session_says_so(cookie):
    with pytest.raises(TrafficError, match="is no session cookie"):
        inside(cookie)


def test_a_row_a_visitor(asked):
    _, given = asked
    given[f"session={SESSION}"] = ("", '<p class="text-base font-medium text-gray-50">quentin</p>', "v3")
    quentin, nobody = Browser(Lab), Browser(Lab)
    quentin.cookies["session"] = SESSION
    table = who_got_what({"quentin": quentin, "nobody": nobody}, n=2)
    assert table.values.tolist() == [["quentin", "quentin", "v3", "none", 2], ["nobody", "", "v2", "none", 2]]
    with pytest.raises(TrafficError, match="No page is to be opened"):
        who_got_what({})


def test_newcomers_have_a_group_once_they_were_given_one(asked):
    _, given = asked
    given[""] = ("group=b; Path=/", "", "v2")
    given["group=b"] = ("", "", "v3")
    table = visitors.newcomers(Lab, number=2, n=3)
    assert table.values.tolist() == [[1, "b", "v2, v3, v3", True], [2, "b", "v2, v3, v3", True]]


# Judged.


def seen(*versions, n=12, status=200):
    return pd.DataFrame([(version, status) for version in versions for _ in range(n)], columns=["version", "status"])


def who(*rows, pages=12):
    return pd.DataFrame([(*row, "", pages) for row in rows], columns=visitors.COLUMNS)


def come(*rows):
    table = pd.DataFrame(rows, columns=["group", "versions"])
    return table.assign(visitor=1, changed=[len(set(each.split(", "))) > 1 for each in table["versions"]])


THREE = [("nobody", "", "v2"), ("quentin", "quentin", "v3"), ("alice", "alice", "v2")]
SIX = [("nobody, desk", "", "v1"), ("quentin, phone", "quentin", "v3"), ("alice, desk", "alice", "v3"), ("quentin, desk", "quentin", "v2")]
RIGHT = {"quentin, phone", "alice, desk"}
GROUPS = [("a", "v2, v2"), ("b", "v3, v3")]
POLICY = [seen(None, status=403), seen("v2"), who(*THREE)]


@pytest.mark.parametrize(
    ("number", "state"),
    [
        ("13.1", [who(*THREE)]),
        ("13.2", [seen("v2"), seen("v3"), "productpage"]),
        ("13.3", [seen("v3"), seen("v2")]),
        ("13.4", [who(*SIX), RIGHT]),
        ("13.5", [come(*GROUPS)]),
        ("13.7", POLICY),
    ],
)
def test_a_check_passes_on_the_right_answer(number, state, capsys):
    check(number, *state)
    assert capsys.readouterr().out.startswith(f"✔ {number} ")


@pytest.mark.parametrize(
    ("number", "state", "sentence"),
    [
        ("13.1", [who(*THREE[:1], ("quentin", "quentin", "v2"), THREE[2])], "quentin got v2, and should get v3"),
        ("13.1", [who(*THREE[:2], ("alice", "alice", "v3"))], "alice got v3, and should get v2"),
        ("13.1", [who(("nobody", "", "v1, v2"), *THREE[1:])], "nobody got v1, v2"),
        ("13.1", [who(*THREE[:2])], "nobody to compare quentin with"),
        ("13.1", [who(THREE[0], ("quentin", "", "v3"), THREE[2])], "nobody is logged in as quentin"),
        ("13.1", [who(*THREE, pages=2)], "nobody opened 2 pages"),
        ("13.1", [who()], "nobody is logged in"),
        ("13.2", [seen("v3"), seen("v3"), "productpage"], "through the gateway, v3 answered"),
        ("13.2", [seen("v2"), seen("v1", "v2", "v3"), "productpage"], "straight to reviews, v1, v2, v3 answered"),
        ("13.2", [seen("v2"), seen("v3", n=3), "productpage"], "3 requests straight to reviews could be chance"),
        ("13.2", [seen("v2"), seen("v3"), "browser"], "browser has passed the same request on"),
        ("13.2", [seen("v2"), seen("v3"), "sidecar"], "sidecar has passed the same request on"),
        ("13.2", [seen("v2"), seen("v3"), "jason"], "'jason' is none of the four"),
        ("13.3", [seen("v2"), seen("v2")], "a phone got v2, and should get v3"),
        ("13.3", [seen("v3"), seen("v3")], "a browser at a desk got v3"),
        ("13.3", [seen("v3"), seen("v2", status=503)], "at a desk, the statuses are 503"),
        ("13.3", [seen(), seen()], "0 requests for a phone"),
        ("13.4", [who(*SIX), {"quentin, phone"}], "1 more got v3 than you name"),
        ("13.4", [who(*SIX), RIGHT | {"quentin, desk"}], "quentin, desk did not get v3"),
        ("13.4", [who(*SIX), RIGHT | {"jason"}], "'jason' is no visitor"),
        ("13.4", [who(*THREE), "alice"], "alice did not get v3"),
        ("13.4", [who(("nobody", "", "v2")), {"nobody"}], "v3 went to nobody"),
        ("13.4", [who(("nobody", "", "v3")), {"nobody"}], "v3 went to everybody"),
        ("13.4", [who(*SIX[:3], ("quentin, desk", "quentin", "v2, v3")), RIGHT], "quentin, desk got more than one version"),
        ("13.5", [come(("a", "v2, v3"), ("b", "v3, v3"))], "1 of 2 visitors changed version"),
        ("13.5", [come(*GROUPS, ("", "v2, v2"))], "1 visitors were given no group"),
        ("13.5", [come(("a", "v2, v2"), ("a", "v2, v2"))], "all 2 visitors are in group a"),
        ("13.5", [come(("a", "v2, v2"), ("b", "v2, v2"))], "group b got v2, and should get v3"),
        ("13.7", [seen("v3"), *POLICY[1:]], "with a forged header, the statuses are 200"),
        ("13.7", [POLICY[0], seen(None, status=403), POLICY[2]], "without the header, the statuses are 403"),
        ("13.7", [*POLICY[:2], who(("quentin", "quentin", "none"))], "quentin does not get v3 any more"),
        ("13.7", [*POLICY[:2], who(*THREE[:1])], "quentin does not get v3 any more"),
    ],
)
def test_a_check_fails_on_a_wrong_answer_and_says_why(number, state, sentence):
    fails(number, *state, sentence=sentence)


@pytest.mark.parametrize(
    ("matches", "sentence"),
    [
        (lambda cookie: cookie == "group=b", "with cookie: group=b; session=x, v2 answered, and v3 should"),
        (lambda cookie: cookie.startswith("group=b"), "with cookie: session=x; group=b, v2 answered"),
        (lambda cookie: "group=b" in cookie, "with cookie: group=bb, v3 answered, and v2 should"),
        (lambda cookie: re.fullmatch(r".*group=b(;.*)?", cookie), "with cookie: subgroup=b, v3 answered"),
        (lambda cookie: re.fullmatch(r"(.*[; =])?group=b(;.*)?", cookie), "with cookie: note=group=b, v3 answered"),
        (lambda cookie: True, "with cookie: group=a, v3 answered"),
        (lambda cookie: False, "with cookie: group=b, v2 answered, and v3 should"),
        (lambda cookie: re.fullmatch(r"^(.*;\s*)?group=b(;.*)?$", cookie), ""),
        (lambda cookie: re.fullmatch(r"(.*; )?group=b(;.*)?", cookie), ""),
    ],
)
def test_a_pattern_has_to_take_the_cookie_wherever_it_stands_and_no_other(monkeypatch, matches, sentence, capsys):
    monkeypatch.setattr(checks.observe, "observe", lambda lab, service, n, headers: seen("v3" if matches(headers["cookie"]) else "v2", n=n))
    lab = type("Lab", (), {"client": None, "namespace": "default"})
    if sentence:
        fails("13.6", lab, sentence=sentence)
    else:
        check("13.6", lab)
        assert capsys.readouterr().out.startswith("✔ 13.6 ")
