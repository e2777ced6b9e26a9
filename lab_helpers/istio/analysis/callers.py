"""Callers that an AuthorizationPolicy names and nobody is: Istio takes any name, and whoever was meant is not known by it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from lab_helpers.core.manifests import title
from lab_helpers.istio import proxies
from lab_helpers.kube.kinds import POD, SERVICE_ACCOUNT

SCHEME = "spiffe://"
LOCAL = "cluster.local"  # in a policy it stands for the mesh's own trust domain, whatever that is called
FORM = re.compile(r"(?P<domain>[^/]+)/ns/(?P<namespace>[^/]+)/sa/(?P<account>[^/]+)")
FIELDS = ("principals", "notPrincipals", "serviceAccounts", "notServiceAccounts")
CONDITIONS = {"source.principal": "principals", "source.serviceAccount": "serviceAccounts"}
Account = tuple[str, str]  # namespace, name


class Stranger(NamedTuple):
    """A name in a policy that is nobody's.

    Attributes
    ----------
    policy : str
        ``AuthorizationPolicy allow-details``.
    field, value : str
        Where it stands, and as what.
    why : str
        What is wrong with it, and the names that it may have meant.
    """

    policy: str
    field: str
    value: str
    why: str


class Known(NamedTuple):
    """Who there is: the accounts that pods with a proxy run as, and all that there are."""

    running: set[Account]
    accounts: set[Account]


def said(lab, documents: Iterable[dict]) -> Iterator[tuple[str, str]]:
    """A sentence for each caller that nobody is."""
    return ((each.policy, f"{each.field} has {each.value}. {each.why}") for each in strangers(lab, documents))


def strangers(lab, policies: Iterable[dict]) -> list[Stranger]:
    """Find the callers in `policies` as which no pod with a proxy runs, in all of the mesh; others than AuthorizationPolicies have none."""
    named = [(each, *one) for each in policies if each["kind"] == "AuthorizationPolicy" for one in _named(each)]
    if not named:
        return []
    there = known(lab)
    found = [(title(each), field, value, why(field, value, _home(lab, each), there)) for each, field, value in named]
    return [Stranger(*each) for each in dict.fromkeys(found) if each[-1]]


def known(lab) -> Known:
    """Who there is in the mesh."""
    pods = [pod for pod in lab.client.list(POD, "*") if proxies.has_proxy(pod)]
    accounts = {(each["metadata"]["namespace"], each["metadata"]["name"]) for each in lab.client.list(SERVICE_ACCOUNT, "*")}
    return Known({(pod["metadata"]["namespace"], pod["spec"].get("serviceAccountName", "default")) for pod in pods}, accounts)


def why(field: str, value: str, home: str, known: Known) -> str:
    """What is wrong with a caller's name, in a sentence or two; empty where somebody has it.

    Parameters
    ----------
    field : str
        ``principals`` or ``serviceAccounts``, or their contraries.
    value : str
    home : str
        The policy's namespace.
    known : Known
    """
    return _account(value, home, known) if field.lower().endswith("serviceaccounts") else _principal(value, home, known)


def _home(lab, policy: dict) -> str:
    return policy["metadata"].get("namespace") or lab.namespace


def _named(policy: dict) -> Iterator[tuple[str, str]]:
    """Each caller in a policy, with the field that names it."""
    for rule in (policy.get("spec") or {}).get("rules") or []:
        for each in rule.get("from") or []:
            source = each.get("source") or {}
            yield from ((field, value) for field in FIELDS for value in source.get(field) or [])
        for each in rule.get("when") or []:
            if field := CONDITIONS.get(each.get("key")):
                yield from ((field, value) for key in ("values", "notValues") for value in each.get(key) or [])


def _principal(value: str, home: str, known: Known) -> str:
    if value.startswith(SCHEME):
        return f"Istio puts {SCHEME} in front of it by itself, so that it stands there twice. Write {value.removeprefix(SCHEME)}"
    if "*" in value[1:-1]:
        return "An asterisk stands for something only as the first or the last character."
    if any(_matches(value, principal(each)) for each in known.running):
        return ""
    if "*" in value:
        return f"No pod with a proxy has an identity like that.{_or(_close(value.strip('*'), map(principal, known.running)))}"
    form = FORM.fullmatch(value)
    if form is None:
        close = _like(value.rpartition("/")[2], home, known)
        return f"It has not the form TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT.{_or(map(principal, close))}"
    if form["domain"] != LOCAL:
        return ""  # that of another mesh, which is not to be seen from here
    return _nobody((form["namespace"], form["account"]), known, principal)


def _account(value: str, home: str, known: Known) -> str:
    namespace, _, name = value.rpartition("/")
    whole = (namespace or home, name)
    return "" if whole in known.running else _nobody(whole, known, lambda each: each[1] if each[0] == home else "/".join(each))


def _nobody(account: Account, known: Known, written) -> str:
    namespace, name = account
    if account in known.accounts:
        return f"The ServiceAccount {name} is there, and no pod with a proxy runs as it in namespace {namespace}."
    close = _like(name, namespace, known)
    return f"No pod with a proxy runs as {name} in namespace {namespace}.{_or(map(written, close))}"


def principal(account: Account) -> str:
    """How ``principals`` name a service account, given by namespace and name."""
    return f"{LOCAL}/ns/{account[0]}/sa/{account[1]}"


def _matches(value: str, identity: str) -> bool:
    if value.startswith("*"):
        return identity.endswith(value[1:])
    return identity.startswith(value[:-1]) if value.endswith("*") else identity == value


def _like(name: str, namespace: str, known: Known) -> list[Account]:
    """Accounts that somebody may have meant by `name`: those of the namespace, or else of that very name elsewhere."""
    here = _close(name, (each for place, each in known.running if place == namespace))
    return [(namespace, each) for each in here] or sorted(each for each in known.running if each[1] == name)[:2]


def _close(name: str, names: Iterable[str]) -> list[str]:
    found = difflib.get_close_matches(name, sorted(set(names)), n=2, cutoff=0.6)
    likeness = [difflib.SequenceMatcher(None, name, each).ratio() for each in found]
    return [each for each, share in zip(found, likeness, strict=True) if share > likeness[0] - 0.1]


def _or(names: Iterable[str]) -> str:
    names = list(names)
    return f" Did you mean {' or '.join(names)}?" if names else ""
