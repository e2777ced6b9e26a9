"""How one shows oneself to a cluster, and by which way: as kubectl does it with the same kubeconfig and environment, or a sentence."""

import base64
import os

import pytest
import trustme

from lab_helpers.core.errors import ClusterError
from lab_helpers.kube import credentials, kubeconfig
from lab_helpers.kube.client import Client
from tests.kubeconfigs import write
from tests.web import known, serving

KUBERNETES = known({"/version": {"gitVersion": "v1.36.3"}, "/apis": {"kind": "APIGroupList", "groups": []}})


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def context(tmp_path):
    """A function that makes the only context of a kubeconfig, of a server and a user, and more of the cluster."""
    return lambda user, **cluster: kubeconfig.choose("x", [write(tmp_path / "kube", "x", user=user, **cluster)])


def refused(context) -> str:
    with pytest.raises(ClusterError) as caught:
        credentials.configuration(context)
    assert caught.value.do
    return str(caught.value)


# Who one is.


def test_a_token_of_a_file_is_shown_without_the_end_of_the_line_and_before_any_other(tmp_path, context):
    (tmp_path / "token").write_text("secret\n")
    with serving(KUBERNETES) as (address, asked):
        assert Client(context({"tokenFile": "token", "token": "old"}, server=address)).version == "v1.36.3"
    assert {each.headers["authorization"] for each in asked} == {"Bearer secret"}


def test_a_token_file_that_has_none_says_so(tmp_path, context):
    assert "cannot be read" in refused(context({"tokenFile": "token"}))
    (tmp_path / "token").write_text("\n")
    assert f"is to be in {tmp_path / 'token'}, which is empty" in refused(context({"tokenFile": "token"}))


@pytest.mark.parametrize(
    ("user", "sentence"),
    [
        ({"token": "t", "as": "jane"}, "act as jane"),  # was oneself, with whatever rights that has
        ({"auth-provider": {"name": "azure", "config": {}}}, "auth-provider, azure, as kubectl did before"),  # was nobody
        ({"auth-provider": {"name": "gcp"}}, "auth-provider, gcp"),
    ],
    ids=["as", "azure", "gcp"],
)
def test_nobody_is_somebody_else_in_silence(context, user, sentence):
    assert sentence in refused(context(user))


@pytest.mark.parametrize(
    ("user", "sentence"),
    [
        ({"username": "u", "password": 123}, "password of user x is not text.*quotes"),
        ({"token": True}, "token of user x is not text.*quotes"),
        ({"exec": "plugin"}, "exec of user x is not a mapping"),
        ({"client-key-data": ["a"]}, "client-key-data of user x is not text.*anew"),
    ],
)
def test_a_value_of_another_type_is_named(context, user, sentence):
    with pytest.raises(ClusterError, match=f"(?s){sentence}"):
        context(user)


def test_what_is_null_is_not_there(context):
    with serving(KUBERNETES) as (address, _):
        assert Client(context({"exec": None, "token": None, "tokenFile": None}, server=address)).version == "v1.36.3"


@pytest.fixture(scope="module")
def pair():
    """A certificate and its key, and a key that is another's; in base64."""
    authority = trustme.CA()
    one, other = authority.issue_cert("one"), authority.issue_cert("other")
    pems = (one.cert_chain_pems[0].bytes(), one.private_key_pem.bytes(), other.private_key_pem.bytes())
    return [base64.b64encode(pem).decode() for pem in pems]


def test_certificates_that_cannot_be_used_are_not_taken_for_a_cluster_that_is_down(context, pair):
    certificate, key, others = pair
    ca = {"certificate-authority-data": certificate}
    assert credentials.configuration(context({"client-certificate-data": certificate, "client-key-data": key}, **ca))
    assert "keys of context x cannot be used" in refused(context({}, **{"certificate-authority-data": "!!"}))
    for user in ({}, {"client-key-data": others}, {"client-key-data": certificate}):
        assert "keys of context x cannot be used" in refused(context({"client-certificate-data": certificate, **user}, **ca))


# By which way.

PROXIES = {
    "with a password": "http://ann:it%27s%20%40home:%C3%BC@{}",
    "without a scheme": "{}",
    "as it should be": "http://{}",
}


@pytest.mark.parametrize("how", PROXIES)
@pytest.mark.parametrize("where", ["environment", "kubeconfig"])
def test_a_proxy_is_gone_by_as_kubectl_does(context, monkeypatch, how, where):
    with serving(lambda request: KUBERNETES(request._replace(path=request.path.removeprefix("http://cluster.example")))) as (proxy, asked):
        named = PROXIES[how].format(proxy.removeprefix("http://"))
        monkeypatch.setenv("http_proxy", named if where == "environment" else "")
        cluster = {} if where == "environment" else {"proxy-url": named}
        assert Client(context({}, server="http://cluster.example", **cluster)).version == "v1.36.3"
    login = asked[0].headers.get("proxy-authorization", "").removeprefix("Basic ")
    assert base64.b64decode(login).decode() == ("ann:it's @home:ü" if how == "with a password" else "")


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1", "http://[::1", "http://", "http://proxy:port", "http://ann:secret@proxy:70000"])
@pytest.mark.parametrize("where", ["environment", "kubeconfig"])
def test_what_is_no_proxy_is_named_and_no_password_of_it(context, monkeypatch, proxy, where):
    monkeypatch.setenv("https_proxy", proxy if where == "environment" else "")
    said = refused(context({}, server="https://cluster.example", **({"proxy-url": proxy} if where == "kubeconfig" else {})))
    assert said.startswith("HTTPS_PROXY names no proxy" if where == "environment" else "proxy-url in the kubeconfig names no proxy")
    assert "secret" not in said


@pytest.mark.parametrize("proxy", ["http://192.0.2.1:3128", "socks5://192.0.2.1:1080"])
@pytest.mark.parametrize("name", ["http_proxy", "all_proxy"])
def test_a_cluster_on_this_machine_is_asked_without_a_proxy(context, monkeypatch, name, proxy):
    """As kind and minikube have it. Go knows this exception, and no ALL_PROXY."""
    monkeypatch.setenv(name, proxy)
    with serving(KUBERNETES) as (address, _):
        for server in (address, address.replace("127.0.0.1", "localhost")):
            assert Client(context({}, server=server)).version == "v1.36.3"


def test_all_proxy_means_nothing_to_kubectl(context, monkeypatch):
    monkeypatch.setenv("ALL_PROXY", "socks5://192.0.2.1:1080")
    assert credentials.configuration(context({}, server="https://cluster.example"))[0].proxy is None


def test_a_proxy_that_is_not_gone_by_may_be_anything(context, monkeypatch):
    monkeypatch.setenv("https_proxy", "socks5://192.0.2.1:1080")
    monkeypatch.setenv("no_proxy", "example")
    assert credentials.configuration(context({}, server="https://cluster.example"))[0].proxy is None


# Where keys may lie.


@pytest.mark.parametrize("wanted", ["no-such-folder", "file"])
def test_keys_that_have_nowhere_to_lie_are_not_the_kubeconfigs_fault(context, monkeypatch, tmp_path, wanted):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_RUNTIME_DIR", "")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / wanted))
    credentials._folder.cache_clear()
    try:
        assert "There is no folder for the keys" in refused(context({})) and "TMPDIR" in refused(context({}))
    finally:
        credentials._folder.cache_clear()


def test_a_folder_that_goes_while_it_is_looked_at_is_gone(monkeypatch, tmp_path):
    """Two processes that start at once both clean up after one that was killed."""
    (tmp_path / f"{credentials.PREFIX}{2**22 + 1}-x").mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr(credentials.Path, "lstat", lambda path: os.lstat("/no/such/file"))
    assert credentials._folder.__wrapped__().parent == tmp_path
