"""Checks of chapter 01_service_mesh."""

from __future__ import annotations

from lab_helpers.chapters.c01_service_mesh.callers import attempts
from lab_helpers.istio import proxies
from lab_helpers.kube.kinds import POD
from lab_helpers.show.checks import given, register, wrong
from lab_helpers.show.inputs import Words, table

# What somebody may want to name in a rule, and what the field is called in which a Kubernetes API would take it.
WORDS = {
    "pod": "podSelector", "namespace": "namespaceSelector", "address": "ipBlock", "port": "port",
    "method": "methods", "path": "paths", "service account": "serviceAccounts",
}  # fmt: skip
READ, OTHER, WRITE = "GET /ratings/0", "GET /ratings/1", "POST /ratings/99"  # a book that nobody looks at

# What the checks look at.
Heard = table(text=["source", "destination", "text"], flags=["legible"])
Identities = table(text=["pod", "identity"])
Calls = table(text=["source", "destination"], numbers=["requests"])


@register("01.1", "Without a mesh, whoever can send is answered")
def everybody_is_answered(lab) -> str:
    """No pod has a proxy, and three callers may both read and write."""
    meshed = [pod["metadata"]["name"] for pod in lab.client.list(POD) if proxies.has_proxy(pod)]
    if meshed:
        raise wrong(f"{meshed[0]} has a sidecar", f'This is about life without one: lab.checkpoint("01_service_mesh") in {lab.namespace}.')
    seen = attempts(lab, ["productpage", "reviews", "plain-client"], [READ, WRITE])
    for caller, row in seen.iterrows():
        for request, status in row.items():
            if status != 200:
                raise wrong(f"{caller} got {status} for {request}", "Does ratings run? Does a NetworkPolicy stand in the way?")
    return "productpage, reviews and plain-client may all read the ratings, and change them."


@register("01.2", "What a NetworkPolicy can name")
def what_a_network_policy_names(lab, answer: Words) -> str:
    """The learner's answer agrees with the API server's own list of fields."""
    named = given(answer)
    if unknown := sorted(named - set(WORDS)):
        raise wrong(f"{unknown[0]!r} was not among the words", f"Choose among: {', '.join(WORDS)}.")
    told = lab.run("kubectl explain networkpolicy.spec.ingress --recursive").stdout
    fields = {line.split()[0] for line in told.splitlines() if line.strip()}
    right = {word for word, field in WORDS.items() if field in fields}
    if named - right:
        raise wrong(f"a NetworkPolicy has no field for a {min(named - right)}", "Look at the list of fields again.")
    if right - named:
        raise wrong("it can name more than that", "Look below from: and ports: in the list of fields.")
    return f"{', '.join(sorted(right))}. No {', no '.join(word for word in WORDS if word not in right)}."


@register("01.3", "What is said on the wire")
def the_password_was_read(heard: Heard, answer: str) -> str:
    """A legible packet holds the password that the learner has read."""
    if not len(heard):
        raise wrong("no packet was overheard", "Was the command one that sends something to port 9080 of another pod?")
    logins = heard[heard["legible"] & heard["text"].str.contains("passwd=")]
    if not len(logins):
        raise wrong(f"none of {len(heard)} packets shows a password", "Do the two pods have sidecars already?")
    said = logins["text"].iloc[0].rpartition("passwd=")[2].split("&")[0]
    if answer != said:
        raise wrong(f"{answer!r} is not what was sent", "Read the last line of the POST again.")
    return f"{logins['source'].iloc[0]} sent it to {logins['destination'].iloc[0]} in plain text, and a third party has read it."


@register("01.4", "Who counts")
def nobody_counts(calls: Calls, answer: int) -> str:
    """The only edge that anybody has counted is the way in."""
    way_in = calls[calls["source"] == "ingressgateway"]
    inside = calls[calls["source"] != "ingressgateway"]
    if not way_in["requests"].sum():
        raise wrong("not even the gateway has counted anything", "Ask for some pages first: lab.page().")
    if len(inside):
        raise wrong(f"{inside['source'].iloc[0]} has counted its calls", "It has a proxy. Start this chapter at its checkpoint.")
    if answer != 0:
        raise wrong(f"nobody has counted {answer} calls", "Which arrows are in the picture, and which are not?")
    return f"the gateway counted {way_in['requests'].sum():,} requests on their way in. Of the calls between the services: nobody, none."


@register("01.5", "The three questions, answered")
def three_answers(lab, heard: Heard, identities: Identities, calls: Calls) -> str:
    """Only reviews may read, nothing legible passed, every caller has a name, and the calls between services are counted."""
    _verdicts(lab, {("reviews", READ): 200, ("reviews", WRITE): 403, ("productpage", READ): 403, ("plain-client", READ): 403})
    if not len(heard):
        raise wrong("no packet was overheard, so nothing is known about the wire", "Send something while the eavesdropper listens.")
    if heard["legible"].any():
        who = heard[heard["legible"]].iloc[0]
        raise wrong(f"{who['source']} spoke in plain text to {who['destination']}", "Do both have a sidecar?")
    unnamed = identities[(identities["identity"] == "") & (identities["pod"].str.contains("-v1|-v2|-v3"))]
    unnamed = unnamed[~unnamed["pod"].str.startswith("plain-client")]
    if len(unnamed):
        raise wrong(f"{unnamed['pod'].iloc[0]} has no certificate", "It was made before the namespace was labelled: restart it.")
    edges = {(row.source, row.destination) for row in calls.itertuples()}
    if not any(source.startswith("reviews") and destination == "ratings-v1" for source, destination in edges):
        raise wrong("no proxy has counted a call from reviews to ratings", "Ask for a few pages, until one has stars.")
    return f"allowed by identity, method and path; {len(heard)} packets and not one legible; {len(edges)} kinds of calls counted."


@register("01.6", "One more reader")
def one_more_reader(lab) -> str:
    """The client may read book 0, no other, and may not write; reviews is as it was."""
    expected = {
        ("client", READ): 200, ("client", OTHER): 403, ("client", WRITE): 403, ("reviews", OTHER): 200,
        ("productpage", READ): 403, ("plain-client", READ): 403,
    }  # fmt: skip
    _verdicts(lab, expected)
    return "client may read the ratings of book 0 and do nothing else; everybody else is where they were."


def _verdicts(lab, expected: dict[tuple[str, str], int]) -> None:
    callers, requests = (list(dict.fromkeys(each)) for each in zip(*expected, strict=True))
    seen = attempts(lab, callers, requests)
    for (caller, request), status in expected.items():
        if seen.loc[caller, request] != status:
            raise wrong(
                f"{caller} got {seen.loc[caller, request]} for {request}, and should get {status}",
                "kubectl get authorizationpolicy -o yaml shows who may do what; the log of ratings' proxy, why it refused. A connection "
                "that was open before a rule was made lives by the old one for one more answer: then check again.",
            )
