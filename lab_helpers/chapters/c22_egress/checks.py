"""Checks of chapter 22_egress."""

from __future__ import annotations

from lab_helpers.chapters.c22_egress import everybody, visits
from lab_helpers.chapters.c22_egress.visitor import visitor
from lab_helpers.istio import installation
from lab_helpers.kube.kinds import Kind
from lab_helpers.show.checks import given, register, wrong
from lab_helpers.show.inputs import Words, table

COFFEE, TEA, LOST = (f"https://{name}.example" for name in ("coffee", "tea", "lost"))
PLAIN = {COFFEE: "http://coffee.example", TEA: "http://tea.example", LOST: "http://lost.example"}
CALLERS = ("client", "productpage", "reviews")
OURS = ("VirtualService", "DestinationRule", "Gateway", "ServiceEntry", "Sidecar", "AuthorizationPolicy")
WAYS = ("HTTP", "HTTPS", "past the proxy")
INSIDE = {
    "productpage": ["http://details:9080/details/0", "http://reviews:9080/reviews/0"],
    "reviews": ["http://ratings:9080/ratings/0"],
}
STAYS = ("bookinfo", "bookinfo-gateway")  # what the chapter begins with

# What the checks look at.
Reached = table(text=visits.COLUMNS)
Changes = table(text=["object", everybody.UNLIKE])


@register("22.1", "What the proxy knows of a visit")
def known(seen: Reached, answer: Words) -> str:
    """Declared sites have a cluster of their own, the third has not; and the learner says what stands in the log of such a connection."""
    ways = dict(zip(seen["asks"], seen["by"], strict=True))
    for site in (COFFEE, TEA):
        if not ways.get(site, "").startswith("outbound|443||"):
            raise wrong(f"{site} went by {ways.get(site, 'no proxy')}", "Is 01-two-sites.yaml applied, and were all three asked?")
    if ways.get(LOST) != visits.PASSED:
        raise wrong(f"{LOST} went by {ways.get(LOST, 'no proxy')}", "Nobody should have declared it: kubectl get serviceentry.")
    facts = {"name": True, "bytes": True, "duration": True, "method": False, "path": False, "status": False}
    named = given(answer)
    if strangers := sorted(named - set(facts)):
        raise wrong(f"{strangers[0]!r} is none of the six", f"They are: {', '.join(facts)}.")
    if unseen := sorted(each for each in named if not facts[each]):
        raise wrong(f"the line of a connection has no {unseen[0]}", "A dash, or a 0, stands where nothing is known.")
    if left := sorted(each for each, known in facts.items() if known and each not in named):
        raise wrong(f"{len(left)} more can be read in it", "Numbers are something, too.")
    return "of a connection under TLS the proxy knows the name, the bytes and the time. Only the two that are declared have a cluster."


@register("22.2", "What one line would take along")
def taken_along(changes: Changes, answer: str) -> str:
    """The learner names the Deployment that the article's line would delete."""
    gone = [
        each.split(" ", 1)[1] for each in changes.loc[changes[everybody.UNLIKE] == "deleted", "object"] if each.startswith("Deployment ")
    ]
    if not gone:
        raise wrong("this line would delete no Deployment", "Is it the line without a profile?")
    if answer.strip() not in gone:
        raise wrong(f"Deployment {answer.strip()!r} would not be deleted", "Look for the kind Deployment, and for the word deleted.")
    made = [each.split(" ", 1)[1] for each in changes.loc[changes[everybody.UNLIKE] == "created", "object"]]
    return f"{' and '.join(gone)} would be deleted, and made would be: {', '.join(made) or 'nothing'}."


@register("22.3", "Two voices")
def two_voices(seen: Reached, answer: Words) -> str:
    """What is not declared is cut off under TLS and answered 502 under HTTP, a port as much as a name; the declared are answered."""
    found = dict(zip(seen["asks"], seen["outcome"], strict=True))
    due = {COFFEE: "200", TEA: "200", LOST: "reset", **dict.fromkeys(PLAIN.values(), "502")}
    for asks, wanted in due.items():
        if asks not in found:
            raise wrong(f"nobody has asked for {asks}", "Ask for all six.")
        if found[asks] != wanted:
            raise wrong(
                f"{asks} ended with {found[asks]}, not {wanted}", "Is the mesh closed, and are both sites declared, for port 443 only?"
            )
    open_ = {asks for asks, outcome in found.items() if outcome == "200"}
    named = {each if "://" in each else f"https://{each}" for each in given(answer)}
    if strangers := sorted(named - open_):
        raise wrong(f"{strangers[0]} was answered {found.get(strangers[0], 'to nobody')}", "Look down the column outcome.")
    if named != open_:
        raise wrong(f"{len(open_)} of the six got their page, and you name {len(named)}", "Look down the column outcome.")
    return "two of six get their page. The others: 502 for HTTP, a reset for TLS; and port 80 of a site is not its port 443."


@register("22.4", "This namespace, and no other")
def namespace_closed(lab) -> str:
    """A caller of the namespace is kept from what nobody has declared, and a caller of another one is not."""
    ours, theirs = (visits.curl(each, LOST).outcome for each in (lab, visitor(lab)))
    if ours != "reset":
        raise wrong(f"our client asks for {LOST} and gets {ours}", "A Sidecar without workloadSelector, with outboundTrafficPolicy.")
    if theirs != "200":
        raise wrong(f"the visitor asks for {LOST} and gets {theirs}", "The mesh should be open: has the upgrade been taken back?")
    declared = visits.curl(lab, COFFEE).outcome
    if declared != "200":
        raise wrong(f"our client asks for {COFFEE} and gets {declared}", "It is declared: does the Sidecar leave it out?")
    return f"{LOST} is cut off for us and there for the visitor; {COFFEE} is there for us."


@register("22.5", "To each its own site")
def one_each(lab) -> str:
    """One of two workloads reaches one site only, the other the other; both serve the page as before; a third is free."""
    seen = visits.reach(lab, (COFFEE, TEA, LOST), CALLERS)
    found = {(row["caller"], row["asks"]): row["outcome"] for row in seen.to_dict("records")}
    for caller, own in (("productpage", COFFEE), ("reviews", TEA)):
        for site in (COFFEE, TEA, LOST):
            outcome = found[caller, site]
            if site == own and outcome != "200":
                raise wrong(
                    f"{caller} asks for {site} and gets {outcome}", f"Do the hosts of its Sidecar have ./{site.partition('//')[2]}?"
                )
            if site != own and outcome == "200":
                hint = "It should not be among its hosts; and what is not among them has to be shut: outboundTrafficPolicy."
                raise wrong(f"{caller} gets {site} as well", hint)
    if free := sorted(site for site in (COFFEE, TEA, LOST) if found["client", site] != "200"):
        raise wrong(
            f"client asks for {free[0]} and gets {found['client', free[0]]}", "Its proxy should not be told anything: workloadSelector."
        )
    for caller, calls in INSIDE.items():
        for row in visits.reach(lab, calls, [caller]).to_dict("records"):
            if row["outcome"] != "200":
                hint = "It still has to know its own namespace's services: ./*.svc.cluster.local."
                raise wrong(f"{caller} asks for {row['asks']} and gets {row['outcome']}", hint)
    return "productpage reaches coffee.example only, reviews tea.example only, client all three; and inside all calls are answered."


@register("22.6", "HTTP inside, TLS outside")
def originated(lab) -> str:
    """Who asks in HTTP is answered by the site over TLS, with the certificate verified, and who brings TLS of its own is answered, too."""
    plain, own = visits.curl(lab, PLAIN[COFFEE]), visits.curl(lab, COFFEE)
    if plain.status != 200:
        hints = {503: "Does the rule select client, and name the Secret?", 301: "Is port 80 declared, with targetPort 443?"}
        raise wrong(f"{PLAIN[COFFEE]} is answered {plain.outcome}", hints.get(plain.status, "Is 06-http-to-tls.yaml applied?"))
    if own.status != 200:
        raise wrong(f"{COFFEE} fails: {own.stderr.strip().partition(chr(10))[0]}", "TLS twice: to which ports does the rule apply?")
    rules = [each for each in lab.client.list(Kind("networking.istio.io/v1", "DestinationRule")) if _insecure(each)]
    if rules:
        raise wrong(f"{rules[0]['metadata']['name']} has the certificate not verified", "Without insecureSkipVerify, please.")
    return f"both are answered 200; the site saw TLS for {plain.told['sni']} under the HTTP."


@register("22.7", "By the gateway, and by identity")
def by_gateway(lab) -> str:
    """Of three callers and two sites two pairs get through, and the sites see the gateway only."""
    seen = visits.reach(lab, list(PLAIN.values())[:2], CALLERS)
    for row in seen.to_dict("records"):
        due = "200" if (row["caller"], row["asks"]) in {("productpage", PLAIN[COFFEE]), ("reviews", PLAIN[TEA])} else "403"
        asked = f"{row['caller']} asks for {row['asks']}"
        if "own-egress" not in row["by"]:
            raise wrong(f"{asked}, and its proxy sends it by {row['by']}", "Is by-egress there, for gateways mesh and own-egress?")
        if row["outcome"] != due:
            raise wrong(f"{asked} and gets {row['outcome']}, not {due}", "See the rules of AuthorizationPolicy own-egress.")
        if due == "200" and row["seen as"] != "own-egress":
            raise wrong(f"{asked}, and the site sees {row['seen as']}", "Its traffic should come out of the gateway.")
    return "productpage gets coffee, reviews gets tea, the other four requests get 403; the sites see the gateway, whoever asks."


@register("22.8", "Ways round the gateway")
def ways_round(seen: Reached, past: str, answer: Words) -> str:
    """The learner names the ways by which client got out although the gateway would not have let it."""
    by = {row["asks"]: row for row in seen[seen["caller"] == "client"].to_dict("records")}
    missing = [asks for asks in (COFFEE, PLAIN[COFFEE]) if asks not in by]
    if missing:
        raise wrong(f"client has not asked for {missing[0]}", "Run the cell above.")
    open_ = {
        way for way, outcome in zip(WAYS, (by[PLAIN[COFFEE]]["outcome"], by[COFFEE]["outcome"], past), strict=True) if outcome == "200"
    }
    named = given(answer)
    if strangers := sorted(named - set(WAYS)):
        raise wrong(f"{strangers[0]!r} is none of the three", f"They are: {', '.join(WAYS)}.")
    if shut := sorted(named - open_):
        raise wrong(f"{shut[0]} did not get client out", "Look at the outcomes above.")
    if named != open_:
        raise wrong(f"{len(open_)} of the three ways are open, and you name {len(named)}", "Look at the outcomes above.")
    return f"open to client, whom the gateway knows and refuses: {' and '.join(sorted(named)) or 'none'}."


@register("22.9", "As before")
def as_before(lab) -> str:
    """Nothing of the chapter is left in the namespace, and the mesh's own settings are those that the course has installed."""
    for kind in OURS:
        group = "security" if kind == "AuthorizationPolicy" else "networking"
        names = [each["metadata"]["name"] for each in lab.client.list(Kind(f"{group}.istio.io/v1", kind))]
        if left := [name for name in names if name not in STAYS]:
            raise wrong(f"{kind} {left[0]} is still there", f"kubectl delete {kind.lower()} {left[0]}")
    if found := installation.problems(lab):
        raise wrong(f"of Istio, {found[0]}", "upgrade(lab, agreed=True) installs what the course begins with.")
    shut = sorted(name for name, mode in everybody.modes(lab, {lab.namespace}).items() if mode != "ALLOW_ANY")
    if shut:
        raise wrong(f"{shut[0]} still knows REGISTRY_ONLY", "Has the upgrade been taken back? upgrade(lab, agreed=True)")
    return "no rule of this chapter is left, and whatever is not declared passes again."


def _insecure(document: dict) -> bool:
    return "'insecureSkipVerify': True" in str(document["spec"])
