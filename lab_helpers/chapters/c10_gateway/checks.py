"""Checks of chapter 10_gateway."""

from __future__ import annotations

from lab_helpers.chapters.c10_gateway import faults, neighbour, proxy
from lab_helpers.istio import gateway
from lab_helpers.kube.kinds import Kind
from lab_helpers.lab.asking.curl import INSIDE, curl
from lab_helpers.show.checks import given, register, wrong
from lab_helpers.show.inputs import Words

GATEWAY, RULE = (Kind("networking.istio.io/v1", kind) for kind in ("Gateway", "VirtualService"))
TO = "--connect-to ::own-ingress:"  # whatever name the URL has, the connection goes to our gateway
TRUST = "--cacert /tmp/own-ca.pem"
CERTIFICATE = "--cert /tmp/own-client.pem --key /tmp/own-client.key"
NAMES = ("bookinfo.example", "www.bookinfo.example", "a.b.bookinfo.example")
SITE, PARTNERS, SHOP = "www.bookinfo.example", "partners.example", "shop.example"


@register("10.1", "A port that is open")
def port_open(lab) -> str:
    """A Gateway selects our proxy, which listens on port 80 therefore, and answers."""
    found = [each for each in lab.client.list(GATEWAY) if _selector(each).startswith(gateway.OWN)]
    if not found:
        raise wrong("no Gateway of this namespace selects the pods with istio: own-ingress", "Look at its selector.")
    listening = proxy.ports(lab)
    if 80 not in listening:
        others = ", ".join(map(str, sorted(listening))) or "no port"
        raise wrong(f"the proxy listens on {others} for us, and not on 80", "Which port does the Gateway name?")
    status = curl(lab, "-I http://own-ingress/").status
    if status != 404:
        raise wrong(f"a request for / is answered {status or 'by nobody'}", "Is a VirtualService attached already? None should be.")
    return f"Port 80 is open because of Gateway {found[0]['metadata']['name']}; whoever asks there is told 404."


@register("10.2", "The host that the gateway knows")
def known_host(lab, answer: str) -> str:
    """The learner names the Host with which the gateway answers 200."""
    known = proxy.domains(lab).get("http.80", [])
    if "*" in known:
        raise wrong("the gateway knows any host, or no route at all", "Is 05-attached.yaml applied, and nothing after it?")
    name = answer.strip().rpartition("/")[2].partition(":")[0]
    if name not in known:
        raise wrong(f"the gateway knows no host {name!r}", "Read the column DOMAINS, letter by letter.")
    status = curl(lab, f"-I -H 'Host: {name}' http://own-ingress/productpage").status
    if status != 200:
        raise wrong(f"with that host, /productpage is answered {status or 'by nobody'}", "Does productpage run? kubectl get pods.")
    return f"With Host {name}, /productpage is answered 200."


@register("10.3", "One rule, at the gateway and inside")
def both(lab) -> str:
    """The routes hold for callers from outside and from inside alike."""
    host = f"productpage.{lab.namespace}.svc.cluster.local"
    outside = curl(lab, f"-I -H 'Host: {host}' http://own-ingress/productpage").status
    if outside != 200:
        raise wrong(f"through the gateway, /productpage is answered {outside or 'by nobody'}", "Is own-gateway in the list gateways?")
    for path, due in (("/productpage", 200), ("/", 404)):
        inside = curl(lab, f"-I http://productpage:9080{path}", INSIDE).status
        if inside != due:
            raise wrong(
                f"inside of the mesh, {path} is answered {inside or 'by nobody'}, not {due}", "Who else belongs into the list gateways?"
            )
    return "/productpage is answered on both sides, and / on neither."


@register("10.4", "What a wildcard covers")
def covered(lab, answer: Words) -> str:
    """The learner names those of three names that the gateway serves."""
    status = {name: curl(lab, f"-I {TO} http://{name}/productpage").status for name in NAMES}
    served = {name for name, each in status.items() if each == 200}
    if not served:
        raise wrong("the gateway serves none of the three", "Are 08-any-host.yaml and 09-names.yaml applied?")
    named = given(answer)
    if strangers := sorted(named - served):
        raise wrong(f"{strangers[0]} is answered {status.get(strangers[0], 'to nobody')}", "Look at the three answers above.")
    if named != served:
        raise wrong(f"{len(served)} of the three are served, and you name {len(named)}", "Look at the three answers above.")
    return f"{' and '.join(name for name in NAMES if name in served)}: any number of labels before the domain, and at least one."


@register("10.5", "Nobody else's routes")
def only_ours(lab) -> str:
    """The neighbour's VirtualService is there and without effect; ours works."""
    if not any(each["metadata"]["name"] == "own-neighbour" for each in lab.client.list(RULE, neighbour.namespace(lab))):
        raise wrong("the neighbour has no VirtualService any more", "It should be there, and do nothing: run the cell with as_neighbour.")
    prizes = curl(lab, f"-i {TO} http://{SITE}/prizes")
    if prizes.status == 200:
        raise wrong("the neighbour still answers /prizes", "Which namespaces do the hosts of the Gateway allow?")
    page = curl(lab, f"-I {TO} http://{SITE}/productpage").status
    if page != 200:
        raise wrong(
            f"our own /productpage is answered {page or 'by nobody'}", "Did the Gateway shut ourselves out? ./ is its own namespace."
        )
    return f"/prizes is answered {prizes.status}, /productpage 200, and the neighbour's VirtualService is where it was."


@register("10.6", "TLS, and no way round it")
def tls(lab) -> str:
    """HTTPS by a client that checks the certificate, and HTTP only as far as a redirect."""
    plain = curl(lab, f"-I {TO} http://{SITE}/productpage")
    if plain.status != 301 or not plain.headers.get("location", "").startswith(f"https://{SITE}"):
        raise wrong(
            f"HTTP is answered {plain.status or 'by nobody'}, not 301 to https://{SITE}", "See httpsRedirect at the server of port 80."
        )
    return _verified(lab, SITE, "/productpage")


@register("10.7", "Only with a certificate")
def mutual(lab) -> str:
    """Partners get in with a certificate and not without; the site asks nobody for one."""
    path = f"https://{PARTNERS}/details/0"
    bare = curl(lab, f"-I {TO} {TRUST} {path}")
    if bare.status:
        raise wrong(f"a client without a certificate was answered {bare.status}", f"Is the mode of {PARTNERS} MUTUAL?")
    with_one = curl(lab, f"-I {TO} {TRUST} {CERTIFICATE} {path}")
    if with_one.status != 200:
        why = with_one.status or _first(with_one.stderr) or "not at all"
        raise wrong(f"a client with a certificate was answered {why}", "Who signed the client's certificate, and what is in ca.crt?")
    return f"{PARTNERS}: 200 with a certificate, no connection without. {_verified(lab, SITE, '/productpage')}"


@register("10.8", "Four names, four faults")
def found_by_name(lab, answer: dict) -> str:
    """The learner says what is wrong with the certificate of each name."""
    true = faults.found(lab)
    if set(answer) != set(true):
        raise wrong(f"your answer is about {', '.join(map(str, answer)) or 'nobody'}", f"It should be about {', '.join(true)}.")
    for name, said in answer.items():
        if said not in faults.KINDS:
            raise wrong(f"{name} is said to be {said!r}", f"It is one of: {', '.join(faults.KINDS)}.")
        if said != true[name]:
            raise wrong(f"{name} is not {said}", "What does the client say, what does the proxy have, what does analyze name?")
    return "; ".join(f"{name}: {what}" for name, what in true.items()) + "."


@register("10.9", "A site of your own")
def shop(lab) -> str:
    """The exercise: a second site with TLS, HTTP redirected, for the own namespace only."""
    servers = [server for each in lab.client.list(GATEWAY) for server in each["spec"].get("servers", [])]
    hosts = {host for server in servers for host in server.get("hosts", []) if SHOP in host}
    if not hosts:
        raise wrong(f"no Gateway of this namespace has the host {SHOP}", "Write it under servers, hosts.")
    if open_ := sorted(host for host in hosts if not host.startswith(("./", f"{lab.namespace}/"))):
        raise wrong(f"every namespace may attach routes to {open_[0]}", "See 11-only-ours.yaml.")
    plain = curl(lab, f"-I {TO} http://{SHOP}/details/0").status
    if plain != 301:
        raise wrong(f"HTTP is answered {plain or 'by nobody'}, not 301", "A server for port 80 as well, with httpsRedirect.")
    return f"{_verified(lab, SHOP, '/details/0')} And nobody else may bind {SHOP}."


def _verified(lab, name: str, path: str) -> str:
    answer = curl(lab, f"-I {TO} {TRUST} https://{name}{path}")
    if answer.status != 200:
        why = f"is answered {answer.status}" if answer.status else f"fails: {_first(answer.stderr)}"
        raise wrong(f"https://{name}{path} {why}", "Is the Secret of credentialName there, and signed for that name?")
    return f"https://{name}{path} is answered 200, with a certificate that the client trusts."


def _first(text: str) -> str:
    return text.strip().partition("\n")[0]


def _selector(document: dict) -> str:
    return ((document.get("spec") or {}).get("selector") or {}).get("istio", "")
