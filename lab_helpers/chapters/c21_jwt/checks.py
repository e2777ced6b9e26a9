"""Checks of chapter 21_jwt."""

from __future__ import annotations

import time

import pandas as pd
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

from lab_helpers.chapters.c21_jwt import minting
from lab_helpers.chapters.c21_jwt.asking import ask_each
from lab_helpers.chapters.c21_jwt.tokens import read
from lab_helpers.core.errors import TrafficError
from lab_helpers.show.checks import given, register, wrong
from lab_helpers.show.inputs import Words, table

MINUTES = 10
Told = table(text=["token", "said"], numbers=["status"])
Seen = table(numbers=["status"])
Streamed = table(text=["during", "by"], numbers=["status"])


@register("21.1", "A token for robin")
def a_token_of_ones_own(key: RSAKey, answer: str) -> str:
    """The learner's token is signed by our key, for robin, and good for ten minutes."""
    try:
        reading = read(answer)
    except TrafficError as error:
        raise wrong(error.what.rstrip("."), error.do) from None
    claims = reading.claims
    try:
        jwt.decode(answer, key, algorithms=["RS256"])
    except (JoseError, ValueError):
        raise wrong("its signature is not by this key", 'jwt.encode({"alg": "RS256", "kid": …}, {…}, key)') from None
    due = {"iss": minting.ISSUER, "sub": "robin", "aud": minting.AUDIENCE}
    for name, value in due.items():
        if claims.get(name) != value:
            raise wrong(
                f"its claim {name} is {claims.get(name)!r}, not {value!r}", "Take the claims above, and change what is to be another."
            )
    lives = claims.get("exp")
    if not isinstance(lives, int | float):
        raise wrong("it does not say when it ends", "exp is a time in seconds since 1970: int(time()) + …")
    seconds = lives - time.time()
    if not 0 < seconds <= 60 * MINUTES + 2:
        raise wrong(f"it ends in {seconds:,.0f} s", f"{MINUTES} minutes from now, in seconds: int(time()) + …")
    if reading.header.get("kid") != key.kid:
        raise wrong("its header does not name the key", "Whoever has several keys needs kid to choose one.")
    return f"robin has a token for {MINUTES} minutes, signed by the key {key.kid!r}."


@register("21.2", "A bad token, and none")
def only_bad_ones(seen: Told) -> str:
    """With a RequestAuthentication alone, no token is as good as a good one, and a bad one is refused."""
    status = _status(seen, "no token", "as it should be", "spoilt")
    if status["as it should be"] != 200:
        raise wrong(
            f"the good token is answered {status['as it should be']:g}",
            "Was it signed by the key whose key set has been applied? Run both again.",
        )
    if status["no token"] == 403:
        raise wrong("without a token the answer is 403", "Then there is a policy already: kubectl get authorizationpolicies.")
    if status["spoilt"] != 401:
        raise wrong(
            f"the spoilt token is answered {status['spoilt']:g}",
            "Does the RequestAuthentication select productpage? kubectl get requestauthentications.",
        )
    return "200 with a good token, 200 without any, 401 with a bad one."


@register("21.3", "The claim that was missing")
def the_claim(before: Told, after: Told, answer: str) -> str:
    """The learner names the claim for want of which a good token was not enough."""
    first, then = (_status(each, "no token", "as it should be", "short") for each in (before, after))
    if first["short"] != 403 or then["short"] != 200:
        raise wrong(
            f"the short token was answered {first['short']:g} and then {then['short']:g}, not 403 and then 200",
            "First 03-principal.yaml, then 04-issuer.yaml.",
        )
    if {first["no token"], then["no token"]} != {403}:
        raise wrong(
            "without a token the answer was not 403 both times",
            "Is there another policy that allows it? kubectl get authorizationpolicies.",
        )
    if answer.strip().lower() != "sub":
        raise wrong(f"{answer!r} is not what the short token lacks", "Compare it with the other one: read(token).")
    return "without sub there is no principal, though the token is good; its other claims can be asked for all the same."


@register("21.4", "Wrong, and accepted")
def wrong_and_accepted(seen: Told, answer: Words) -> str:
    """Each kind of token got what Envoy's rules have for it, and the learner names those that have something wrong and get in."""
    due = {name: case.due for name, case in minting.cases().items()}
    status = _status(seen, *due)
    for name in due:
        if status[name] != due[name]:
            raise wrong(
                f"the token {name!r} is answered {status[name]:g}, not {due[name]}",
                "Mint and send them in one cell; is 04-issuer.yaml applied?",
            )
    accepted = {name for name in due if status[name] == 200} - {"as it should be"}
    named = given(answer)
    if strangers := sorted(named - set(due)):
        raise wrong(f"there is no token {strangers[0]!r}", "Take the names from the table, letter by letter.")
    if refused := sorted(named - accepted):
        raise wrong(
            f"the token {refused[0]!r} is answered {status[refused[0]]:g}, or has nothing wrong",
            "Name those with 200 that you would not have let in.",
        )
    if len(named) < len(accepted):
        raise wrong(f"{len(accepted)} tokens with something wrong got 200, and you name {len(named)}", "Look at each row with 200.")
    return f"{len(accepted)} got in: two by a minute's grace, one that never ends, and one whose end is in milliseconds."


@register("21.5", "Whose group counts")
def whose_group(seen: Told, answer: Words) -> str:
    """The learner names the tokens that may read the reviews."""
    status = _status(seen, "no token", "no groups", "a list", "one word", "words in a line", "another case", "a scope")
    allowed = {name for name, each in status.items() if each == 200}
    if not allowed or status["no token"] == 200:
        raise wrong(f"the reviews are open to {'everybody' if allowed else 'nobody'}", "Is 05-groups.yaml applied?")
    named = given(answer)
    if strangers := sorted(named - set(status)):
        raise wrong(f"there is no token {strangers[0]!r}", "Take the names from the table.")
    if missed := sorted(named ^ allowed):
        what = "is answered" if missed[0] in named else "is left out, and answered"
        raise wrong(f"{missed[0]!r} {what} {status[missed[0]]:g}", "Look at the column status.")
    return f"{', '.join(name for name in status if name in allowed)}: the word itself, alone, as one of a list, or of a scope."


@register("21.6", "Handed on, or not")
def handed_on(kept: Seen, removed: Seen) -> str:
    """With forwardOriginalToken details is content; without it, details answers 403 to productpage."""
    bad = kept[kept["status"] != 200]
    if len(bad):
        raise wrong(
            f"{len(bad)} of {len(kept)} requests with the token handed on got {bad['status'].iloc[0]:g}",
            "Is 02-authentication.yaml applied?",
        )
    through = removed[removed["status"] == 200]
    if len(through):
        raise wrong(f"{len(through)} of {len(removed)} requests were answered 200 without the token", "Is 07-not-forwarded.yaml applied?")
    other = removed[removed["status"] != 403]
    if len(other):
        raise wrong(
            f"a request got {other['status'].iloc[0]:g}, which is not what details says without a token", "Send a good token of an editor."
        )
    return f"{len(kept)} of {len(kept)} are answered 200 with the token handed on, and none of {len(removed)} without it."


@register("21.7", "A route by a claim")
def a_route(seen: table("version", text=["token"], numbers=["status"])) -> str:
    """Testers get v3, all others v1, and a bad token gets nothing."""
    rows = {row.token: row for row in seen.itertuples(index=False)}
    if missing := [name for name in ("no token", "a tester", "somebody", "spoilt") if name not in rows]:
        raise wrong(f"the table has no row {missing[0]!r}", "Run the cell that makes it again.")
    if rows["spoilt"].status != 401:
        raise wrong(
            f"the gateway answers a bad token {rows['spoilt'].status:g}",
            "Does a RequestAuthentication select the gateway? istioctl analyze.",
        )
    for name, version in (("a tester", "v3"), ("somebody", "v1"), ("no token", "v1")):
        if rows[name].version != version:
            raise wrong(
                f"{name} is served by {'nobody' if rows[name].version == '–' else rows[name].version}, not by {version}",
                "Which claim does 09-gateway.yaml look at?",
            )
    return "a tester is served by v3, everybody else by v1, and a bad token by nobody."


@register("21.8", "New keys, and nobody notices")
def exchanged(seen: Streamed) -> str:
    """While a key came, was used and the other went, no request failed; when one was put in another's place, some did."""
    careful = seen[seen["during"].isin(["tokens by one", "two beside it", "tokens by two", "one taken out"])]
    if set(careful["by"]) != {"one", "two"} or careful["during"].nunique() != 4:
        raise wrong("the stream has not seen the whole exchange", "Run the cell with the stream again, to its end.")
    failed = careful[careful["status"] != 200]
    if len(failed):
        row = failed.iloc[0]
        raise wrong(
            f"{len(failed)} requests failed, the first with {row.status:g} during {row.during!r}",
            "First the new key beside the old one; then tokens by it.",
        )
    abrupt = seen[seen["during"] == "three in its place"]
    if not (abrupt["status"] == 401).any():
        raise wrong("nothing failed when a key was put in another's place", "Was the token of key two still in use then?")
    return f"{len(careful)} requests and no failure; {int((abrupt['status'] == 401).sum())} failed when a key was put in another's place."


@register("21.9", "When the keys cannot be read")
def outage(before: Told, during: Told, anew: Told, answer: float) -> str:
    """An outage of the key server is no outage of its readers, until somebody reads for the first time."""
    first, then, last = (_status(each, "by the key that was read") for each in (before, during, anew))
    name = "by the key that was read"
    if first[name] != 200 or then[name] != 200:
        raise wrong(
            f"the token got {first[name]:g} before the outage, and {then[name]:g} during it",
            "Is 11-by-uri.yaml applied, with the file that was published?",
        )
    if last[name] != 401:
        raise wrong(f"with an address that nobody has read yet it got {last[name]:g}", "Was the server away when it was applied?")
    if answer != 0:
        raise wrong(f"it was not {answer:g} of them", "What did the token get while the server was away, and istiod was not?")
    return "what istiod has read lasts; what it reads for the first time has to be there."


@register("21.10", "Readers and librarians")
def librarians(lab, key: RSAKey) -> str:
    """Whoever has a token may read; only who has the role librarian, within realm_access, may write."""
    roles = {"a reader": {"roles": ["reader"]}, "a librarian": {"roles": ["reader", "librarian"]}}
    tokens = {"no token": None, **{name: minting.mint(key, realm_access=each) for name, each in roles.items()}}
    tokens["an impostor"] = minting.mint(key, roles=["librarian"], realm_access="librarian")
    for method, path, allowed in (("GET", "/productpage", {"a reader", "a librarian", "an impostor"}), ("POST", "/login", {"a librarian"})):
        for row in ask_each(lab, tokens, path=path, method=method).itertuples(index=False):
            if row.status == 401:
                raise wrong(f"{row.token} is answered 401: {row.said}", "Is 02-authentication.yaml applied, with the key set of this key?")
            if (row.status != 403) != (row.token in allowed):
                what = "may not" if row.token in allowed else "may"
                raise wrong(
                    f"{row.token} {what} {method} {path}: {row.status:g}",
                    "Two rules: one for GET and any token, one for POST and the role.",
                )
    return "everybody with a token may read, only librarians may write, and a claim of the same name elsewhere counts for nothing."


def _status(seen: pd.DataFrame, *names: str) -> dict[str, float]:
    """The status by token, of those `names` that a check looks at."""
    found = dict(zip(seen["token"], seen["status"], strict=True))
    if missing := [each for each in names if each not in found]:
        raise wrong(f"the table has no token {missing[0]!r}", "Run the cell that makes it again.")
    return {each: found[each] for each in names}
