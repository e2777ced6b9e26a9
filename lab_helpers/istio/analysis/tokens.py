"""By which keys a proxy checks tokens, and key sets that istiod could not read: of those, nothing but its log would tell."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from lab_helpers.core.manifests import title
from lab_helpers.istio import envoy, proxies
from lab_helpers.kube import channels, pods
from lab_helpers.kube.kinds import POD, Kind

AUTHENTICATION, FILTER = Kind("security.istio.io/v1", "RequestAuthentication"), "envoy.filters.http.jwt_authn"
# How the key begins that istiod puts where it could not read a key set: its private half was thrown away, so no token fits.
NOBODYS = "0xObjM0UvS_oaazjpEYlAbwc"


def said(lab, documents: Iterable[dict]) -> Iterator[tuple[str, str]]:
    """A sentence for each address of a key set that istiod could not read."""
    return ((title(each), sentence) for each in documents if each["kind"] == AUTHENTICATION.kind for sentence in _unread(lab, each))


def token_keys(lab, pod: str) -> dict[str, str]:
    """By issuer: the key set by which the proxy in `pod` checks tokens, as JSON, or whatever it was given as one."""
    path = "/config_dump?resource=dynamic_listeners"
    dump = channels.get_json(lab.client, lab.namespace, pod, envoy.ADMIN, path)
    found: dict[str, str] = {}
    for each in _providers([each.get("active_state") for each in dump.get("configs") or []]):
        found.setdefault(each.get("issuer", ""), (each.get("local_jwks") or {}).get("inline_string", ""))
    return found


def _unread(lab, document: dict) -> Iterator[str]:
    spec = document.get("spec") or {}
    remote = {each.get("issuer", ""): each["jwksUri"] for each in spec.get("jwtRules", []) if each.get("jwksUri") and not each.get("jwks")}
    labels = spec.get("selector", {}).get("matchLabels")
    selected = (
        next((each for each in lab.client.list(POD, labels=labels) if pods.ready(each) and proxies.has_proxy(each)), None)
        if remote
        else None
    )
    held = token_keys(lab, selected["metadata"]["name"]) if selected else {}
    for issuer, address in remote.items():
        if NOBODYS in held.get(issuer, ""):
            yield (
                f"istiod could not read a key set from {address}, so every token of {issuer or 'this issuer'} is refused. "
                "Why is in its log: kubectl logs -n istio-system deployment/istiod"
            )


def _providers(held) -> Iterator[dict]:
    """What each filter for tokens has, wherever it stands in a dump."""
    if isinstance(held, dict):
        if held.get("name") == FILTER:
            yield from (held.get("typed_config") or {}).get("providers", {}).values()
        for value in held.values():
            yield from _providers(value)
    elif isinstance(held, list):
        for value in held:
            yield from _providers(value)
