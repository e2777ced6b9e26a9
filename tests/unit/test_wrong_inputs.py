"""What people get wrong, entry by entry, without a cluster: each time a sentence says what is wrong, and one what to do.

All of them, to be read: ``--junitxml=FILE`` writes them down.
"""

import base64
import importlib
import os
import re
from pathlib import Path

import pandas as pd
import pytest
import yaml
from click.testing import CliRunner

from lab_helpers.chapters.c12_traffic_shifting import shift
from lab_helpers.cli import main
from lab_helpers.core import paths
from lab_helpers.core.errors import LabError
from lab_helpers.core.manifests import find
from lab_helpers.kube import commands, credentials, kubeconfig
from lab_helpers.kube.client import Client
from lab_helpers.lab import chapters, connect, progress, solution
from lab_helpers.lab.forward import Forward, forwarding
from lab_helpers.lab.lab import Lab
from lab_helpers.lab.solutions import find as find_solution
from lab_helpers.node import lifecycle, machine
from lab_helpers.node.build import store
from lab_helpers.show.checks import check
from lab_helpers.show.predictions import predict, resolve

MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"
BOOKINFO = "04_bookinfo/01-productpage.yaml"


@pytest.fixture(autouse=True)
def machine_without_a_lab(tmp_path, monkeypatch):
    """Somebody's machine on which nothing of the course runs; the test is in its home."""
    for name in ("KUBECONFIG", paths.DESK, "http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(paths, "HOME", tmp_path)
    monkeypatch.setattr(paths, "KUBECONFIG", tmp_path / ".kube" / "meshlab")
    monkeypatch.setattr(store, "BUILD_LOGS", tmp_path)
    monkeypatch.setattr(machine, "init_pid", lambda node: None)
    monkeypatch.setattr(lifecycle, "connect", lambda **how: pytest.fail("a cluster was looked for"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def lab():
    """One whose API server is nowhere: whatever asks it, has taken what it was given for right."""
    client = Client(kubeconfig.Context("c", {"server": "http://127.0.0.1:1"}, {}, "none"))
    client.raw = client._ask = lambda *_, **__: pytest.fail("the API server was asked")
    return Lab(client)


@pytest.fixture
def tell(record_property):
    """A function that has something raised, and holds it against what is to be said."""

    def told(ask, sentence: str) -> None:
        with pytest.raises(LabError) as caught:
            ask()
        record_property("sentence", str(caught.value))
        assert re.search(sentence, str(caught.value), re.DOTALL), str(caught.value)
        assert caught.value.what.strip() and caught.value.do.strip(), "what is wrong, and what to do"

    return told


def table(*rows):
    return pytest.mark.parametrize(("given", "sentence"), rows, ids=[repr(row[0])[:40] for row in rows])


# apply


@table(
    ((), "No manifest was named.*at least one"),
    ((None,), "None is not the name of a manifest.*in quotes"),
    (([BOOKINFO],), "is not the name of a manifest.*without brackets"),
    (("04_bokinfo/01-productpage.yaml",), "no chapter '04_bokinfo'.*Did you mean 04_bookinfo"),
    (("04_bookinfo/01-productpag.yaml",), "has no manifest '01-productpag.yaml'.*Did you mean 01-productpage.yaml"),
    (("04_bookinfo",), "04_bookinfo is a chapter, not a manifest.*Name one of its files: 04_bookinfo/01"),
    (("https://example.com/a.yaml",), "is an address, not a file.*Fetch it"),
    ((".",), "There is no manifest '.'.*CHAPTER/FILE.yaml"),
    (("./not-there.yaml",), "There is no file ./not-there.yaml.*ls"),
    (("~/not-there.yaml",), "There is no file ~/not-there.yaml"),
    ((MAP,), "a manifest itself.*Write it into a file"),
    (("a" * 300,), "File name too long.*Give the path of a file"),
)
def test_apply_of_what_is_no_name(lab, tell, given, sentence):
    for use in (lab.apply, lab.delete, lab.diff):
        tell(lambda use=use: use(*given), sentence)


@table(
    ("", "holds no object.*at least one document"),
    ("# only a comment\n---\n", "holds no object"),
    ("metadata:\n\tname: a\n", "line 2, column 1.*a tab: indent with spaces.*Correct that line"),
    ("metadata: {name: a}\nmetadata: {name: b}\n", 'the key "metadata" stands twice'),
    ("metadata: {name: a\n", "line 2, column 1.*a flow mapping, which begins in line 1"),
    ("metadata: {name: {{ .Values.name }}}\n", "is for templates"),
    ("apiVersion: v1\nmetadata: {name: a}\n", "has no kind.*apiVersion, kind and metadata.name"),
    ("- a\n- b\n", "it is a list"),
    ("hello\n", 'it is only "hello"'),
    ("apiVersion: v1\nkind: Pod\nmetadata: [a]\n", "metadata is a list"),
    ("apiVersion: v1\nkind: Pod\nmetadata: {name: {a: b}}\n", "a mapping as its metadata.name"),
    ("a: &a [*a]\n", "contains itself"),
    (b"# Zo\xeb\n", "is not UTF-8: byte 5.*Save it as UTF-8"),
    (b"\x89PNG\r\n\x1a\n\x00\xff", "is not UTF-8"),
    ('{"cells": []}', "has no apiVersion and no kind"),
)
def test_apply_of_a_file_that_is_no_manifest(lab, tell, given, sentence):
    Path("own.yaml").write_bytes(given if isinstance(given, bytes) else given.encode())
    tell(lambda: lab.apply("own.yaml"), sentence)


def test_apply_of_a_folder(lab, tell):
    Path("folder").mkdir()
    tell(lambda: lab.apply("folder"), "folder is a folder.*Name a file in it")


def test_apply_in_another_way_than_it_can_be(lab, tell):
    tell(lambda: lab.apply(BOOKINFO, wait=True), r"unexpected keyword argument 'wait'.*lab.apply\(\*manifests, whole_mesh=False\)")


# checkpoint


@table(
    (("4",), "There is no chapter '4'.*Did you mean 04_bookinfo"),
    ((4,), "There is no chapter 4.*Did you mean 04_bookinfo"),
    (("04",), "Did you mean 04_bookinfo"),
    (("04_bokinfo",), "Did you mean 04_bookinfo"),
    (("04-bookinfo",), "Did you mean 04_bookinfo"),
    (("Bookinfo",), "Did you mean 04_bookinfo"),
    (("04_bookinfo.ipynb",), "Did you mean 04_bookinfo"),
    (("../notebooks/04_bookinfo",), "Did you mean 04_bookinfo"),
    ((["04_bookinfo"],), "Did you mean 04_bookinfo"),
    (("99_nothing",), "The chapters are: 01_service_mesh"),
    (("",), "The chapters are"),
    ((None,), "There is no chapter None.*The chapters are"),
    ((), r"missing a required argument: 'chapter'.*lab.checkpoint\(chapter\)"),
)
def test_checkpoint(lab, tell, given, sentence):
    tell(lambda: lab.checkpoint(*given), sentence)


# connect


@table(
    ({}, "The embedded lab is not up.*meshlab up"),
    ({"context": "x"}, "There is no kubeconfig.*Set KUBECONFIG"),
    ({"context": ""}, "'' is not the name of a context.*get-contexts"),  # was whichever the kubeconfig had as current
    ({"context": 5}, "5 is not the name of a context"),
    ({"context": ["x"]}, "is not the name of a context"),
    ({"namespace": None}, "None cannot be a namespace.*lower-case"),
    ({"namespace": 5}, "5 cannot be a namespace"),
    ({"namespace": "Alice"}, "'Alice' cannot be a namespace.*lower-case"),
    ({"namespace": "a b"}, "cannot be a namespace"),
    ({"namespace": "a.b"}, "cannot be a namespace.*hyphens"),
    ({"namespace": "x" * 64}, "cannot be a namespace.*63 at most"),
    ({"namespace": "kube-system"}, "belongs to the cluster itself.*Take another"),
    ({"namespce": "x"}, r"unexpected keyword argument 'namespce'.*connect\(context=None, namespace='default'"),
)
def test_connect(tell, given, sentence):
    tell(lambda: connect(**given), sentence)


# observe


@table(
    ({"n": "5"}, "n is '5', which is no whole number.*without quotes"),
    ({"n": 2.5}, "n is 2.5, which is no whole number"),
    ({"n": True}, "n is True"),
    ({"n": 0}, "out of range.*1 to 10,000"),
    ({"n": 10**6}, "out of range"),
    ({"parallel": "2"}, "parallel is '2'"),
    ({"parallel": 51}, "out of range.*parallel 1 to 50"),
    ({"via": "Gateway"}, "no way 'Gateway'.*mesh, plain, gateway"),
    ({"service": ["reviews"]}, "is not the name of a Service.*in quotes"),
    ({"service": "unheard"}, "What to ask unheard for.*path='/'"),
    ({"path": "productpage"}, "does not begin with a slash"),
    ({"path": "http://reviews:9080/reviews/0"}, "does not begin with a slash.*without host and port"),
    ({"path": 5}, "The path is 5, which is no text"),
    ({"headers": "end-user: jason"}, "which is no dict.*headers={'end-user': 'jason'}"),
    ({"headers": {"end user": "jason"}}, "cannot be the name of a header"),
    ({"headers": {"end-user": None}}, "The value of header end-user is None"),
    ({"headers": {"end-user": "jason\n"}}, "holds a line break"),
    ({"count": 5}, r"unexpected keyword argument 'count'.*lab.observe\(service, n=100"),
)
def test_observe(lab, tell, given, sentence):
    tell(lambda: lab.observe(**{"service": "reviews", **given}), sentence)


# check


@table(
    ((), "is not the number of a check.*Numbers are text"),
    ((None,), "None is not the number of a check"),
    ((12.2,), '12.2 is not the number of a check.*"04.2"'),
    (("4.2",), "'4.2' is not the number of a check"),
    (("check 12.2",), "is not the number of a check"),
    (("12.99",), "There is no check 12.99.*Chapter 12 has 12.1"),
    (("99.1",), "There is no check 99.1.*run the first cell of its notebook"),
    (("12.2",), "missing a required argument: 'seen'.*It is check.\"12.2\", seen.. It judges: All to v1"),
    (("12.2", None), r"was given nothing \(None\) for seen.*Has the cell that makes it run"),
    (("12.2", ...), "waits for your seen.*in place of the dots"),
    (("12.2", {"v1": 1}), "a dict of 1 for seen, and looks at a table"),
    (("12.2", "all to v1"), "the text 'all to v1' for seen"),
    (("12.2", pd.DataFrame({"a": [1]})), "a table with the columns a for seen"),
    (("12.2", 1, 2, 3), "too many positional arguments"),
)
def test_check(tell, given, sentence):
    importlib.import_module("lab_helpers.chapters.c12_traffic_shifting.checks")
    tell(lambda: check(*given), sentence)


# shift


@table(
    (("reviews", None), "No weights were given.*adding up to 100"),
    (("reviews", {}), "No weights were given"),
    (("reviews", [50, 50]), "which is no dict.*'v1': 90, 'v2': 10"),
    (("reviews", "v1=100"), "which is no dict"),
    (("reviews", 100), "which is no dict"),
    (("reviews", {"v1": 50, "v2": 40}), "add up to 90.*Add 10"),
    (("reviews", {"v1": 60, "v2": 60}), "add up to 120.*Take 20 away"),
    (("reviews", {"v1": -10, "v2": 110}), "-10, which is negative.*Use 0"),
    (("reviews", {"v1": 33.3, "v2": 66.7}), "33.3, which is not a whole number"),
    (("reviews", {"v1": "100"}), "'100', which is not a whole number"),
    (("reviews", {"v1": True, "v2": 99}), "True, which is not a whole number"),
    (("reviews", {"v1": float("nan")}), "nan, which is not a whole number"),
    ((None, {"v1": 100}), "has no Service None"),
    (("../pods", {"v1": 100}), "has no Service '../pods'.*kubectl get services"),
)
def test_shift(lab, tell, given, sentence):
    tell(lambda: shift(lab, *given), sentence)


# the command line


@table(
    ("nothing", "No such command 'nothing'"),
    ("up --context", "Option '--context' requires an argument"),
    ("up --context nothing", "There is no kubeconfig"),
    ("up --only everything", "'everything' is not one of 'build', 'kubernetes'"),
    ("up --yes", "--yes goes with --context"),
    ("up --context x --rebuild images", "--context names another cluster"),
    ("up --context x --overlay not-there.yaml", "File 'not-there.yaml' does not exist"),
    ("run", "Missing argument 'CHAPTER'"),
    ("run 4", "There is no chapter '4'.*Did you mean 04_bookinfo"),
    ("run 04_bookinfo --context nothing", "There is no kubeconfig"),
    ("addons nothing", "'nothing' is not one of 'kiali'"),
    ("addons kiali", "is not running|is not up"),
    ("kubeconfig", "is not up.*meshlab up|→.*up"),
    ("logs nobody", "There is no log of 'nobody'.*There are logs of"),
    ("logs kubelet --lines 0", "0 is not in the range x>=1"),
    ("logs kubelet --lines many", "'many' is not a valid integer"),
    ("new-chapter nine", "nine"),
    ("desk --fresh 99_nothing", "99_nothing"),
    ("status --xml", "No such option.*--xml"),
)
def test_the_command_line(record_property, given, sentence):
    done = CliRunner().invoke(main, given.split())
    record_property("sentence", f"$ meshlab {given}\n{done.output}")
    assert done.exit_code in (1, 2) and isinstance(done.exception, SystemExit), done.exception
    assert re.search(sentence, done.output, re.DOTALL), done.output


# the kubeconfig


KUBECONFIGS = {
    "a folder": (None, "is a folder, not a kubeconfig.*Name the file in it"),
    "a page": (b"<html>login</html>", "is not a kubeconfig"),
    "a list": (b"- a\n", "is not a kubeconfig"),
    "a tab": (b"clusters:\n\t- name: x\n", "is not valid YAML at line 2.*a tab.*Correct that line"),
    "another encoding": (b"# Zo\xeb\n", "is not a kubeconfig: it is not UTF-8"),
    "two documents": (b"clusters: []\n---\nclusters: []\n", "holds 2 documents.*Make a file of each"),
    "nothing": (b"", "No kubeconfig has a context 'x'.*None is in .*config: set KUBECONFIG"),
    "other contexts": ({"contexts": [("own", "x", "x")]}, "No kubeconfig has a context 'x'.*There are: own"),
    "a name that YAML takes for yes": ({"contexts": [("y", "x", "x")]}, "contexts is not a list of entries with a name.*quotes"),
    "no cluster": ({"clusters": []}, "names the cluster 'x', of which no server is known.*Fetch the kubeconfig anew"),
    "no user": ({"users": []}, "names the user 'x', who is in no kubeconfig"),
    "a number as a token": ({"user": {"token": 12345}}, "token of user x is not text.*quotes"),
    "somebody else": ({"user": {"as": "jane", "token": "t"}}, "act as jane.*without `as`"),
    "an old way to log in": ({"user": {"auth-provider": {"name": "gcp"}}}, "auth-provider, gcp.*under `exec`"),
    "a plugin that is not there": (
        {"user": {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "no-such-plugin", "interactiveMode": "Never"}}},
        "plugin 'no-such-plugin'.*is not installed.*put it on PATH",
    ),
    "a plugin that fails": (
        {"user": {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "false", "interactiveMode": "Never"}}},
        "plugin 'false'.*failed.*Run it in a terminal",
    ),
    "a token file that is not there": ({"user": {"tokenFile": "not-there"}}, "credentials of context x cannot be read"),
    "a certificate that is none": (
        {"cluster": {"certificate-authority-data": base64.b64encode(b"none").decode()}},
        "certificates and keys of context x cannot be used",
    ),
    "no address": ({"cluster": {"server": "not an address"}}, "not an address"),
    "a proxy that is none": ({"cluster": {"proxy-url": "socks5://127.0.0.1:1"}}, "proxy-url.*names no proxy.*http://HOST:PORT"),
}


@pytest.mark.parametrize(("given", "sentence"), KUBECONFIGS.values(), ids=KUBECONFIGS)
def test_the_kubeconfig(tell, tmp_path, monkeypatch, given, sentence):
    file = tmp_path / "config"
    if given is None:
        file.mkdir()
    elif isinstance(given, bytes):
        file.write_bytes(given)
    else:
        cluster, user = {"server": "https://127.0.0.1:1", **given.get("cluster", {})}, given.get("user", {"token": "t"})
        contexts = given.get("contexts", [("x", "x", "x")])
        document = {
            "clusters": given.get("clusters", [{"name": "x", "cluster": cluster}]),
            "users": given.get("users", [{"name": "x", "user": user}]),
            "contexts": [{"name": name, "context": {"cluster": of, "user": by}} for name, of, by in contexts],
        }
        file.write_text(yaml.safe_dump(document))
    monkeypatch.setenv("KUBECONFIG", str(file))
    tell(lambda: connect("x"), sentence)


# what else is typed into a notebook

NOTEBOOK = {
    "a question without a letter": (lambda lab: predict("12", ["a", "b"]), 'is not the name of a prediction.*"12.a"'),
    "a question without answers": (lambda lab: predict("12.y"), "nothing to choose from.*list of choices"),
    "answers that are no list": (lambda lab: predict("12.y", 5), "has 5 to choose from.*list of texts"),
    "a question never asked": (lambda lab: resolve("12.z", "yes"), "has not been asked yet.*Run the cell"),
    "a solution of nothing": (lambda lab: solution("12.99"), "There is no check '12.99'"),
    "a solution of None": (lambda lab: solution(None), 'There is no check None.*"12.6"'),
    "a solution that is none": (lambda lab: find_solution("12.1"), "it has no solution.*Run the cells above"),
    "progress elsewhere": (lambda lab: progress("not-there"), "'not-there' is no folder.*Leave it out"),
    "a page of no path": (lambda lab: lab.page(5), "The path is 5.*in quotes"),
    "a page without a slash": (lambda lab: lab.page("productpage"), "does not begin with a slash"),
    "no PromQL": (lambda lab: lab.promql(5), "The query is 5, which is no text"),
    "no trace": (lambda lab: lab.trace("abc"), "is not the id of a trace.*hexadecimal"),
    "no Deployment": (lambda lab: lab.restart(5), "5 is not the name of a Deployment"),
    "no window": (lambda lab: lab.requests(), r"missing a required argument: 'window'.*lab.requests\(window"),
    "no line": (lambda lab: lab.run(None), "None is not a command.*in quotes"),
    "words": (lambda lab: lab.run(["kubectl", "get", "pods"]), "is not a command.*the whole line"),
    "another program": (lambda lab: lab.run("sudo kubectl get pods"), "does not begin with kubectl, istioctl, curl"),
    "a pipe": (lambda lab: lab.run("kubectl get pods | wc -l"), "uses '|', which only a shell understands.*in Python"),
    "two commands": (lambda lab: lab.run("kubectl get pods; kubectl get services"), "uses ';', which only a shell.*second lab.run"),
    "two lines": (lambda lab: lab.run("kubectl get pods\nkubectl get services"), "is more than one line"),
    "a variable": (lambda lab: lab.run("kubectl get pods -n $NAMESPACE"), r"uses '\$NAMESPACE'.*f-string"),
    "no line to go on": (lambda lab: forwarding(lab, None).__enter__(), "None is not a command"),
    "a line that ends": (lambda lab: forwarding(lab, "kubectl get pods").__enter__(), "does not begin with kubectl port-forward.*lab.run"),
    "an open one to go on": (lambda lab: forwarding(lab, "kubectl port-forward 'x").__enter__(), "No closing quotation"),
    "no path": (lambda lab: Forward(lab, "x", "http://127.0.0.1:1").page("x"), "does not begin with a slash"),
    "an open quotation mark": (lambda lab: lab.run("kubectl get 'pods"), "No closing quotation.*Close every"),
    "no deadline": (lambda lab: lab.run("kubectl get pods", deadline="soon"), "'soon', which is no time.*seconds"),
}


@pytest.mark.parametrize(("given", "sentence"), NOTEBOOK.values(), ids=NOTEBOOK)
def test_the_notebook(lab, tell, given, sentence):
    tell(lambda: given(lab), sentence)


# the environment


ENVIRONMENT = {
    "KUBECONFIG of nothing": ({"KUBECONFIG": "/not/there"}, lambda: connect("x"), "There is no kubeconfig: /not/there does not exist"),
    "KUBECONFIG of nobody": ({"KUBECONFIG": "~nobody-here/config"}, lambda: connect("x"), "does not exist"),
    "KUBECONFIG too long": ({"KUBECONFIG": "a" * 300}, lambda: connect("x"), "cannot be read: File name too long.*Set KUBECONFIG"),
    "KUBECONFIG of a folder": ({"KUBECONFIG": "/"}, lambda: connect("x"), "is a folder, not a kubeconfig"),
    "a desk in the clone": ({paths.DESK: str(paths.ROOT / "notebooks")}, paths.desk, f"lies in the course's own folder.*{paths.DESK}"),
    "PATH without programs": ({"PATH": "/nowhere"}, lambda: commands.find("istioctl"), "istioctl is not installed.*put it on PATH"),
    "a proxy that is none": ({"https_proxy": "socks5://127.0.0.1:1"}, lambda: proxied(), "HTTPS_PROXY names no proxy.*NO_PROXY"),
    "a proxy without a host": ({"https_proxy": "http://"}, lambda: proxied(), "HTTPS_PROXY names no proxy"),
    "a proxy with another port": ({"https_proxy": "http://a:port"}, lambda: proxied(), "HTTPS_PROXY names no proxy"),
    "no place for keys": ({"TMPDIR": "/nowhere", "XDG_RUNTIME_DIR": ""}, lambda: keys(), "no folder for the keys.*Set TMPDIR"),
    "a home that is a file": ({}, lambda: paths.make_folder(Path("file", "cache")), "cannot be made by .*Set HOME"),
    "a folder that is a file": ({}, lambda: find("file/own.yaml"), "no chapter 'file' among the manifests, and no file file/own.yaml"),
    "a chapter that is not there": ({}, lambda: chapters.load("23_secret"), "There is no chapter '23_secret'"),
}


def proxied():
    context = kubeconfig.Context("x", {"server": "https://cluster.example"}, {"token": "t"}, "")
    return credentials.configuration(context)


def keys():
    credentials._folder.cache_clear()
    credentials.tempfile.tempdir = os.environ["TMPDIR"]
    try:
        return credentials._folder()
    finally:
        credentials.tempfile.tempdir = None
        credentials._folder.cache_clear()


@pytest.mark.parametrize(("environment", "ask", "sentence"), ENVIRONMENT.values(), ids=ENVIRONMENT)
def test_the_environment(tell, monkeypatch, environment, ask, sentence):
    Path("file").touch()
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    tell(ask, sentence)
