package policy

import (
	"net/netip"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"istio.io/istio/pkg/workloadapi/security"

	"lab/nodeproxy/control/identity"
)

func read(t testing.TB, text string) *security.Authorization {
	t.Helper()
	from := &security.Authorization{}
	if err := protojson.Unmarshal([]byte(text), from); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	if from.Name == "" {
		from.Name, from.Namespace = "p", "ns"
	}
	return from
}

func parse(t testing.TB, text string) *Policy {
	t.Helper()
	p, err := Parse(read(t, text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return p
}

var (
	sleep = &identity.Identity{TrustDomain: "td", Namespace: "default", ServiceAccount: "sleep"}
	known = Request{netip.MustParseAddr("10.0.0.5"), netip.MustParseAddrPort("10.0.1.7:8080"), sleep}
	plain = Request{known.Source, known.Destination, nil}
)

// The bytes of 10.0.0.0, 10.0.1.7 and 2001:db8:: in base64, as protojson wants them.
const net10, pod, net6 = "CgAAAA==", "CgABBw==", "IAENuAAAAAAAAAAAAAAAAA=="

func one(match string) string { return `{"groups":[{"rules":[{"matches":[` + match + `]}]}]}` }

func TestMatches(t *testing.T) {
	for name, test := range map[string]struct {
		policy       string
		known, plain bool
	}{
		"no groups":                          {`{}`, false, false},
		"a group without rules":              {`{"groups":[{}]}`, true, true},
		"a rule without matches":             {`{"groups":[{"rules":[{}]}]}`, true, true},
		"an empty match":                     {one(`{}`), false, false},
		"an empty match beside one":          {one(`{},{"principals":[{"presence":{}}]}`), true, false},
		"exact principal":                    {one(`{"principals":[{"exact":"td/ns/default/sa/sleep"}]}`), true, false},
		"principal with its scheme":          {one(`{"principals":[{"exact":"spiffe://td/ns/default/sa/sleep"}]}`), true, false},
		"another principal":                  {one(`{"principals":[{"exact":"td/ns/default/sa/other"}]}`), false, false},
		"prefix":                             {one(`{"principals":[{"prefix":"td/ns/default/"}]}`), true, false},
		"suffix":                             {one(`{"principals":[{"suffix":"/sa/sleep"}]}`), true, false},
		"any principal":                      {one(`{"principals":[{"presence":{}}]}`), true, false},
		"no principal":                       {one(`{"notPrincipals":[{"presence":{}}]}`), false, true},
		"not that principal":                 {one(`{"notPrincipals":[{"exact":"td/ns/default/sa/other"}]}`), true, true},
		"one of two values":                  {one(`{"principals":[{"exact":"x"},{"suffix":"sleep"}]}`), true, false},
		"two kinds, one not met":             {one(`{"principals":[{"suffix":"sleep"}],"destinationPorts":[9090]}`), false, false},
		"two kinds, both met":                {one(`{"principals":[{"suffix":"sleep"}],"destinationPorts":[9090,8080]}`), true, false},
		"two matches, one met":               {one(`{"destinationPorts":[9090]},{"principals":[{"suffix":"sleep"}]}`), true, false},
		"two rules, one not met":             {`{"groups":[{"rules":[{"matches":[{"destinationPorts":[8080]}]},{"matches":[{"destinationPorts":[1]}]}]}]}`, false, false},
		"two groups, one met":                {`{"groups":[{"rules":[{"matches":[{"destinationPorts":[1]}]}]},{"rules":[{"matches":[{"destinationPorts":[8080]}]}]}]}`, true, true},
		"namespace":                          {one(`{"namespaces":[{"exact":"default"}]}`), true, false},
		"not that namespace":                 {one(`{"notNamespaces":[{"exact":"default"}]}`), false, true},
		"service account":                    {one(`{"serviceAccounts":[{"namespace":"default","serviceAccount":"sleep"}]}`), true, false},
		"service account elsewhere":          {one(`{"serviceAccounts":[{"namespace":"other","serviceAccount":"sleep"}]}`), false, false},
		"not that service account":           {one(`{"notServiceAccounts":[{"namespace":"default","serviceAccount":"sleep"}]}`), false, true},
		"source network":                     {one(`{"sourceIps":[{"address":"` + net10 + `","length":8}]}`), true, true},
		"source address":                     {one(`{"sourceIps":[{"address":"` + pod + `","length":32}]}`), false, false},
		"not that source":                    {one(`{"notSourceIps":[{"address":"` + net10 + `","length":8}]}`), false, false},
		"everything of one family":           {one(`{"sourceIps":[{"address":"` + net10 + `"}]}`), true, true},
		"a network of the other family":      {one(`{"sourceIps":[{"address":"` + net6 + `","length":32}]}`), false, false},
		"destination address":                {one(`{"destinationIps":[{"address":"` + pod + `","length":32}]}`), true, true},
		"not that destination":               {one(`{"notDestinationIps":[{"address":"` + pod + `","length":32}]}`), false, false},
		"not that port":                      {one(`{"notDestinationPorts":[9090]}`), true, true},
		"a negation and its value":           {one(`{"notDestinationPorts":[9090,8080]}`), false, false},
		"a port, but not from that identity": {one(`{"destinationPorts":[8080],"notPrincipals":[{"suffix":"sleep"}]}`), false, true},
	} {
		t.Run(name, func(t *testing.T) {
			p := parse(t, test.policy)
			if got := p.Matches(known); got != test.known {
				t.Errorf("with identity: %v", got)
			}
			if got := p.Matches(plain); got != test.plain {
				t.Errorf("without identity: %v", got)
			}
		})
	}
}

const (
	allowSleep = `{"name":"allow","groups":[{"rules":[{"matches":[{"principals":[{"suffix":"sleep"}]}]}]}]}`
	allowNone  = `{"name":"none"}`
	denyPlain  = `{"name":"strict","action":"DENY","groups":[{"rules":[{"matches":[{"notPrincipals":[{"presence":{}}]}]}]}]}`
	denyAll    = `{"name":"deny","action":"DENY","groups":[{}]}`
	denyHTTP   = `{"name":"http","action":"DENY","groups":[{"rules":[{"matches":[{}]}]}]}`
	denyDry    = `{"name":"dry","action":"DENY","dryRun":true,"groups":[{}]}`
)

func TestDecide(t *testing.T) {
	for name, test := range map[string]struct {
		policies     []string
		known, plain bool
	}{
		"no policy":                      {nil, true, true},
		"an allow":                       {[]string{allowSleep}, true, false},
		"an allow that allows nothing":   {[]string{allowNone}, false, false},
		"one of two allows":              {[]string{allowNone, allowSleep}, true, false},
		"one of two allows, other order": {[]string{allowSleep, allowNone}, true, false},
		"strict":                         {[]string{denyPlain}, true, false},
		"a deny goes before an allow":    {[]string{allowSleep, denyAll}, false, false},
		"a deny about HTTP only":         {[]string{denyHTTP}, true, true},
		"a dry run":                      {[]string{denyDry}, true, true},
		"a dry run and an allow":         {[]string{denyDry, allowSleep}, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			var policies []*Policy
			for _, text := range test.policies {
				policies = append(policies, parse(t, text))
			}
			if got := Decide(policies, known); got.Allowed != test.known || got.Allowed != (got.Reason() == "") {
				t.Errorf("with identity: %+v, %q", got, got.Reason())
			}
			if got := Decide(policies, plain); got.Allowed != test.plain {
				t.Errorf("without identity: %+v", got)
			}
		})
	}
	if got := Decide([]*Policy{parse(t, denyDry)}, known); len(got.DryRun) != 1 || got.DryRun[0] != "/dry" {
		t.Errorf("the dry run is not told of: %+v", got)
	}
}

func TestWhatIsUnknownIsRefused(t *testing.T) {
	for text, reason := range map[string]string{
		one(`{"sourceIps":[{"address":"CgAA","length":8}]}`):           "3 bytes",
		one(`{"sourceIps":[{"address":"` + net10 + `","length":33}]}`): "33 bits",
		one(`{"notDestinationIps":[{"address":"","length":1}]}`):       "0 bytes",
		one(`{"principals":[{}]}`):                                     "unknown way",
		`{"name":"p","action":7}`:                                      "unknown action",
		`{"name":"p","scope":7}`:                                       "unknown scope",
	} {
		if _, err := Parse(read(t, text)); err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("%s: %v", text, err)
		}
	}
	if _, err := Parse(&security.Authorization{}); err == nil {
		t.Error("a policy without a name was taken")
	}
}

func FuzzPolicy(f *testing.F) {
	for _, text := range []string{allowSleep, denyPlain, denyHTTP, one(`{"sourceIps":[{"address":"` + net10 + `","length":8}]}`)} {
		data, err := proto.Marshal(read(f, text))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		from := &security.Authorization{}
		if proto.Unmarshal(data, from) != nil {
			return
		}
		p, err := Parse(from)
		if err != nil {
			return
		}
		for _, r := range []Request{known, plain, {}} {
			got := Decide([]*Policy{p}, r)
			if want := p.DryRun || p.Matches(r) != p.Deny; got.Allowed != want {
				t.Errorf("%v: %+v", from, got)
			}
		}
	})
}
