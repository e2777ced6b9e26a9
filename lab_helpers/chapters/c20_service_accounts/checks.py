"""Checks of chapter 20_service_accounts."""

from __future__ import annotations

import pandas as pd

from lab_helpers.chapters.c20_service_accounts.asking import who_may
from lab_helpers.istio.analysis import callers
from lab_helpers.show.checks import given, register, wrong
from lab_helpers.show.inputs import Pair, Words, table

CALLS = {("productpage", "details"), ("productpage", "reviews"), ("reviews", "ratings")}  # that the article's rules are for
FORGOTTEN = ("productpage", "ratings")
SERVICES = ("details", "reviews", "ratings")
LOOK = "kubectl get authorizationpolicy -o yaml shows who may do what."

# What the checks look at.
Identities = table(text=["pod", "service account", "identity"])
Three = table(numbers=SERVICES)
Two = table(numbers=["details", "ratings"])
Page = table(numbers=["productpage"])
Told = table(text=["destination_service_name", "source_principal", "response_code"], numbers=["requests"])
Strangers = table(text=["policy", "field", "value", "why"])


@register("20.1", "Who is who")
def who_is_who(identities: Identities, answer: Words) -> str:
    """Every proxy has the identity of its pod's account, and the learner knows which pods share one."""
    proven = identities[identities["identity"] != ""]
    if proven.empty:
        raise wrong("no pod has a certificate", 'Start at the checkpoint: lab.checkpoint("20_service_accounts").')
    for row in proven.itertuples(index=False, name=None):
        pod, account, identity = (row[proven.columns.get_loc(name)] for name in ("pod", "service account", "identity"))
        if not identity.endswith(f"/sa/{account}"):
            raise wrong(f"{pod} runs as {account}, and its certificate says {identity}", "Restart it: kubectl rollout restart deployment.")
    alike = set(proven[proven["identity"].duplicated(keep=False)]["pod"])
    named = given(answer)
    if unknown := sorted(named - set(identities["pod"])):
        raise wrong(f"there is no pod {unknown[0]!r} in the table", "Take names from its first column.")
    if named - alike:
        raise wrong(f"{min(named - alike)} has an identity that no other pod has", "Which lines of the column identity are the same?")
    if alike - named:
        raise wrong("there are more of them", "Which lines of the column identity are the same?")
    how_many = f"{len(proven)} pods have a certificate, with {proven['identity'].nunique()} identities"
    return f"{how_many}; no rule tells {', '.join(sorted(alike))} apart."


@register("20.2", "details is for productpage")
def details_for_productpage(seen: Three) -> str:
    """Productpage reads details, and nobody reads anything else."""
    _verdicts(seen, {("productpage", "details")})
    return f"productpage is answered by details, and {len(seen) - 1} other callers by nobody."


@register("20.3", "The three rules")
def three_rules(seen: Three, answer: Pair) -> str:
    """Just the three calls of the article are answered, and the learner knows which call of Bookinfo it has left out."""
    _verdicts(seen, CALLS)
    if tuple(answer) in CALLS:
        raise wrong(f"{answer[0]} is answered by {answer[1]}", "Which path of the page's API has not answered 200?")
    if tuple(answer) != FORGOTTEN:
        raise wrong(f"nothing in Bookinfo has {answer[0]} call {answer[1]}", "First who calls, then who is called: see the three paths.")
    return "three calls are answered, all others are not; and productpage, which asks ratings for its API, has been left out."


@register("20.4", "The same address")
def the_same_address(seen: Two) -> str:
    """From one pod, by its proxy and around it: a rule for an identity tells the two apart, a rule for an address does not."""
    around = "productpage/istio-proxy"
    _require(seen, ["client", "productpage", around])
    expected = {("productpage", "details"): 200, (around, "details"): 403, ("productpage", "ratings"): 200, (around, "ratings"): 200}
    _compare(seen, expected | {("client", "details"): 403, ("client", "ratings"): 403})
    return "who goes around the proxy has the pod's address, which opens ratings, and not its identity, which details asks for."


@register("20.5", "An account for everybody")
def account_for_everybody(seen: Two, answer: str) -> str:
    """Two pods of the account default get the same, a third gets what its account may; the learner can say why."""
    _require(seen, ["backup", "guest", "lookalike"])
    _compare(seen, {(each, "ratings"): 200 for each in ("backup", "guest")} | {(each, "details"): 403 for each in ("backup", "guest")})
    _compare(seen, {("lookalike", "details"): 200, ("lookalike", "ratings"): 403})
    if answer == "default":
        raise wrong("lookalike does not run as default", "Look for serviceAccountName in the manifest.")
    if answer != "bookinfo-productpage":
        raise wrong(f"lookalike does not run as {answer}", "The account stands in the manifest: serviceAccountName.")
    return f"backup and guest are one and the same to every rule, and lookalike is {answer}."


@register("20.6", "Names that nobody has")
def names_that_nobody_has(lab, found: Strangers, answer: str) -> str:
    """Three names are nobody's, and the learner's correction of the first one is somebody's: productpage's."""
    missing = {"allow-details", "allow-reviews", "allow-ratings"} - set(found["policy"])
    if missing:
        raise wrong(f"every name in {min(missing)} is somebody's", "Is 07-three-slips.yaml applied?")
    if why := callers.why("principals", answer, lab.namespace, callers.known(lab)):
        raise wrong(f"{answer!r} is nobody's identity", why)
    if answer != callers.principal((lab.namespace, "bookinfo-productpage")):
        raise wrong(f"{answer} is somebody else", "The rule is for productpage of your namespace.")
    return f"three names that no pod has, all of them taken without a word; what was meant is {answer}."


@register("20.7", "Behind the gateway")
def behind_the_gateway(seen: Page, told: Told, answer: str) -> str:
    """Client is let through, a reader through the gateway is not, and the learner knows whose identity productpage has seen."""
    _require(seen, ["client", "a reader"])
    _compare(seen, {("client", "productpage"): 200, ("a reader", "productpage"): 403})
    denied = told[(told["destination_service_name"] == "productpage") & (told["response_code"] == "403")]
    if denied.empty:
        raise wrong("the proxy of productpage has not denied anybody in this window", "Is 08-only-client.yaml applied?")
    if answer == "unknown":
        raise wrong("the one without an identity is plain-client", "Who else has been denied?")
    if answer not in set(denied["source_principal"]):
        raise wrong(f"{answer!r} has not been denied", "Copy it from the column source_principal, from a line with 403.")
    return f"every reader comes as {answer}."


@register("20.8", "Denied by name")
def no_name_at_all(by_name: Page, nameless: Page) -> str:
    """plain-client is not stopped by a rule that denies its account, and is by one that denies whoever has no identity."""
    for seen in (by_name, nameless):
        _require(seen, ["client", "plain-client"])
    _compare(by_name, {("client", "productpage"): 200, ("plain-client", "productpage"): 200})
    _compare(nameless, {("client", "productpage"): 200, ("plain-client", "productpage"): 403})
    return "denied by name, plain-client is answered; denied for want of a name, it is not."


@register("20.9", "An account of its own")
def account_of_its_own(lab) -> str:
    """Backup reads the ratings, guest does not any more, and everybody else is where they were."""
    seen = who_may(lab, ["backup", "guest", "reviews", "productpage"], ["details", "ratings"])
    for caller, service, status, hint in (
        ("backup", "ratings", 200, "As whom does it run (kubectl get pods -l app=backup -o yaml), and whom does ratings-for-backup name?"),
        ("guest", "ratings", 403, "Does ratings-for-backup still name default? And does backup run as another account?"),
        ("backup", "details", 403, "backup has no business there: is it an account that may do more?"),
        ("guest", "details", 403, "guest has no business there: as whom does it run?"),
        ("reviews", "ratings", 200, "Leave allow-ratings as it was."),
        ("productpage", "details", 200, "Leave allow-details as it was."),
    ):
        if seen.loc[caller, service] != status:
            raise wrong(f"{caller} gets {seen.loc[caller, service]} from {service}, and should get {status}", hint)
    return "backup may read the ratings, guest may not; all others are where they were."


def _verdicts(seen: pd.DataFrame, allowed: set[tuple[str, str]]) -> None:
    """Just the calls in `allowed` are answered, of all in a table that has at least the callers of Bookinfo and one more."""
    _require(seen, ["client", "productpage", "reviews", "ratings"])
    _compare(seen, {(caller, service): 200 if (caller, service) in allowed else 403 for caller in seen.index for service in SERVICES})


def _require(seen: pd.DataFrame, needed: list[str]) -> None:
    if missing := [each for each in needed if each not in seen.index]:
        raise wrong(f"the table has no line for {missing[0]}", f"Ask from {', '.join(needed)}: who_may(lab, [...], [...]).")


def _compare(seen: pd.DataFrame, expected: dict[tuple[str, str], int]) -> None:
    for (caller, service), status in expected.items():
        if seen.loc[caller, service] != status:
            raise wrong(f"{caller} gets {seen.loc[caller, service]:g} from {service}, and should get {status}", LOOK)
