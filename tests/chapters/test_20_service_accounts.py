"""Chapter 20 on the live mesh: wrong answers in its own run, and names that nobody has. (That it runs is in test_every_chapter.py.)"""

import pytest

from lab_helpers.chapters.c20_service_accounts import who_may
from lab_helpers.core.errors import ManifestError, TrafficError
from tests.wrong_answers import before, fails

POLICY = """\
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {{name: mine}}
spec: {{selector: {{matchLabels: {{app: ratings}}}}, action: ALLOW, rules: [{{from: [{{source: {{{source}}}}}]}}]}}
"""


def policy(folder, source: str) -> str:
    """A rule of the learner's own for ratings, and for whom."""
    path = folder / "mine.yaml"
    path.write_text(POLICY.format(source=source))
    return str(path)


@before('lab.apply("20_service_accounts/01-closed.yaml")')
def what_is_no_name_at_all_is_refused(lab, tmp_path):
    for source, sentence in (
        ('principals: [""]', "empty value not allowed, found in Principals"),
        ('serviceAccounts: ["*"]', "wildcard not allowed, found in ServiceAccounts"),
        ("serviceAccounts: [a/b/c]", "expected format 'serviceAccount' or 'namespace/serviceAccount'"),
        ('serviceAccounts: [client], principals: ["*"]', "annot set serviceAccounts with namespaces or principals"),
        ("ipBlocks: [productpage]", "productpage"),
    ):
        with pytest.raises(ManifestError, match=sentence) as refused:
            lab.apply(policy(tmp_path, source))
        assert refused.value.do


@before('lab.apply("20_service_accounts/01-closed.yaml")')
def nothing_is_closed_yet(lab):
    seen = who_may(lab)
    fails("20.2", seen, sentence="client gets 200 from details, and should get 403")
    fails("20.3", seen, answer=("productpage", "ratings"), sentence="client gets 200 from details")
    with pytest.raises(TrafficError, match="no ready pod 'nobody'"):
        who_may(lab, ["nobody"])


@before("found = strangers(lab)")
def a_learner_is_told_of_names_that_are_nobodys(lab, tmp_path):
    source = f"principals: [spiffe://cluster.local/ns/{lab.namespace}/sa/client, cluster.local/ns/{lab.namespace}/sa/bookinfo-reveiws]"
    (change,) = lab.apply(policy(tmp_path, source)).changes
    said = "\n".join(change.warnings)
    assert f"Write cluster.local/ns/{lab.namespace}/sa/client" in said
    assert f"Did you mean cluster.local/ns/{lab.namespace}/sa/bookinfo-reviews?" in said


@before('lab.apply("my/backup.yaml")')
def a_rule_for_everybody_who_has_not_said_as_whom(lab):
    fails("20.9", lab, sentence="guest gets 200 from ratings, and should get 403")
