"""Key sets: which keys the mesh is to believe, as it is told, and as a proxy has it."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

from lab_helpers.core import text
from lab_helpers.core.errors import ManifestError, MeshError
from lab_helpers.core.manifests import beside, find, title
from lab_helpers.core.wait import wait_until
from lab_helpers.istio import analysis, apply, converge, istiod
from lab_helpers.istio.analysis import tokens
from lab_helpers.kube import objects, pods
from lab_helpers.kube.apply import Manifest, Outcome

REFUSED, READ = 10.0, 7.0  # seconds; istiod gives an address 5 s
LONG = 24  # characters of a value that are shown whole
PRIVATE = ("d", "p", "q", "dp", "dq", "qi", "k")  # what a published key does not have (RFC 7518)
NOBODYS = "(a key of istiod's own)"  # which it puts where it has none: its private half was thrown away


class KeySet(dict):
    """A key set (JWKS) as a dict, shown with its long numbers left out."""

    def __repr__(self) -> str:
        keys = [{name: _short(value) for name, value in key.items()} for key in self["keys"]]
        return json.dumps({**self, "keys": keys}, indent=2, ensure_ascii=False)


def key_set(*keys) -> KeySet:
    """The public halves of keys, as a JWKS.

    Parameters
    ----------
    *keys : joserfc.jwk.Key
    """
    return KeySet({"keys": [each.as_dict(private=False) for each in keys]})


@objects.sentences("Applying")
def apply_with(lab, manifest: str, jwks: dict | str | None = None, **values: str) -> Outcome:
    """Apply a manifest with values put into it: ``${JWKS}``, the key set; ``${NAMESPACE}``, the lab's; any other by its name.

    Raises
    ------
    ManifestError
        The key set is none, holds a private key, or is missing, as another value may be; or what `Lab.apply` raises.
    MeshError
        As `Lab.apply`.
    """
    written = text.read(find(manifest), manifest)
    values |= {"NAMESPACE": lab.namespace, **({} if jwks is None else {"JWKS": json.dumps(checked(jwks))})}
    wanted = list(dict.fromkeys(re.findall(r"\$\{(\w+)\}", written)))
    if missing := [each for each in wanted if each not in values]:
        given = "jwks" if missing[0] == "JWKS" else f'{missing[0]}="…"'
        raise ManifestError(f"{manifest} wants a value for {missing[0]}.", f'Give it one: apply_with(lab, "{manifest}", {given}).')
    documents = [_filled(each, values) for each in apply.load_for(lab, [manifest])]
    names = " ".join(f"{name}={'$(cat jwks.json)' if name == 'JWKS' else values[name]}" for name in wanted)
    with _reading(lab, {(each["issuer"], each["jwksUri"]) for each in _rules(documents) if "jwksUri" in each}):
        done = apply.write(lab, documents, f"{names} envsubst < manifests/{manifest} | kubectl apply --server-side -f -")
    changes = [replace(each, diff=_diff(each.diff)) for each in analysis.told(done.changes, tokens.said(lab, documents))]
    return replace(done, changes=changes, manifests=[Manifest(manifest, written, [title(each) for each in documents], beside(manifest))])


def refusal(lab, change: Callable[[], object]) -> str:
    """Make a change that a proxy of the namespace is going to refuse; what it has said, without the names of pods.

    Raises
    ------
    MeshError
        None has refused it.
    """
    try:
        change()
    except MeshError as error:
        said = error.what
    else:  # on a busy machine, the push that was waited for may have been somebody else's
        do = "Run the cells above it again, in order."
        said = "; ".join(
            wait_until(lambda: refused(lab), "a proxy to refuse the change", REFUSED, 0.05, lambda: "every proxy has taken it.", do=do)
        )
    return re.sub(r"(\w+-v\d)-[a-f0-9]{6,10}-[a-z0-9]{5}\.\S+", r"\1", said.strip())


def new_file() -> str:
    """A name for a key set on the server that nobody has used before: what istiod has read once, it does not soon read again."""
    return f"jwks-{secrets.token_hex(3)}.json"


def checked(jwks: dict | str) -> dict:
    """A key set as it may be published.

    Raises
    ------
    ManifestError
        It is no JSON, no key set, or has something in it that only its owner may know.
    """
    try:
        found = json.loads(jwks) if isinstance(jwks, str) else jwks
    except ValueError as error:
        where = f" (line {error.lineno}, column {error.colno}: {error.msg})" if isinstance(error, json.JSONDecodeError) else ""
        raise ManifestError(
            f"The key set is not JSON{where}.", "Print a dict by json.dumps: Python's own quotation marks are not JSON's."
        ) from error
    keys = found.get("keys") if isinstance(found, dict) else None
    if not isinstance(keys, list):
        do = 'One key alone is not a set yet: {"keys": [key]}.'
        raise ManifestError("That is no key set: it has no list of keys.", do)
    for number, key in enumerate(keys):
        if not isinstance(key, dict) or "kty" not in key:
            raise ManifestError(
                f"Key {number} of the set does not say of what type it is (kty).", "Export it by key.as_dict(private=False)."
            )
        if secret := [name for name in PRIVATE if name in key]:
            what = f"Key {key.get('kid', number)} of the set is not only public: it has {', '.join(secret)}."
            raise ManifestError(what, "Whoever reads the set could sign tokens. Export the key by key.as_dict(private=False).")
    return found


def keys_of(lab, app: str = "productpage") -> dict[str, list[str]]:
    """The keys by which a proxy tells tokens now: by issuer, the ``kid`` of each.

    Raises
    ------
    TrafficError
        No pod of `app` is ready.
    """
    pod = pods.require_ready(lab.client, app, "Run the checkpoint's cell again.")
    return {issuer: _kids(held) for issuer, held in tokens.token_keys(lab, pod["metadata"]["name"]).items()}


_known: set[tuple[str, str, str]] = set()  # namespace, issuer and address of what istiod has been told to read


@contextmanager
def _reading(lab, addresses: set[tuple[str, str]]) -> Iterator[None]:
    """Wait, after a change, until productpage runs it, although istiod may have to read new addresses before it sends anything.

    That takes as long as nobody answers there: a push begins, and nothing comes of it yet.
    """
    new = {(lab.namespace, *each) for each in addresses} - _known
    pod = pods.ready_pod(lab.client, "productpage") if new else None
    before = tokens.token_keys(lab, pod["metadata"]["name"]) if pod else {}
    yield
    if pod:
        name = pod["metadata"]["name"]
        followed = lambda: tokens.token_keys(lab, name) != before or refused(lab)  # noqa: E731
        with suppress(MeshError):  # where the keys are the same as before, there is nothing to see, and by then it is over
            wait_until(followed, "productpage to get what istiod has read", READ, 0.05)
        converge.settled(lab)  # which raises if it was refused
        _known.update(new)


def _rules(documents: list[dict]) -> list[dict]:
    return [rule for each in documents if each["kind"] == "RequestAuthentication" for rule in each["spec"].get("jwtRules", [])]


def refused(lab) -> list[str]:
    """What proxies of the namespace have not taken, and why."""
    return [why for each in istiod.proxies(lab.client) if each.namespace == lab.namespace for why in each.refused]


def _kids(held: str) -> list[str]:
    if tokens.NOBODYS in held:
        return [NOBODYS]
    try:
        return [each.get("kid", "(no kid)") for each in json.loads(held)["keys"]]
    except (TypeError, ValueError, KeyError):
        return [f"(no key set: {held[:LONG].strip()}…)"]


def _filled(value, values: dict[str, str]):
    if isinstance(value, dict):
        return {key: _filled(each, values) for key, each in value.items()}
    if isinstance(value, list):
        return [_filled(each, values) for each in value]
    if isinstance(value, str):
        for name, put in values.items():
            value = value.replace(f"${{{name}}}", put)
    return value


def _short(value):
    return f"… {len(value)} characters …" if isinstance(value, str) and len(value) > LONG else value


def _diff(diff: str) -> str:
    """A diff whose lines are no longer than a page is wide: of a key set, how it begins."""
    return "\n".join(line if len(line) <= 120 else f"{line[:60]}…" for line in diff.splitlines())
