"""From a context of the kubeconfig to what the official client needs: certificates, tokens, and plugins that fetch either.

The official client only logs what goes wrong with a plugin, and never fetches a certificate anew; so plugins are run here, by its
own `ExecProvider`, and what they return is put where the kubeconfig would have it.
"""

from __future__ import annotations

import base64
import os
import re
import shutil
import ssl
import tempfile
import threading
from contextlib import suppress
from datetime import datetime, timedelta
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies

from cryptography import x509
from kubernetes.client import Configuration
from kubernetes.client.rest import should_bypass_proxies
from kubernetes.config import ConfigException, load_kube_config_from_dict
from kubernetes.config.exec_provider import ExecProvider
from kubernetes.config.kube_config import ConfigNode

from lab_helpers.core.errors import ClusterError
from lab_helpers.kube.kubeconfig import FRESH, Context

EARLY = timedelta(seconds=30)  # before the end of a credential, a new one is fetched
PREFIX = "meshlab-keys-"
_writing = threading.Lock()  # the library tells another thread of a key file that is not written yet; and there is to be one folder


def configuration(context: Context) -> tuple[Configuration, datetime | None]:
    """The official client's configuration for `context`, and when a plugin's credentials have to be fetched again.

    Raises
    ------
    ClusterError
        A plugin is missing or fails, or a file that the kubeconfig names, in its own words; a way to show who one is that the
        official client would leave out in silence; or a proxy that cannot be one.
    """
    _require_known(context)
    user, until = _by_plugin(context) if context.user.get("exec") else (_with_token(context), None)
    one = {
        "current-context": context.name,
        "contexts": [{"name": context.name, "context": {"cluster": "cluster", "user": "user"}}],
        "clusters": [{"name": "cluster", "cluster": context.cluster}],
        "users": [{"name": "user", "user": user}],
    }
    found = Configuration()
    try:
        with _writing:
            # Without persist_config=False it would write tokens that it has refreshed into the user's own file.
            load_kube_config_from_dict(one, client_configuration=found, persist_config=False, temp_file_path=str(_folder()))
    except (ConfigException, OSError, ValueError) as error:
        raise ClusterError(f"The credentials of context {context.name} cannot be read: {error}", FRESH) from error
    _require_certificates(found, context)
    _by_proxy(found, context)
    return found, until


def _require_known(context: Context) -> None:
    """Refuse what kubectl can and the official client passes over, so that one would be somebody else, or nobody, in silence."""
    if other := context.user.get("as"):
        what = f"Context {context.name} has you act as {other} (impersonation), which the course cannot do."
        raise ClusterError(what, f"Name a context of {other}'s own, or one without `as`.")
    provider = (context.user.get("auth-provider") or {}).get("name", "oidc")
    if provider != "oidc":
        what = f"Context {context.name} fetches its credentials by an auth-provider, {provider}, as kubectl did before 1.26."
        raise ClusterError(what, f"{FRESH} Those of today name a plugin instead, under `exec`.")


def _require_certificates(found: Configuration, context: Context) -> None:
    """Refuse certificates and keys that cannot be used: the official client says that the cluster does not answer."""
    trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        if found.ssl_ca_cert:
            trust.load_verify_locations(found.ssl_ca_cert)
        if found.cert_file:
            trust.load_cert_chain(found.cert_file, found.key_file, password="")  # or else it would ask at the terminal
    except OSError as error:
        what = f"The certificates and keys of context {context.name} cannot be used: {_said(error)}."
        raise ClusterError(what, FRESH) from error


def _said(error: Exception) -> str:
    """What an error of a file, or of a certificate in it, says, without the numbers of who has programmed it."""
    where = f"{error.filename}: " if isinstance(error, OSError) and error.filename else ""
    said = getattr(error, "strerror", None) or str(error)
    return where + re.sub(r"^\[[^\]]*\] | \(_ssl\.c:\d+\)$", "", said).rstrip(".")


def _with_token(context: Context) -> dict:
    """The user's entry with the token in it that is in a file: as kubectl reads it, without the end of the line, and before any other."""
    if not (file := context.user.get("tokenFile")):
        return context.user
    try:
        token = Path(file).read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise ClusterError(f"The credentials of context {context.name} cannot be read: {_said(error)}.", FRESH) from error
    if not token:
        raise ClusterError(f"The token of context {context.name} is to be in {file}, which is empty.", "Fetch a new one.")
    return {**{name: value for name, value in context.user.items() if name != "tokenFile"}, "token": token}


def _by_proxy(found: Configuration, context: Context) -> None:
    """Have the way to the cluster be kubectl's: of a proxy, the official client knows neither a name without a scheme nor a password."""
    named, server = context.cluster.get("proxy-url"), urlsplit(found.host)
    if named:
        found.no_proxy = ""  # it is meant for this cluster
    elif not _is_here(server) and not should_bypass_proxies(found.host, found.no_proxy or ""):
        named = getproxies().get(server.scheme)
    found.proxy = named or None
    if not named:
        return
    try:
        proxy = urlsplit(named if "://" in named else f"http://{named}")
        usable = proxy.hostname and proxy.scheme in ("http", "https") and (proxy.port is None or proxy.port)
    except ValueError:
        usable = False
    if not usable:  # not shown, since a password may be in it
        where = "proxy-url in the kubeconfig" if context.cluster.get("proxy-url") else f"{server.scheme.upper()}_PROXY"
        do = f"Correct it: http://HOST:PORT. Or go without: NO_PROXY={server.hostname}."
        raise ClusterError(f"{where} names no proxy by which {context.server} can be asked; only http and https will do.", do)
    if proxy.username is not None:
        login = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
        found.proxy_headers = {"proxy-authorization": f"Basic {_encoded(login)}"}
    found.proxy = proxy._replace(netloc=proxy.netloc.rpartition("@")[2]).geturl()


def _is_here(server: SplitResult) -> bool:
    """Whether a server is on this machine, to which kubectl never goes by a proxy of the environment."""
    try:
        return server.hostname == "localhost" or ip_address(server.hostname or "").is_loopback
    except ValueError:
        return False


def _by_plugin(context: Context) -> tuple[dict, datetime | None]:
    """The user's entry with what the plugin returned, and when that ends."""
    plugin = context.user["exec"]
    named = f"The plugin {plugin.get('command')!r}, by which context {context.name} fetches its credentials,"
    try:
        cluster = ConfigNode("cluster", context.cluster)
        status = ExecProvider(ConfigNode("exec", plugin), None, cluster).run()
    except FileNotFoundError as error:
        raise ClusterError(f"{named} is not installed.", plugin.get("installHint") or "Install it, and put it on PATH.") from error
    except OSError as error:
        raise ClusterError(f"{named} cannot be run: {error.strerror}.", "See its permissions.") from error
    except ConfigException as error:
        raise ClusterError(f"{named} failed: {str(error).removeprefix('exec: ')}", "Run it in a terminal to see why.") from error
    token, certificate, key = (status.get(each) for each in ("token", "clientCertificateData", "clientKeyData"))
    if not token and not (certificate and key):
        raise ClusterError(f"{named} returned neither a token nor a certificate with its key.", "Run it in a terminal to see why.")
    user = {name: value for name, value in context.user.items() if name != "exec"}
    ends = [datetime.fromisoformat(status["expirationTimestamp"])] if status.get("expirationTimestamp") else []
    if token:
        user["token"] = token
    if certificate and key:
        user |= {"client-certificate-data": _encoded(certificate), "client-key-data": _encoded(key)}
        ends.append(x509.load_pem_x509_certificate(certificate.encode()).not_valid_after_utc)
    return user, min(ends) - EARLY if ends else None


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@cache
def _folder() -> Path:
    """Where the keys lie that the client can only read from files: for the invoking user alone, and gone with this process."""
    wanted = os.environ.get("XDG_RUNTIME_DIR", "")
    try:
        parent = Path(wanted if os.access(wanted, os.W_OK) else tempfile.gettempdir())
        for left in parent.glob(f"{PREFIX}*"):  # by processes that were killed
            pid = left.name.removeprefix(PREFIX).partition("-")[0]
            with suppress(FileNotFoundError):  # another process may be at it, too
                if not Path("/proc", pid).exists() and left.lstat().st_uid == os.getuid():
                    shutil.rmtree(left, ignore_errors=True)
        _folder.held = tempfile.TemporaryDirectory(prefix=f"{PREFIX}{os.getpid()}-", dir=parent)
    except OSError as error:
        what = f"There is no folder for the keys of the kubeconfig: {error.strerror}."
        raise ClusterError(what, "Set TMPDIR to a folder that you may write, with space left in it.") from error
    return Path(_folder.held.name)
