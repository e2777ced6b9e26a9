"""From a context of the kubeconfig to what the official client needs: certificates, tokens, and plugins that fetch either.

The official client only logs what goes wrong with a plugin, and never fetches a certificate anew; so plugins are run here, by its
own `ExecProvider`, and what they return is put where the kubeconfig would have it.
"""

from __future__ import annotations

import base64
import os
import shutil
import tempfile
import threading
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path

from cryptography import x509
from kubernetes.client import Configuration
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
        A plugin is missing or fails, or a file that the kubeconfig names; in its own words.
    """
    user, until = _by_plugin(context) if "exec" in context.user else (context.user, None)
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
    return found, until


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
    parent = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir())
    if not os.access(parent, os.W_OK):
        parent = Path(tempfile.gettempdir())
    for left in parent.glob(f"{PREFIX}*"):  # by processes that were killed
        pid = left.name.removeprefix(PREFIX).partition("-")[0]
        if not Path("/proc", pid).exists() and left.lstat().st_uid == os.getuid():
            shutil.rmtree(left, ignore_errors=True)
    _folder.held = tempfile.TemporaryDirectory(prefix=f"{PREFIX}{os.getpid()}-", dir=parent)
    return Path(_folder.held.name)
