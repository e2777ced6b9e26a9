"""Checks of chapter 09_virtual_service."""

from __future__ import annotations

from lab_helpers.chapters.c09_virtual_service.asking import Reply, ask
from lab_helpers.chapters.c09_virtual_service.heard import Heard, listening
from lab_helpers.show.checks import register, wrong
from lab_helpers.show.inputs import table
from lab_helpers.traffic import observe

TOOK = "x-envoy-upstream-service-time"
PAGE, BIN = "http://productpage:9080", "http://httpbin:8000"
# Over two pods, one of which takes no connection, a share outside of these fails by chance once in 10⁸ runs of so many requests.
HALF, ENOUGH = (0.3, 0.7), 200
# More than so many of them fail by chance less than once in 10⁸ runs if each is tried three times: a request fails once in 2,000 then.
MOST = 5

# What the checks look at.
Routes = table(text=["match", "retry on", "from"], numbers=["retries"])
Seen = table(numbers=["status", "latency_ms"])


@register("09.1", "How often the mesh tries by itself")
def tries_by_default(found: Routes, answer: int) -> str:
    """The learner has read the number of tries from the table of routes."""
    if len(found) != 1:
        raise wrong(f"details has {len(found)} routes", "Is there another VirtualService for it? kubectl get virtualservices.")
    tries = int(found["retries"].iloc[0]) + 1
    if answer != tries:
        raise wrong(f"{answer:g} is not the number of tries", "A *re*try is one more after the first.")
    return f"One, and {tries - 1} more if there is reason to: {found['retry on'].iloc[0]}."


@register("09.2", "Closed, for those whose proxy follows the rule")
def closed(lab) -> str:
    """`/` is answered by the client's proxy, the pages by productpage, and whoever has no proxy still gets all."""
    page, root = ask(lab, f"{PAGE}/productpage"), ask(lab, f"{PAGE}/")
    if page.status != 200:
        raise wrong(f"/productpage is answered {page.status}", "Which of the matches should it meet?")
    _answered_by_proxy(root, "/")
    plain = ask(lab, f"{PAGE}/", "plain-client")
    if plain.status != 200:
        raise wrong(f"plain-client is answered {plain.status} for /", "It has no proxy: does productpage run? kubectl get pods.")
    return "404 from the client's proxy for /, 200 for /productpage; plain-client has no proxy, and gets both."


@register("09.3", "One header less")
def header_removed(lab) -> str:
    """The page comes without the header that tells how long it took, and the paths are as they were."""
    page = ask(lab, f"{PAGE}/productpage")
    if page.status != 200:
        raise wrong(f"/productpage is answered {page.status}", "The VirtualService still has to lead there.")
    if TOOK in page.headers:
        raise wrong(f"the answer still has {TOOK}: {page.headers[TOOK]}", "headers, response, remove: beside route, not in it.")
    _answered_by_proxy(ask(lab, f"{PAGE}/"), "/")
    return f"/productpage comes without {TOOK}; / is still closed."


@register("09.4", "What a second try is worth")
def second_try(without: Seen, with_retries: Seen) -> str:
    """About half of the requests fail where nothing is tried again, and next to none where it is."""
    for seen in (without, with_retries):
        if len(seen) < ENOUGH:
            raise wrong(f"{len(seen)} requests do not say much", f"Send {ENOUGH} each time.")
    failed = [int((seen["status"] != 200).sum()) for seen in (without, with_retries)]
    low, high = HALF
    if not low * len(without) <= failed[0] <= high * len(without):
        hint = "Was 06-no-retries.yaml applied before? And are both pods of shaky ready: kubectl get pods -l shaky=true?"
        raise wrong(f"{failed[0]} of {len(without)} failed without retries, not about half", hint)
    if failed[1] > MOST:
        raise wrong(f"{failed[1]} of {len(with_retries)} failed with retries", "Is 06-no-retries.yaml still applied?")
    return f"{failed[0]} of {len(without)} failed without retries, {failed[1]} of {len(with_retries)} with the mesh's own."


@register("09.5", "How many calls three attempts make")
def three_attempts(seen: Seen, heard: Heard) -> str:
    """Every request that was answered 503 came to httpbin as often as the rule allows."""
    others = seen[seen["status"] != 503]
    if not len(seen) or len(others):
        raise wrong(f"{len(others)} of {len(seen)} requests were not answered 503", "Ask for /status/503.")
    if heard.times != 4 * len(seen):
        raise wrong(
            f"httpbin heard {heard.times / len(seen):g} calls a request",
            "attempts: 3 counts what comes after the first. And was anything else sent within listening(lab)?",
        )
    return f"{len(seen)} requests, {heard.times} calls: each was sent once, and three times more."


@register("09.6", "Two clocks")
def two_clocks(seen: Seen, heard: Heard) -> str:
    """The total timeout ended each request during its second try."""
    others = seen[seen["status"] != 504]
    if not len(seen) or len(others):
        raise wrong(f"{len(others)} of {len(seen)} requests were not answered 504", "Ask for /delay/2: no limit is so long.")
    quickest = seen["latency_ms"].min()
    if not 450 <= quickest < 850:
        raise wrong(f"the quickest answer took {quickest:.0f} ms", "With a total of 0.5 s, it should take about 500.")
    if heard.times != 2 * len(seen):
        raise wrong(f"httpbin heard {heard.times / len(seen):g} calls a request", "How many tries of 0.3 s begin within 0.5 s?")
    return f"{heard.times / len(seen):g} calls a request, and an end after {seen['latency_ms'].median() / 1000:.1f} s."


@register("09.7", "The shop, mended")
def shop_mended(lab) -> str:
    """Every path goes where it should, by what httpbin has heard."""
    with listening(lab) as heard:
        inside, beside, other = (ask(lab, f"{BIN}{path}") for path in ("/shop/get", "/shopping", "/get"))
    old = ask(lab, f"{BIN}/shop-old")
    if inside.status != 200 or heard.paths[:1] != ["/get"]:
        raise wrong(f"/shop/get is answered {inside.status}, and httpbin heard {_first(heard)}", "It should hear /get.")
    if not 300 <= old.status < 400 or not old.headers.get("location", "").endswith("/shop/get"):
        raise wrong(f"/shop-old is answered {old.status}", "It should be redirected: which rule takes it first?")
    if other.status != 200:
        raise wrong(f"/get is answered {other.status}", "A last route without match takes all the rest.")
    if heard.paths[1:2] != ["/shopping"] or beside.status != 404:
        raise wrong("/shopping is taken for a path of the shop", "A prefix ends anywhere; one with a slash ends at a segment.")
    return "/shop/get is heard as /get, /shop-old leads there, and what has nothing to do with the shop goes through unchanged."


@register("09.8", "Whose rule is in force")
def in_force(found: Routes, answer: str) -> str:
    """Of two VirtualServices for one host, the learner names the one that the client's proxy has routes of."""
    origins = set(found["from"])
    if len(origins) != 1 or "" in origins:
        raise wrong("the proxy has no routes of a VirtualService here, or of several", "kubectl get virtualservices: two are for httpbin.")
    if answer not in origins:
        raise wrong(f"no route comes from {answer}", "Look at the column from.")
    return f"All {len(found)} routes come from {answer}; of the other one, the proxy knows nothing."


@register("09.9", "Nobody pays twice")
def contract(lab) -> str:
    """The exercise: payments by a path of their own and once only, all else with one more try, a limit, and one header less."""
    with listening(lab) as heard:
        paid = ask(lab, f"{BIN}/pay/503", "client", "--request", "POST")
        alike = ask(lab, f"{BIN}/payday")
    payments = [path for path in heard.paths if path != "/payday"]
    if set(payments) != {"/status/503"}:
        raise wrong(f"of /pay/503 httpbin heard {', '.join(payments) or 'nothing'}", "It should hear /status/503.")
    if len(payments) != 1:
        raise wrong(f"one payment came to httpbin {len(payments)} times", "attempts: 0 switches off what the other route asks for.")
    if "/payday" not in heard.paths or alike.status != 404:
        raise wrong("/payday does not come through as it is", "It is no payment: a prefix ends anywhere. And the rest needs a route.")
    with listening(lab) as heard:
        ask(lab, f"{BIN}/status/503")
    if heard.times != 2:
        raise wrong(f"what is answered 503 comes to httpbin {heard.times} times, not twice", "attempts, and retryOn.")
    slow = observe.observe(lab, "httpbin", n=1, path="/delay/2").iloc[0]
    if slow["status"] != 504 or not 950 <= slow["latency_ms"] <= 1600:
        raise wrong(
            f"/delay/2 ends after {slow['latency_ms'] / 1000:.1f} s with {slow['status']}", "One second for the whole request: timeout."
        )
    if any(TOOK in reply.headers for reply in (paid, ask(lab, f"{BIN}/get"))):
        raise wrong(f"an answer still has {TOOK}", "headers stand in each route for itself.")
    return "Payments come once and by their own path, all else twice at most, nothing takes longer than a second, and nobody says how long."


def _answered_by_proxy(reply: Reply, path: str) -> None:
    if reply.status != 404:
        raise wrong(f"{path} is answered {reply.status} for client", "Does client have a sidecar, and is the VirtualService applied?")
    if TOOK in reply.headers:
        raise wrong(f"{path} was answered by productpage, and not by the client's proxy", "Only listed paths should lead there.")


def _first(heard: Heard) -> str:
    return heard.paths[0] if heard.times else "nothing"
