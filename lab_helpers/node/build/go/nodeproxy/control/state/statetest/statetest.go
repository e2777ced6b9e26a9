// Package statetest makes workloads, services and policies for tests, from the JSON form of their messages.
package statetest

import (
	"encoding/base64"
	"net/netip"
	"regexp"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"istio.io/istio/pkg/workloadapi"
	"istio.io/istio/pkg/workloadapi/security"

	"lab/nodeproxy/control/state"
)

var ip = regexp.MustCompile(`@[0-9a-f.:]+`)

// read reads JSON in which @10.0.0.1 stands for the bytes of an address.
func read(t testing.TB, text string, into proto.Message) {
	t.Helper()
	text = ip.ReplaceAllStringFunc(text, func(found string) string {
		address, err := netip.ParseAddr(found[1:])
		if err != nil {
			t.Fatal(err)
		}
		return `"` + base64.StdEncoding.EncodeToString(address.AsSlice()) + `"`
	})
	if err := protojson.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
}

// Workload reads a workload; its uid is Kubernetes//Pod/NAMESPACE/NAME unless it says another.
func Workload(t testing.TB, text string) *workloadapi.Workload {
	t.Helper()
	w := &workloadapi.Workload{}
	read(t, text, w)
	if w.Uid == "" {
		w.Uid = "Kubernetes//Pod/" + w.Namespace + "/" + w.Name
	}
	return w
}

// Service reads a service; its hostname is NAME.NAMESPACE.svc.cluster.local unless it says another.
func Service(t testing.TB, text string) *workloadapi.Service {
	t.Helper()
	s := &workloadapi.Service{}
	read(t, text, s)
	if s.Hostname == "" {
		s.Hostname = s.Name + "." + s.Namespace + ".svc.cluster.local"
	}
	return s
}

// Policy reads a policy.
func Policy(t testing.TB, text string) *security.Authorization {
	t.Helper()
	p := &security.Authorization{}
	read(t, text, p)
	return p
}

// Addresses names workloads and services as discovery does.
func Addresses(objects ...proto.Message) map[string]*workloadapi.Address {
	addresses := map[string]*workloadapi.Address{}
	for _, object := range objects {
		switch o := object.(type) {
		case *workloadapi.Workload:
			addresses[o.Uid] = &workloadapi.Address{Type: &workloadapi.Address_Workload{Workload: o}}
		case *workloadapi.Service:
			addresses[state.ServiceKey(o.Namespace, o.Hostname)] = &workloadapi.Address{Type: &workloadapi.Address_Service{Service: o}}
		}
	}
	return addresses
}

// Apply puts workloads, services and policies into the store.
func Apply(t testing.TB, store *state.Store, objects ...proto.Message) {
	t.Helper()
	policies := map[string]*security.Authorization{}
	for _, object := range objects {
		if p, is := object.(*security.Authorization); is {
			policies[p.Namespace+"/"+p.Name] = p
		}
	}
	for name, err := range store.ApplyAddresses(Addresses(objects...), nil) {
		t.Fatalf("%s: %v", name, err)
	}
	for name, err := range store.ApplyPolicies(policies, nil) {
		t.Fatalf("%s: %v", name, err)
	}
}
