"""Checks of chapter 18_mtls."""

from __future__ import annotations

import difflib

import pandas as pd
from cryptography import x509

from lab_helpers.chapters.c18_mtls import certificates, logs, outside
from lab_helpers.chapters.c18_mtls.calls import Call
from lab_helpers.chapters.c18_mtls.endpoints import spoken
from lab_helpers.chapters.c18_mtls.ways import RESET, WAYS, ask
from lab_helpers.istio import apply, proxies
from lab_helpers.kube import pods
from lab_helpers.kube.kinds import POD, Kind
from lab_helpers.show.checks import given, register, wrong
from lab_helpers.show.inputs import Words, table

POLICY = Kind("security.istio.io/v1", "PeerAuthentication")
OTHERS = ("ratings", "reviews", "productpage")  # who is to take no plain text, in the exercise
SOON = 0.8  # of its life: by then a certificate is replaced, which is due after half of it

# What the checks look at.
Lives = table(numbers=["fetched", "expires", "lifetime"], measured=["renewed_after"])


@register("18.1", "What cannot be hidden")
def port_on_the_wire(inside: Call, answer: int) -> str:
    """The learner has read the port in what the client proxy sends before anything is encrypted."""
    if inside.heard.empty:
        raise wrong("nothing was heard of that call", "Does the eavesdropper run? kubectl get pods.")
    if inside.heard["legible"].any():
        raise wrong("a packet of it is plain text", "It should be the call of client, which has a sidecar.")
    name = _server_name(inside.heard)
    if not name:
        raise wrong("there is no handshake in it: its connection was open before", "Run lab.restart('client'), and both calls once more.")
    if f".{answer:g}_" not in name:
        raise wrong(f"the bytes do not say {answer:g}", "Read the first packet: what stands before the service's name?")
    return f"{name}: whom it wants to speak to, a client says before anything is encrypted."


@register("18.2", "Who has signed it")
def signer(lab, certificate: x509.Certificate, answer: str) -> str:
    """The learner names the ConfigMap with the certificate of whoever has signed this one."""
    found = certificates.signers(lab, certificate)
    if answer not in found.index:
        raise wrong(f"{answer!r} is none of the two", f"They are: {', '.join(found.index)}.")
    if not found.any():
        raise wrong("neither of the two has signed this certificate", "Is it one of the mesh? It should come from s_client.")
    if not found[answer]:
        raise wrong(f"the signature does not fit the key in {answer}", "What does signers(lab, certificate) say?")
    return f"{certificates.identity(certificate)} was signed with the key that {answer} belongs to."


@register("18.3", "Mutual TLS or nothing")
def strict(lab) -> str:
    """Whoever has a sidecar is answered, the others are not, whether by plain text or by TLS."""
    if not any(_mode(each) == "STRICT" and not _selector(each) for each in lab.client.list(POLICY)):
        raise wrong("no PeerAuthentication asks for STRICT in the whole namespace", "Apply 18_mtls/02-strict.yaml.")
    answers = ask(lab, "client", "ingress gateway", "plain-client", "NodePort")
    for way, due in zip(answers.index, ("200", "200", RESET, RESET), strict=True):
        if answers[way] != due:
            raise wrong(f"{way} is told {answers[way]}, and should be: {due}", "Is there another rule? kubectl get peerauthentication.")
    tried = outside.knock(lab, *outside.KINDS[1:])
    if answered := [each.kind for each in tried.itertuples() if each.answer.isdigit()]:
        raise wrong(f"by {answered[0]}, one gets in", "Look at the rules: kubectl get peerauthentication.")
    return "client and the gateway are answered; plain text is cut off, and so is TLS without a certificate of the mesh."


@register("18.4", "Which ways are left")
def ways_in(lab, answer: Words) -> str:
    """The learner names those of several ways by which a strict workload still answers."""
    true = ask(lab, "client", "client, by address", "plain-client", "port-forward", service="ratings")
    if true["plain-client"] != RESET:
        raise wrong("ratings takes plain text", "This is about STRICT: apply 18_mtls/02-strict.yaml.")
    left, named = {way for way in true.index if true[way] == "200"}, given(answer)
    if strange := sorted(named - set(WAYS)):
        raise wrong(f"{strange[0]!r} is none of the ways", f"They are: {'; '.join(true.index)}.")
    if extra := sorted(named - left):
        raise wrong(f"{extra[0]} is told {true.get(extra[0], 'nothing: it was not tried')}", "Look at the answers above.")
    if named != left:
        raise wrong(f"there {'is' if len(left - named) == 1 else 'are'} {len(left - named)} more", "Look at the answers above.")
    return f"{' and '.join(each for each in true.index if each in left)}."


@register("18.5", "Two ends, two words for it")
def flags(lab, answer: dict) -> str:
    """The learner has read the flag that each of the two proxies has given the call."""
    told = logs.logged(lab, lambda: ask(lab, "client", service="ratings"), "client", "ratings", path="/ratings")
    true = dict(told["flags"])
    if true["client"] == "-":
        raise wrong("ratings answers client", "Is 18_mtls/03-without-tls.yaml applied?")
    if set(answer) != set(true):
        raise wrong(f"your answer is about {', '.join(map(str, answer)) or 'nobody'}", "It should be about client and ratings.")
    for app, said in answer.items():
        if said != true[app]:
            raise wrong(f"the proxy of {app} has not written {said!r}", "Two capital letters, in the column flags.")
    return f"client's proxy: {true['client']}, the connection was ended. That of ratings: {true['ratings']}, no way to take it."


@register("18.6", "Before it ends")
def renewed(lives: Lives, answered: pd.Series) -> str:
    """Each certificate was replaced well before its end, and no request failed meanwhile."""
    if len(lives) < 2:
        raise wrong(f"{len(lives)} certificate is no rotation", "Wait for the next: history(lab, 'httpbin').")
    late = lives[lives["renewed_after"] > SOON * lives["lifetime"]]
    if len(late):
        raise wrong(f"one of them was replaced after {late['renewed_after'].iloc[0]:.0f} s only", "Is istiod well? kubectl get pods -A.")
    if not len(answered):
        raise wrong("no request was sent meanwhile", "going = Going(lab) starts them.")
    failed = answered[answered.index != "200"]
    if len(failed):
        raise wrong(f"{failed.iloc[0]} requests got {failed.index[0]}", "Does httpbin run? kubectl get pods.")
    share = (lives["renewed_after"] / lives["lifetime"]).mean()
    return f"Replaced after {share:.0%} of their time, on average; {answered.sum()} of {answered.sum()} requests answered."


@register("18.7", "One port")
def one_port(lab, answer: str) -> str:
    """At httpbin's port anybody is answered, elsewhere nobody without mutual TLS; the learner says how the mesh itself calls httpbin."""
    for service, due in (("httpbin", "200"), ("ratings", RESET)):
        plain = ask(lab, "plain-client", service=service)["plain-client"]
        if plain != due:
            raise wrong(f"plain-client is told {plain} by {service}, and should be: {due}", "Which port do the rules name? And whose?")
    safe = spoken(lab, "client", "httpbin")
    true = "mutual TLS" if safe else "plain text"
    if answer not in ("mutual TLS", "plain text"):
        raise wrong(f"{answer!r} is neither of the two", 'It is "mutual TLS" or "plain text".')
    if answer != true:
        raise wrong(f"client does not call httpbin by {answer}", "What was httpbin told of client's certificate?")
    return f"httpbin takes whatever comes at that port, ratings does not; and client's proxy has changed over to {true} by itself."


@register("18.8", "The narrower one")
def narrower(lab, alone: pd.Series, both: pd.Series) -> str:
    """What the mesh says held where the namespace said nothing, and not where it said something; and it is taken back."""
    for series, due, where in ((alone, RESET, "with the mesh's rule alone"), (both, "200", "with the namespace's rule beside it")):
        if "plain-client" not in series.index or "client" not in series.index:
            raise wrong(f"nobody was asked {where}", "Run the cell above.")
        if series["client"] != "200":
            raise wrong(f"client was told {series['client']} {where}", "Does productpage run? kubectl get pods.")
        if series["plain-client"] != due:
            raise wrong(f"plain-client was told {series['plain-client']} {where}", "Which rules were there? Run the cell above once more.")
    left = [each for each in lab.client.list(POLICY, apply.ROOT) if apply.made_here(each)]
    if left:
        name = left[0]["metadata"]["name"]
        raise wrong(f"PeerAuthentication {name} still governs the whole mesh", 'lab.delete("18_mtls/07-whole-mesh.yaml")')
    return "The mesh's rule holds where a namespace has none of its own."


@register("18.9", "All but one")
def all_but_one(lab) -> str:
    """The exercise: plain text for details, for the rest of the namespace mutual TLS or nothing."""
    here = [pod for pod in lab.client.list(POD) if proxies.has_proxy(pod)]
    values = sorted({each for pod in here for each in pods.labels(pod).values()})
    for policy in lab.client.list(POLICY):
        wanted = _selector(policy)
        if wanted and not any(wanted.items() <= pods.labels(pod).items() for pod in here):
            close = [near for each in wanted.values() for near in difflib.get_close_matches(each, values, n=1)]
            do = f"Did you mean {close[0]}?" if close else "kubectl get pods --show-labels has the labels."
            said = ", ".join(f"{key}: {value}" for key, value in wanted.items())
            raise wrong(f"PeerAuthentication {policy['metadata']['name']} selects no pod: none has {said}", do)
    for way, due in (("client", "200"), ("plain-client", "200")):
        told = ask(lab, way, service="details")[way]
        if told != due:
            raise wrong(f"{way} is told {told} by details", "Which rule is for the pods of details alone, and what does it say?")
    for service in OTHERS:
        told = ask(lab, "client", "plain-client", service=service)
        if told["plain-client"] != RESET:
            raise wrong(f"plain-client is answered by {service}, too", "Which rule is for all the others?")
        if told["client"] != "200":
            raise wrong(f"client is told {told['client']} by {service}", "Does a DestinationRule say how it is to be called?")
    if not spoken(lab, "client", "details"):
        raise wrong("client calls details in plain text now", "PERMISSIVE takes both; DISABLE has everybody speak plain text.")
    return "details takes plain text as well; nobody else does, and whoever can still speaks mutual TLS to it."


def _server_name(heard: pd.DataFrame) -> str:
    """The name of the service that a client asks for in the first packet of a handshake: Istio's form of it."""
    found = heard["text"].str.extract(r"(outbound_\.\d+_\.[\w-]*_?\.[\w.-]+?\.svc\.cluster\.local)", expand=False).dropna()
    return found.iloc[0] if len(found) else ""


def _mode(policy: dict) -> str:
    return ((policy.get("spec") or {}).get("mtls") or {}).get("mode", "UNSET")


def _selector(policy: dict) -> dict:
    return ((policy.get("spec") or {}).get("selector") or {}).get("matchLabels") or {}
