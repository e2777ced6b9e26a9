package connections

import (
	"context"
	"errors"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"lab/nodeproxy/control/identity"
	"lab/nodeproxy/control/policy"
	"lab/nodeproxy/control/state"
	"lab/nodeproxy/control/state/statetest"
	"lab/nodeproxy/observe/logging"
	"lab/nodeproxy/observe/metrics"
)

func table(t *testing.T) (*Registry, *state.Store, *strings.Builder) {
	t.Helper()
	store := state.New()
	statetest.Apply(t, store, statetest.Workload(t, `{"name":"httpbin-1","namespace":"ns","addresses":[@10.0.0.2],"workloadName":"httpbin",
		"authorizationPolicies":["ns/p"]}`))
	levels, err := logging.NewLevels("info")
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	return New(store, metrics.New("test"), logging.Scope(logging.New(&out, levels, false), "access")), store, &out
}

func info(store *state.Store) Info {
	return Info{
		Pod: "uid", Inbound: true, HBONE: true, Source: netip.MustParseAddrPort("10.0.0.1:4000"), Original: netip.MustParseAddrPort("10.0.0.2:80"),
		Actual: netip.MustParseAddrPort("10.0.0.2:15008"), Authority: "10.0.0.2:80", FromID: "spiffe://td/ns/ns/sa/sleep",
		ToWorkload: store.At(state.Address{IP: netip.MustParseAddr("10.0.0.2")}),
	}
}

func TestAnOpenConnectionEndsWithItsPermission(t *testing.T) {
	registry, store, _ := table(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go registry.Enforce(ctx)
	open := func(account string) (context.Context, *Connection) {
		ctx, c := registry.Register(t.Context(), info(store))
		id := &identity.Identity{TrustDomain: "td", Namespace: "ns", ServiceAccount: account}
		if verdict := c.Authorize(c.info.ToWorkload, policy.Request{Identity: id}); !verdict.Allowed {
			t.Fatalf("%+v", verdict)
		}
		c.Established()
		return ctx, c
	}
	sleep, one := open("sleep")
	curl, two := open("curl")
	statetest.Apply(t, store, statetest.Policy(t, `{"name":"p","namespace":"ns","scope":"WORKLOAD_SELECTOR","action":"DENY",
		"groups":[{"rules":[{"matches":[{"principals":[{"suffix":"/sa/sleep"}]}]}]}]}`))
	select {
	case <-sleep.Done():
		if !errors.Is(context.Cause(sleep), ErrPolicy) {
			t.Errorf("ended by %v", context.Cause(sleep))
		}
	case <-time.After(5 * time.Second):
		t.Fatal("still open 5 s after the policy")
	}
	if curl.Err() != nil {
		t.Error("a connection that is allowed was ended")
	}
	one.Close(metrics.FlagNone, ErrPolicy)
	two.Close(metrics.FlagNone, nil)
	if registry.Count() != 0 {
		t.Error("a closed connection is still in the table")
	}
}

func TestAccessLog(t *testing.T) {
	registry, store, out := table(t)
	_, c := registry.Register(t.Context(), info(store))
	if list := registry.Of("uid"); len(list) != 1 || len(registry.Of("other")) != 0 {
		t.Errorf("%v", list)
	}
	c.Established()
	c.Sent(7)
	c.Received(5)
	c.Close(metrics.FlagNone, nil)
	c.Close(metrics.FlagNone, nil)
	want := regexp.MustCompile(`^\S+\tinfo\taccess\tconnection complete\tsrc.addr=10.0.0.1:4000 src.identity="spiffe://td/ns/ns/sa/sleep" ` +
		`dst.addr=10.0.0.2:15008 dst.hbone_addr=10.0.0.2:80 dst.workload="httpbin-1" dst.namespace="ns" dst.cluster="Kubernetes" ` +
		`direction="inbound" bytes_sent=7 bytes_recv=5 duration="\d+ms"\n$`)
	if got := out.String(); !want.MatchString(got) {
		t.Errorf("the log says %s", got)
	}
	out.Reset()
	_, c = registry.Register(t.Context(), info(store))
	c.Close(metrics.FlagDenied, errors.New("no policy allows it"))
	if got := out.String(); !strings.Contains(got, "\terror\taccess\t") || !strings.HasSuffix(got, "error=\"no policy allows it\"\n") {
		t.Errorf("the log says %s", got)
	}
	out.Reset()
	registry.Refuse(false, netip.MustParseAddrPort("10.0.0.1:4000"), netip.AddrPort{}, errors.New("no workload"))
	if got := out.String(); !strings.Contains(got, "\twarn\taccess\tconnection failed\tsrc.addr=10.0.0.1:4000 direction=\"outbound\"") {
		t.Errorf("the log says %s", got)
	}
}
