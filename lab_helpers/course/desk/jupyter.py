"""The JupyterLab of a desk: on loopback, settings of its own, kernels that only its user can speak to, the lab's tools in its terminal."""

from __future__ import annotations

import json
import os
import pwd
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from lab_helpers.core import paths
from lab_helpers.core.errors import HostError
from lab_helpers.course.desk import folder

LONGEST = 107  # bytes of a Unix socket's path
SOCKET = "/meshlab-12345678/kernel-01234567-89ab-cdef-0123-456789abcdef-ipc-5"
ANNOUNCEMENTS = "@jupyterlab/apputils-extension:announcements"
MORE_EXTENSIONS = "@jupyterlab/extensionmanager-extension:plugin"  # a tab that is of no use here
# It asks whether to fetch news wherever the setting says neither yes nor no, whatever address news would have. So the setting says no, and
# the plugin is off.
PAGE = {"disabledExtensions": {ANNOUNCEMENTS: True, MORE_EXTENSIONS: True}}
SETTINGS = {
    "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False},
    # Pages of the book are to be read; and who closes the browser loses no more than the last seconds.
    "@jupyterlab/docmanager-extension:plugin": {"defaultViewers": {"markdown": "Markdown Preview"}, "autosaveInterval": 15},
    "@jupyterlab/apputils-extension:themes": {"adaptive-theme": True},
}
NO_SHELL = ("nologin", "false", "")


def prepare(root: Path, kept: Path) -> dict[str, str]:
    """Write JupyterLab's settings into the folder `kept`, so that it opens in the folder `root`; return its environment."""
    tools = [str(Path(sys.executable).parent), str(paths.BIN)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("JUPYTER_", "JUPYTERLAB_"))}
    environment |= {"PATH": ":".join([*tools, os.environ.get("PATH", os.defpath)]), paths.DESK: str(root)}
    if paths.KUBECONFIG.exists():
        environment["KUBECONFIG"] = str(paths.KUBECONFIG)
    config = {
        "ServerApp": {
            "ip": "127.0.0.1",
            "root_dir": str(root),
            "allow_root": True,
            "open_browser": False,
            "terminado_settings": {"shell_command": terminal(kept / "bashrc")},
        },
        "KernelManager": {"transport": "ipc"},  # its TCP ports would be open to everybody on the machine
        "LabApp": {
            "default_url": f"/lab/tree/{folder.START}" if (root / folder.START).exists() else "/lab",
            "app_settings_dir": str(kept / "lab"),
            "user_settings_dir": str(kept / "settings"),
            "workspaces_dir": str(kept / "workspaces"),
            "news_url": None,
            "check_for_updates_class": "jupyterlab.NeverCheckForUpdate",
            "extension_manager": "readonly",
        },
    }
    exports = {name: environment[name] for name in ("KUBECONFIG", paths.DESK) if name in environment}
    lines = ["[ -r ~/.bashrc ] && . ~/.bashrc", f"export PATH={shlex.quote(':'.join(tools))}:$PATH"]
    lines += [f"export {name}={shlex.quote(value)}" for name, value in exports.items()]
    folder.write(kept / "config" / "jupyter_server_config.json", json.dumps(config, indent=1).encode())
    folder.write(kept / "lab" / "overrides.json", json.dumps(SETTINGS, indent=1).encode())
    folder.write(kept / "lab" / "page_config.json", json.dumps(PAGE, indent=1).encode())
    folder.write(kept / "bashrc", "\n".join([*lines, ""]).encode())
    return environment | {"JUPYTER_CONFIG_DIR": str(kept / "config"), "JUPYTER_DATA_DIR": str(kept / "data")}


def terminal(rc: Path) -> list[str]:
    """The shell of a terminal: not a login shell, which would set PATH anew; bash reads `rc`, since its own settings may do that, too."""
    shell = os.environ.get("SHELL") or _login_shell()
    if Path(shell).name in NO_SHELL or not os.access(shell, os.X_OK):
        shell = shutil.which("bash") or "/bin/sh"
    return [shell, "--rcfile", str(rc), "-i"] if Path(shell).name == "bash" else [shell]


def _login_shell() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_shell
    except KeyError:  # a number without a name, as in a container
        return ""


@contextmanager
def runtime() -> Iterator[Path]:
    """A folder for sockets and tokens, readable by nobody else, and with a path that is short enough for a kernel's sockets.

    Raises
    ------
    HostError
        There is no place for one.
    """
    places = [Path(each) for each in (tempfile.gettempdir(), "/tmp", "/var/tmp", "/dev/shm")]
    fit = [each for each in places if len(os.fsencode(each)) + len(SOCKET) <= LONGEST and os.access(each, os.W_OK)]
    if not fit:
        raise HostError("There is no folder for the sockets of kernels.", "Let TMPDIR name a folder of yours with a short path.")
    with tempfile.TemporaryDirectory(prefix="meshlab-", dir=fit[0]) as name:  # its mode is 0700
        yield Path(name)


@contextmanager
def started(root: Path, kept: Path, arguments: Iterable[str] = (), **how) -> Iterator[tuple[subprocess.Popen, Path]]:
    """Run JupyterLab in the folder `root`; yield its process, and the folder where it notes its address and token.

    Parameters
    ----------
    root : Path
    kept : Path
        Where it keeps its settings, signatures and the arrangement of its tabs.
    arguments : iterable of str
        More of its command line.
    **how
        Of `subprocess.Popen`.
    """
    environment = prepare(root, kept)
    with runtime() as sockets:
        environment["JUPYTER_RUNTIME_DIR"] = str(sockets)
        with subprocess.Popen([sys.executable, "-m", "jupyterlab", *arguments], env=environment, cwd=root, **how) as server:
            yield server, sockets


def serve(root: Path, kept: Path, arguments: Iterable[str] = ()) -> int:
    """Run JupyterLab as `started` does until it ends; return its exit code."""
    with started(root, kept, arguments) as (server, _):
        # Ctrl-C goes to JupyterLab as well, which asks whether it is meant; who ends this process, ends it.
        former = {each: signal.signal(each, _handler(each, server)) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
        try:
            return server.wait()
        finally:
            for each, handler in former.items():
                signal.signal(each, handler)


def _handler(number: int, server: subprocess.Popen):
    return signal.SIG_IGN if number == signal.SIGINT else lambda *_: server.terminate()
