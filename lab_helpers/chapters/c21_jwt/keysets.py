"""Key sets: which keys the mesh is to believe, as it is told, and as a proxy has it."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable
from dataclasses import replace

from lab_helpers.core import text
from lab_helpers.core.errors import ManifestError, MeshError
from lab_helpers.core.manifests import beside, find, title
from lab_helpers.istio import apply, envoy
from lab_helpers.kube import channels, objects, pods
from lab_helpers.kube.apply import Manifest, Outcome

LONG = 24  # characters of a value that are shown whole
PRIVATE = ("d", "p", "q", "dp", "dq", "qi", "k")  # what a published key does not have (RFC 7518)
FILTER = "envoy.filters.http.jwt_authn"
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
    done = apply.write(lab, documents, f"{names} envsubst < manifests/{manifest} | kubectl apply --server-side -f -")
    changes = [replace(each, diff=_diff(each.diff)) for each in done.changes]
    return replace(done, changes=changes, manifests=[Manifest(manifest, written, [title(each) for each in documents], beside(manifest))])


def refusal(change: Callable[[], object]) -> str:
    """Make a change that a proxy is going to refuse; what it has said, without the names of pods.

    Raises
    ------
    MeshError
        None has refused it.
    """
    try:
        change()
    except MeshError as error:
        return re.sub(r"(\w+-v\d)-[a-f0-9]{6,10}-[a-z0-9]{5}\.\S+", r"\1", error.what.strip())
    raise MeshError("Every proxy has taken the change.", "Run the cells above it again, in order.")


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
    MeshError
        No pod of `app` is ready.
    """
    pod = pods.ready_pod(lab.client, app)
    if pod is None:
        raise MeshError(f"No pod of {app} is ready in namespace {lab.namespace}.", "Run the checkpoint's cell again.")
    path = "/config_dump?resource=dynamic_listeners"
    dump = channels.get_json(lab.client, lab.namespace, pod["metadata"]["name"], envoy.ADMIN, path)
    return {provider["issuer"]: _kids(provider) for provider in _providers(dump)}


def _providers(held) -> list[dict]:
    """What each filter for tokens in a dump of listeners has, wherever it stands; one that stands in several chains counts once."""
    found: dict[str, dict] = {}

    def look(each) -> None:
        if isinstance(each, dict):
            if each.get("name") == FILTER:
                for provider in (each.get("typed_config") or {}).get("providers", {}).values():
                    found.setdefault(provider.get("issuer", ""), provider)
            for value in each.values():
                look(value)
        elif isinstance(each, list):
            for value in each:
                look(value)

    look([each.get("active_state") for each in held.get("configs") or []])
    return list(found.values())


def _kids(provider: dict) -> list[str]:
    inline = (provider.get("local_jwks") or {}).get("inline_string")
    try:
        keys = json.loads(inline)["keys"]
    except (TypeError, ValueError, KeyError):
        return [f"(no key set: {str(inline)[:LONG].strip()}…)"]
    return [each.get("kid", NOBODYS) for each in keys]


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
