"""Nothing in a committed file tells of the machine that it was written on, or lets anybody in anywhere.

Each rule is a function that returns what it found wrong, as sentences. It is held against the repository, and against
bad input that it has to find.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[2]

# In two pieces each, so that this file itself names none of them.
WELL_KNOWN = [
    ".".join(pieces)
    for pieces in [
        ("pypi", "org"), ("files", "pythonhosted.org"), ("registry", "npmjs.org"), ("proxy", "golang.org"),
        ("sum", "golang.org"), ("repo", "maven.apache.org"), ("repo1", "maven.org"), ("deb", "debian.org"),
        ("security", "debian.org"), ("crates", "io"),
    ]
]  # fmt: skip

SECRETS = {
    "a private key": r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----",
    "a signed token": r"\beyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{8,}",
    "a bearer token": r"(?i)\bbearer\s+[\w.~+/=-]{20,}",
    "a kubeconfig credential": r"\bclient-(?:key|certificate)-data\\?[\"']?\s*:\s*\\?[\"']?[\w+/=]{20,}",
    "a token": r"(?i)\b(?:token|password)\\?[\"']?\s*[:=]\s*\\?[\"']?(?=[\w.-]*\d)[\w.-]{24,}",
}


def committed(root: Path) -> Iterator[tuple[str, str]]:
    """Yield name and text of each text file that is tracked, or would be after ``git add``."""
    listed = subprocess.run(["git", "ls-files", "-coz", "--exclude-standard"], cwd=root, check=True, capture_output=True, text=True)
    for name in filter(None, listed.stdout.split("\0")):
        try:
            yield name, (root / name).read_text()
        except (UnicodeDecodeError, FileNotFoundError, IsADirectoryError):
            continue  # a picture, a file that is deleted but not yet so in the index, or a submodule


def said(*command: str) -> str:
    """Return what a tool prints of its configuration; nothing if the tool is not there."""
    if not shutil.which(command[0]):
        return ""
    return subprocess.run(command, capture_output=True, text=True).stdout


@cache
def registry_hosts() -> frozenset[str]:
    """Return the hosts that this machine's package clients are set up to use, and the well-known ones."""
    apt = [path for path in Path("/etc/apt").rglob("*") if path.suffix in {".list", ".sources"}]
    maven = Path.home() / ".m2" / "settings.xml"
    names = re.compile(r"INDEX|REGISTRY|MIRROR|PROXY|FIND_LINKS", re.I)
    texts = [
        said(sys.executable, "-m", "pip", "config", "list"),
        said("npm", "config", "get", "registry"),
        said("go", "env", "GOPROXY", "GOSUMDB"),
        *(path.read_text() for path in [*apt, maven] if path.is_file()),
        *(value for name, value in os.environ.items() if names.search(name)),
    ]
    return frozenset(WELL_KNOWN) | hosts("\n".join(texts))


def hosts(text: str) -> frozenset[str]:
    """Return the hosts of all addresses in `text`, this machine itself and XML's own names left out."""
    found = re.findall(r"\bhttps?://(?:[^@/\s]+@)?([a-z0-9-]+(?:\.[a-z0-9-]+)+)", text, re.I)
    return frozenset(host.lower() for host in found) - {"127.0.0.1", "maven.apache.org", "www.w3.org"}


def named_hosts(files: Iterable[tuple[str, str]], known: Iterable[str]) -> list[str]:
    """Find package registries that a file names."""
    rule = re.compile(rf"(?<![\w.-])(?:{'|'.join(map(re.escape, sorted(known)))})(?![\w-])", re.I)
    return [f"{name} names the registry host {match[0]}" for name, text in files for match in rule.finditer(text)]


def local_paths(files: Iterable[tuple[str, str]], root: Path, home: Path) -> list[str]:
    """Find paths that exist on this machine only: `root`, what is in `home`, and, in outputs, temporary files."""
    anywhere = rf"(?<![\w.}}/-])(?:{re.escape(str(root))}(?![\w-])|{re.escape(str(home).rstrip('/') or '-')}/[\w.])"
    outputs = r"(?<![\w./-])/(?:tmp|var/tmp)/[\w./-]*"
    files = list(files)
    of_pods = {path for name, text in files if name.startswith("manifests/") for path in re.findall(outputs, text)}  # shown with them
    found = []
    for name, text in files:
        found += [f"{name} names the local path {match[0]}" for match in re.finditer(anywhere, text)]
        if name.endswith(".ipynb"):
            cells = json.loads(text)["cells"]
            printed = json.dumps([cell.get("outputs", []) for cell in cells])
            written = {path for cell in cells for path in re.findall(outputs, "".join(cell["source"]))}  # by the chapter itself
            found += [
                f"an output of {name} names the local path {match[0]}"
                for match in re.finditer(outputs, printed)
                if match[0] not in of_pods | written
            ]
    return found


def secrets(files: Iterable[tuple[str, str]]) -> list[str]:
    """Find what would let a reader of a file in somewhere."""
    return [f"{name} holds {what}" for name, text in files for what, rule in SECRETS.items() if re.search(rule, text)]


def test_no_file_names_a_registry_host():
    assert named_hosts(committed(ROOT), registry_hosts()) == []


def test_no_file_names_a_path_of_this_machine():
    assert local_paths(committed(ROOT), ROOT, Path.home()) == []


def test_no_file_holds_a_secret():
    assert secrets(committed(ROOT)) == []


def test_the_files_looked_at_are_those_of_the_repository():
    names = {name for name, _ in committed(ROOT)}
    assert {"README.md", "_toc.yml", "requirements.txt", "tests/unit/test_alignment.py"} <= names
    assert not any(name.startswith(("build/", ".venv/")) for name in names)


# Bad input, which every rule has to find.


@pytest.mark.parametrize("host", WELL_KNOWN)
@pytest.mark.parametrize("text", ["--index-url https://{}/simple", "see {}.", "user@{}:8080"])
def test_a_registry_host_is_found(text, host):
    assert named_hosts([("a", text.format(host))], registry_hosts()) == [f"a names the registry host {host}"]


def test_the_hosts_of_a_mirror_are_read_from_its_addresses():
    text = "global.index-url='https://me:pw@mirror.example/simple'\ndeb http://deb.example/debian\nhttp://127.0.0.1:1/"
    assert hosts(text) == {"mirror.example", "deb.example"}
    assert named_hosts([("a", "from MIRROR.example/")], hosts(text)) == ["a names the registry host MIRROR.example"]


@pytest.mark.parametrize(
    ("text", "path"),
    [("open /home/me/.kube/config", "/home/me/."), ("cd /src/lab", "/src/lab"), ('"/src/lab/x"', "/src/lab")],
)
def test_a_path_of_this_machine_is_found(text, path):
    assert local_paths([("a", text)], Path("/src/lab"), Path("/home/me")) == [f"a names the local path {path}"]


@pytest.mark.parametrize("text", ["/home/mean", "HOME=/home/me", "{x}/home/me/y", "/a/src/lab", "/src/lab2", "~/.kube"])
def test_another_path_is_none_of_this_machine(text):
    assert local_paths([("a", text)], Path("/src/lab"), Path("/home/me")) == []


def test_a_temporary_path_in_an_output_is_found():
    output = nbformat.v4.new_output("stream", text="wrote /tmp/x/y\n")
    cell = nbformat.v4.new_code_cell("kubectl cp pod:/tmp/a .", outputs=[output])
    text = nbformat.writes(nbformat.v4.new_notebook(cells=[cell]))
    assert local_paths([("a.ipynb", text)], ROOT, Path.home()) == ["an output of a.ipynb names the local path /tmp/x/y"]
    assert local_paths([("a.ipynb", text), ("manifests/a.yaml", "mountPath: /tmp/x/y")], ROOT, Path.home()) == []


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("-----BEGIN RSA " + "PRIVATE KEY-----", "a private key"),
        ("-----BEGIN " + "PRIVATE KEY-----", "a private key"),
        ("eyJhbGciOiJSUzI1NiJ9" + ".eyJzdWIiOiJ0ZXN0ZXIifQ" + ".c2lnbmF0dXJl", "a signed token"),
        ("Authorization: Bearer " + "abcdefghijklmnopqrstuvwxyz", "a bearer token"),
        ("client-key-data: " + "LS0tLS1CRUdJTiBSU0EgUFJJ", "a kubeconfig credential"),
        ('"client-certificate-data": "' + 'LS0tLS1CRUdJTiBDRVJUSUZJ"', "a kubeconfig credential"),
        ("http://127.0.0.1:8888/lab?token=" + "0123456789abcdef0123456789abcdef", "a token"),
        ("  token: " + "abcdef.0123456789abcdef01", "a token"),
    ],
)
def test_a_secret_is_found(text, what):
    assert secrets([("a", text)]) == [f"a holds {what}"]


@pytest.mark.parametrize(
    "text",
    [
        "Bearer $TOKEN",
        "-----BEGIN CERTIFICATE-----",
        "client-key-data: {key}",
        "token = self.read_token()",
        "token: str",
    ],
)
def test_a_word_is_not_a_secret(text):
    assert secrets([("a", text)]) == []
