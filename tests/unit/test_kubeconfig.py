"""Kubeconfigs on disk, merged as kubectl merges them, and credentials that come from plugins: no cluster."""

import base64
import json
import os
import re
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest.mock import patch

import pytest
import trustme
import yaml
from kubernetes.client.rest import ApiException
from kubernetes.dynamic import DynamicClient

from lab_helpers.core.errors import ClusterError
from lab_helpers.kube import credentials, kubeconfig
from lab_helpers.kube.client import Client
from lab_helpers.kube.kinds import Kind
from tests.kubeconfigs import SERVER, write
from tests.web import known, serving

V1, V1BETA1 = "client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1"


def refused(*arguments) -> str:
    with pytest.raises(ClusterError) as caught:
        kubeconfig.choose(*arguments)
    assert caught.value.do
    return str(caught.value)


# Merging.


def test_the_first_file_with_a_current_context_says_which(tmp_path):
    first, second = write(tmp_path / "a", "x"), write(tmp_path / "b", "w", current="w")
    third = write(tmp_path / "c", "z", current="z")
    assert kubeconfig.choose(None, [first, second, third]).name == "w"


def test_of_an_entry_that_two_files_have_the_first_counts_whole(tmp_path):
    first = write(tmp_path / "a", "x", current="x")
    second = write(
        tmp_path / "b", "x", server="https://127.0.0.1:2", user={"username": "u", "password": "p"}, **{"tls-server-name": "name"}
    )
    found = kubeconfig.choose("x", [first, second])
    assert found.cluster == {"server": SERVER} and found.user == {"token": "a"}


def test_a_context_may_name_what_another_file_defines(tmp_path):
    only = tmp_path / "only"
    only.write_text(yaml.safe_dump({"contexts": [{"name": "c", "context": {"cluster": "w", "user": "w"}}], "current-context": "c"}))
    assert kubeconfig.choose(None, [only, write(tmp_path / "b", "w")]).server == SERVER


def test_files_that_are_not_there_and_empty_ones_say_nothing(tmp_path):
    (tmp_path / "empty").touch()
    found = kubeconfig.choose(None, [tmp_path / "gone", tmp_path / "empty", write(tmp_path / "b", "w", current="w")])
    assert found.name == "w" and found.variable == f"{tmp_path / 'empty'}:{tmp_path / 'b'}"


def test_the_variable_names_files_and_empty_entries_name_none(tmp_path, monkeypatch):
    monkeypatch.setenv("KUBECONFIG", f":{tmp_path / 'a'}::{tmp_path / 'b'}:")
    assert kubeconfig.files() == [tmp_path / "a", tmp_path / "b"]


def test_paths_count_from_the_folder_of_the_file_that_names_them(tmp_path, monkeypatch):
    deep = tmp_path / "deep"
    plugin = {"exec": {"apiVersion": V1, "command": "bin/plugin"}}
    path = write(deep / "config", "x", current="x", user=plugin, **{"certificate-authority": "ca.crt"})
    monkeypatch.chdir(tmp_path)
    found = kubeconfig.choose("x", [Path("deep/config")])
    assert found.cluster["certificate-authority"] == str(deep / "ca.crt") and found.user["exec"]["command"] == str(deep / "bin/plugin")
    path.write_text(path.read_text().replace("bin/plugin", "plugin"))
    assert kubeconfig.choose("x", [path]).user["exec"]["command"] == "plugin", "without a slash it is looked for on PATH"


def test_reading_writes_nothing(tmp_path):
    path = write(tmp_path / "a", "x", current="x")
    before = path.read_bytes(), path.stat().st_mtime_ns
    credentials.configuration(kubeconfig.choose("x", [path]))
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before


# What is wrong, in sentences.


def test_no_file_names_those_that_were_looked_for(tmp_path):
    assert f"{tmp_path / 'gone'} does not exist" in refused(None, [tmp_path / "gone"])


def test_an_unknown_context_lists_the_known_of_all_files(tmp_path):
    files = [write(tmp_path / "a", "x"), write(tmp_path / "b", "w")]
    assert "no kubeconfig has a context 'z'" in refused("z", files).lower() and "There are: x, w." in refused("z", files)


def test_no_current_context_asks_for_one(tmp_path):
    assert "no current context" in refused(None, [write(tmp_path / "a", "x")])


def test_a_folder_says_that_it_is_one(tmp_path):
    assert "is a folder, not a kubeconfig" in refused("x", [tmp_path])


@pytest.mark.parametrize("text", ["{", "just text", "clusters: 3\ncontexts: []\n", "contexts: [{name: 3, context: {}}]", "\udcff"])
def test_a_file_that_is_no_kubeconfig_says_so(tmp_path, text):
    (tmp_path / "a").write_text(text, errors="surrogateescape")
    assert "is not a kubeconfig" in refused("x", [tmp_path / "a"])


@pytest.mark.parametrize(
    ("between", "sentence"),
    [
        ("", 'not valid YAML at line 14: the key "clusters" stands twice in one mapping, first in line 1'),
        ("\ufeff", 'line 14: the key "clusters" stands twice'),
        ("---\n\ufeff", "holds 2 documents, and kubectl reads only the first.*name all of them in KUBECONFIG"),
    ],
    ids=["cat", "with marks", "documents"],
)
def test_kubeconfigs_put_one_after_the_other_lose_none_in_silence(tmp_path, between, sentence):
    one, other = (write(tmp_path / name, name).read_text() for name in "ab")
    (tmp_path / "both").write_text(f"\ufeff{one}{between}{other}", encoding="utf-8")
    assert re.search(sentence, refused("a", [tmp_path / "both"]), re.DOTALL)


def test_a_context_whose_cluster_or_user_is_missing_says_so(tmp_path):
    path = write(tmp_path / "a", "x", current="x")
    whole = path.read_text()
    path.write_text(whole.replace("cluster: x", "cluster: other"))
    assert "the cluster 'other', of which no server is known" in refused("x", [path])
    path.write_text(whole.replace("user: x", "user: other"))
    assert "the user 'other', who is in no kubeconfig" in refused("x", [path])


# Credentials.


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


def pair(authority, end: datetime | None = None) -> dict:
    issued = authority.issue_cert("client", **({"not_after": end} if end else {}))
    return {
        "clientCertificateData": issued.cert_chain_pems[0].bytes().decode(),
        "clientKeyData": issued.private_key_pem.bytes().decode(),
    }


def by_plugin(tmp_path, status: dict | None, api: str = V1, answers: str = V1, command: str = "", code: int = 0, **more):
    """The context of a kubeconfig whose user is whoever a shell script says, and the file in which it notes its calls."""
    script, calls = tmp_path / "plugin", tmp_path / "calls"
    answer = json.dumps({"apiVersion": answers, "kind": "ExecCredential", "status": status or {}})
    script.write_text(f"#!/bin/sh\necho called >> {calls}\necho why it failed >&2\ncat <<'END'\n{answer}\nEND\nexit {code}\n")
    script.chmod(0o755)
    user = {"exec": {"apiVersion": api, "interactiveMode": "Never", "command": command or str(script), **more}}
    return kubeconfig.choose("x", [write(tmp_path / "kube", "x", user=user)]), calls


@pytest.mark.parametrize("api", [V1, V1BETA1])
def test_a_plugins_token_is_the_users(tmp_path, api):
    context, _ = by_plugin(tmp_path, {"token": "secret"}, api, api)
    found, until = credentials.configuration(context)
    assert found.get_api_key_with_prefix("BearerToken") == "Bearer secret" and until is None


@pytest.mark.parametrize("api", [V1, V1BETA1])
def test_a_plugins_certificate_ends_when_it_ends(tmp_path, authority, api):
    end = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    context, _ = by_plugin(tmp_path, pair(authority, end), api, api)
    found, until = credentials.configuration(context)
    assert Path(found.cert_file).read_text().startswith("-----BEGIN") and until == end - credentials.EARLY


def test_the_end_that_a_plugin_names_counts_where_it_comes_first(tmp_path, authority):
    context, _ = by_plugin(tmp_path, {**pair(authority), "expirationTimestamp": "2026-01-01T00:00:00Z"})
    assert credentials.configuration(context)[1] == datetime(2026, 1, 1, tzinfo=UTC) - credentials.EARLY


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        ({"command": "no-such-plugin"}, "'no-such-plugin', by which context x fetches its credentials, is not installed"),
        ({"command": "no-such-plugin", "installHint": "brew it"}, "brew it"),
        ({"command": "/etc/passwd"}, "cannot be run: Permission denied"),
        ({"code": 3}, "failed: process returned 3. why it failed"),
        ({"answers": V1BETA1}, "does not match"),
        ({"status": {}}, "neither a token nor a certificate with its key"),
        ({"status": {"clientCertificateData": "x"}}, "neither a token nor a certificate with its key"),
    ],
)
def test_a_plugin_that_is_missing_or_fails_says_so(tmp_path, how, sentence):
    context, _ = by_plugin(tmp_path, **{"status": {"token": "t"}, **how})
    with pytest.raises(ClusterError) as caught:
        credentials.configuration(context)
    assert sentence in str(caught.value) and caught.value.do


def test_a_file_that_the_kubeconfig_names_and_is_not_there(tmp_path):
    path = write(tmp_path / "a", "x", user={"client-certificate": "gone.crt", "client-key": "gone.key"})
    with pytest.raises(ClusterError, match=r"cannot be read.*gone\.crt"):
        credentials.configuration(kubeconfig.choose("x", [path]))


def test_keys_lie_in_a_private_folder_that_goes_with_the_process(tmp_path, authority):
    status = pair(authority)
    user = {f"client-{name}-data": base64.b64encode(status[key].encode()).decode()
            for name, key in (("certificate", "clientCertificateData"), ("key", "clientKeyData"))}  # fmt: skip
    path = write(tmp_path / "a", "x", current="x", user=user)
    show = "import sys, pathlib; from lab_helpers.kube import credentials, kubeconfig as k; "
    show += "c, _ = credentials.configuration(k.choose(None, [pathlib.Path(sys.argv[1])])); "
    show += "p = pathlib.Path(c.key_file); print(p, oct(p.parent.stat().st_mode), oct(p.stat().st_mode)); "
    environment = {**os.environ, "TMPDIR": str(tmp_path), "XDG_RUNTIME_DIR": ""}

    def run(more: str = "") -> list[str]:
        command = [sys.executable, "-c", show + more, str(path)]
        return subprocess.run(command, env=environment, capture_output=True, text=True).stdout.split()

    key, folder, file = run()
    assert stat.S_IMODE(int(folder, 8)) == 0o700 and stat.S_IMODE(int(file, 8)) == 0o600
    assert Path(key).parent.parent == tmp_path and not Path(key).parent.exists()
    killed, *_ = run("sys.stdout.flush(); import os; os.kill(os.getpid(), 9)")
    assert Path(killed).exists(), "nothing can clean up after a kill"
    run()
    assert not Path(killed).parent.exists(), "but the next process does"


TOGETHER = """
import pathlib, sys, threading
from lab_helpers.kube import credentials, kubeconfig
context = kubeconfig.choose(None, [pathlib.Path(sys.argv[1])])
barrier, read = threading.Barrier(16), []

def connect():
    barrier.wait()
    found, _ = credentials.configuration(context)
    read.append(pathlib.Path(found.cert_file).read_text() + pathlib.Path(found.key_file).read_text())

threads = [threading.Thread(target=connect) for _ in range(16)]
[each.start() for each in threads]
[each.join() for each in threads]
print(len(read), *map(len, set(read)))
"""


def test_whoever_connects_at_the_same_moment_finds_whole_keys_in_one_folder(tmp_path, authority):
    """The second folder took the first one's place, and with it went the keys that the first had been given."""
    issued = authority.issue_cert("learner@example.org")
    certificate, key = issued.cert_chain_pems[0].bytes(), issued.private_key_pem.bytes()
    data = {name: base64.b64encode(each).decode() for name, each in (("client-certificate-data", certificate), ("client-key-data", key))}
    path = write(tmp_path / "config", "x", current="x", user=data)
    done = subprocess.run([sys.executable, "-c", TOGETHER, str(path)], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["16", str(len(certificate) + len(key))], done.stderr[-600:]


# The client with credentials that end, before a server that speaks HTTP and nothing more of Kubernetes than these tests ask.


@pytest.fixture
def api():
    """An address, the tokens that were shown there, and those that it accepts."""
    shown, accepted = [], {"good"}
    pages = known(
        {
            "/version": {"gitVersion": "v1.36.3"},
            "/apis": {"kind": "APIGroupList", "groups": [GONE]},
            "/api/v1": {"kind": "APIResourceList", "resources": [{"name": "pods", "kind": "Pod", "namespaced": True, "verbs": ["list"]}]},
            "/api/v1/namespaces/default/pods": {"metadata": {}, "items": []},
        }
    )

    def answer(request):
        shown.append(request.headers.get("authorization", "").removeprefix("Bearer "))
        return pages(request) if shown[-1] in accepted else (401, {"message": "who are you?"})

    with serving(answer) as (address, _):
        yield address, shown, accepted


def at(context, address: str):
    return kubeconfig.Context(context.name, {"server": address}, context.user, context.variable)


POD = Kind("v1", "Pod")
VERSION = {"groupVersion": "networking.istio.io/v1", "version": "v1"}
GONE = {"name": "networking.istio.io", "versions": [VERSION], "preferredVersion": VERSION}  # listed, and not to be asked any more


def test_a_token_that_is_refused_is_fetched_once_more(tmp_path, api):
    address, shown, accepted = api
    context, calls = by_plugin(tmp_path, {"token": "good"})
    client = Client(at(context, address))
    assert client.list(POD) == [] and client.version == "v1.36.3" and len(calls.read_text().splitlines()) == 1
    script = tmp_path / "plugin"
    script.write_text(script.read_text().replace("good", "better"))
    accepted.clear()
    accepted.add("better")
    assert client.list(POD) == [] and shown[-1] == "better" and len(calls.read_text().splitlines()) == 2
    accepted.clear()
    with pytest.raises(ApiException) as caught:
        client.list(POD)
    assert caught.value.status == 401, "not again and again"


def test_a_token_that_has_ended_is_fetched_before_it_is_shown(tmp_path, api):
    address, shown, _ = api
    soon = (datetime.now(UTC) + timedelta(seconds=5)).isoformat().replace("+00:00", "Z")
    context, calls = by_plugin(tmp_path, {"token": "good", "expirationTimestamp": soon})
    client = Client(at(context, address))
    client.list(POD)
    before = len(calls.read_text().splitlines())
    client.list(POD)
    assert len(calls.read_text().splitlines()) > before and set(shown) == {"good"}


def test_a_user_without_credentials_is_nobody_and_may_be(tmp_path, api):
    address, shown, accepted = api
    accepted.add("")
    path = tmp_path / "kube"
    path.write_text(yaml.safe_dump({"clusters": [{"name": "c", "cluster": {"server": address}}],
                                    "contexts": [{"name": "open", "context": {"cluster": "c"}}]}))  # fmt: skip
    assert Client(kubeconfig.choose("open", [path])).version == "v1.36.3" and set(shown) == {""}


def test_a_kind_is_looked_for_in_its_own_group_only(tmp_path, api):
    """A group that is on its way out is still listed, and answers 404: pods were not found right after Istio was uninstalled."""
    address, _, accepted = api
    accepted.add("kube")
    client = Client(kubeconfig.choose("x", [write(tmp_path / "kube", "x", server=address)]))
    asked = []
    with patch.object(DynamicClient, "request", autospec=True, side_effect=DynamicClient.request) as request:
        assert client.list(POD) == []
        asked = [call.args[2].lstrip("/").partition("?")[0] for call in request.call_args_list]
    assert set(asked) == {"version", "apis", "api/v1", "api/v1/namespaces/default/pods"}


def test_discovery_leaves_no_file_and_reads_none(tmp_path, api, monkeypatch):
    address, _, accepted = api
    accepted.add("kube")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    credentials._folder()  # of this process: made before, or here
    before = set((tmp_path / "temporary").rglob("osrcp-*"))
    Client(kubeconfig.choose("x", [write(tmp_path / "kube", "x", server=address)])).list(POD)
    assert set((tmp_path / "temporary").rglob("osrcp-*")) == before == set()
