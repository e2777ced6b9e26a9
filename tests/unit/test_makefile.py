"""What `make` does as root: with the proxies that downloads need, which sudo drops."""

import os
import subprocess
import sys

import pytest

from lab_helpers.core.paths import ROOT

PROXY = """http://ann:it's "1$HOME" & `2`\\@192.0.2.1:3128"""  # as it stands in the environment, whatever a shell would make of it
NOTE = '#!/bin/sh\n{ echo "${0##*/} $1"; env | grep -i -e _proxy= -e ^MESHLAB | sort; } >> NOTES\n'
PROGRAMS = {
    # As a strict sudoers has it: a clean environment, and nobody may ask for another one.
    "sudo": '#!/bin/sh\ncase $1 in -*|*=*) echo "not allowed: $1" >&2; exit 1;; esac\n'
    'exec /usr/bin/env -i "PATH=$PATH" SUDO_UID=1000 "$@"\n',
    "id": "#!/bin/sh\necho 1000\n",
    "apt-get": NOTE + '[ "$(ps -o sid= -p $$)" -ne $$ ] || echo "a session of its own: $*" >> NOTES\n',
    "dpkg-query": "#!/bin/sh\nexit 1\n",  # no package is there
}


@pytest.fixture
def make(tmp_path):
    """A function that makes a target for a user with sudo whose Python environment is there: what runs as root, with which proxies."""
    programs, venv, notes = tmp_path / "programs", tmp_path / "clone" / ".venv" / "bin", tmp_path / "notes"
    for folder, files in ((programs, PROGRAMS), (venv, {"meshlab": NOTE})):
        folder.mkdir(parents=True)
        for name, text in files.items():
            (folder / name).write_text(text.replace("NOTES", str(notes)))
            (folder / name).chmod(0o755)
    for name in ("requirements.txt", "requirements-bootstrap.txt", "pyproject.toml", "requirements.in", ".venv/complete"):
        (tmp_path / "clone" / name).touch()

    def run(target: str, **environment: str) -> list[str]:
        notes.unlink(missing_ok=True)
        command = ["make", "--silent", "--file", ROOT / "Makefile", target]
        environment = {"PATH": f"{programs}:{os.environ['PATH']}", "HOME": str(tmp_path), **environment}
        done = subprocess.run(command, cwd=tmp_path / "clone", env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return notes.read_text().splitlines()

    return run


@pytest.mark.parametrize("name", ["http_proxy", "https_proxy", "all_proxy", "no_proxy"])
def test_what_downloads_as_root_has_the_users_proxies(make, name):
    assert make("up", **{name: PROXY, name.upper(): "x"}) == ["meshlab up", *sorted([f"{name.upper()}=x", f"{name}={PROXY}"])]


def test_packages_come_by_the_proxy_too(make):
    proxy = f"http_proxy={PROXY}"
    assert make("test-tools", http_proxy=PROXY)[:4] == ["apt-get -qq", proxy, "apt-get -qq", proxy], "update, then install"


def test_packages_are_installed_to_the_end_though_the_terminal_is_closed(make):
    *_, last = make("test-tools")
    assert last.startswith("a session of its own: -qq -o DPkg::Lock::Timeout=300 install ")


def test_a_proxy_that_is_not_set_is_not_set_to_nothing(make):
    """An empty no_proxy is an answer, too: to some programs it says that there are no exceptions."""
    assert make("up") == make("up", http_proxy="", no_proxy="") == ["meshlab up"]


def test_the_labs_own_address_is_kept(make):
    assert make("up", MESHLAB_NODE_ADDRESS="192.0.2.7") == ["meshlab up", "MESHLAB_NODE_ADDRESS=192.0.2.7"]


def test_python_leaves_nothing_compiled_that_only_root_can_remove(make, tmp_path):
    """After one `sudo meshlab up` a user's environment and clone held folders that ``rm -rf .venv`` stumbled over."""
    module = tmp_path / "clone" / "module.py"
    module.touch()
    meshlab = tmp_path / "clone" / ".venv" / "bin" / "meshlab"
    meshlab.write_text(meshlab.read_text() + f"cd {module.parent} && {sys.executable} -c 'import module'\n")
    make("up")
    assert not (module.parent / "__pycache__").exists()


def test_the_desk_is_opened_once_the_lab_is_up(make):
    assert make("lab") == ["meshlab up", "meshlab lab"]
