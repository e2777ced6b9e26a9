package policy

import (
	"fmt"
	"net/netip"
	"strings"

	"istio.io/istio/pkg/workloadapi/security"

	"lab/nodeproxy/control/identity"
)

// match is a set of conditions, all of which have to hold. Of the values of one condition one has to fit; of those of its negation
// none may.
type match struct {
	conditions []condition
}

// condition is one kind of value and its negation.
type condition struct {
	fits []func(Request) bool
	not  bool
}

func (c condition) holds(r Request) bool {
	for _, fits := range c.fits {
		if fits(r) {
			return !c.not
		}
	}
	return c.not
}

// met is false for a match without conditions: istiod sends one in the place of what only HTTP could tell, and a DENY of that kind
// must not refuse everything (istio.io/istio, pilot/pkg/serviceregistry/ambient/testdata/deny-groups.yaml).
func (m match) met(r Request) bool {
	for _, c := range m.conditions {
		if !c.holds(r) {
			return false
		}
	}
	return len(m.conditions) > 0
}

func parseMatch(from *security.Match) (match, error) {
	var m match
	var wrong error
	add := func(not bool, fits []func(Request) bool, err error) {
		if err != nil && wrong == nil {
			wrong = err
		}
		if len(fits) > 0 {
			m.conditions = append(m.conditions, condition{fits, not})
		}
	}
	addStrings := func(not bool, from []*security.StringMatch, of func(*identity.Identity) (string, bool)) {
		fits, err := each(from, func(s *security.StringMatch) (func(Request) bool, error) { return parseString(s, of) })
		add(not, fits, err)
	}
	addIPs := func(not bool, from []*security.Address, of func(Request) netip.Addr) {
		fits, err := each(from, func(a *security.Address) (func(Request) bool, error) { return parsePrefix(a, of) })
		add(not, fits, err)
	}
	addAccounts := func(not bool, from []*security.ServiceAccountMatch) {
		fits, err := each(from, parseAccount)
		add(not, fits, err)
	}
	addPorts := func(not bool, from []uint32) {
		fits, err := each(from, parsePort)
		add(not, fits, err)
	}
	addStrings(false, from.GetNamespaces(), namespace)
	addStrings(true, from.GetNotNamespaces(), namespace)
	addAccounts(false, from.GetServiceAccounts())
	addAccounts(true, from.GetNotServiceAccounts())
	addStrings(false, from.GetPrincipals(), principal)
	addStrings(true, from.GetNotPrincipals(), principal)
	addIPs(false, from.GetSourceIps(), func(r Request) netip.Addr { return r.Source })
	addIPs(true, from.GetNotSourceIps(), func(r Request) netip.Addr { return r.Source })
	addIPs(false, from.GetDestinationIps(), func(r Request) netip.Addr { return r.Destination.Addr() })
	addIPs(true, from.GetNotDestinationIps(), func(r Request) netip.Addr { return r.Destination.Addr() })
	addPorts(false, from.GetDestinationPorts())
	addPorts(true, from.GetNotDestinationPorts())
	return m, wrong
}

func each[T any](from []T, parse func(T) (func(Request) bool, error)) ([]func(Request) bool, error) {
	var fits []func(Request) bool
	for _, value := range from {
		one, err := parse(value)
		if err != nil {
			return nil, err
		}
		fits = append(fits, one)
	}
	return fits, nil
}

// namespace is "" for a peer without identity: a rule about namespaces that are not allowed lets it pass.
func namespace(id *identity.Identity) (string, bool) {
	if id == nil {
		return "", true
	}
	return id.Namespace, true
}

// principal is nothing for a peer without identity: not even "any principal" fits.
func principal(id *identity.Identity) (string, bool) {
	if id == nil {
		return "", false
	}
	return id.Principal(), true
}

func parseString(from *security.StringMatch, of func(*identity.Identity) (string, bool)) (func(Request) bool, error) {
	var fits func(string) bool
	switch kind := from.GetMatchType().(type) {
	case *security.StringMatch_Exact:
		wanted := strings.TrimPrefix(kind.Exact, identity.Scheme)
		fits = func(s string) bool { return s == wanted }
	case *security.StringMatch_Prefix:
		wanted := strings.TrimPrefix(kind.Prefix, identity.Scheme)
		fits = func(s string) bool { return strings.HasPrefix(s, wanted) }
	case *security.StringMatch_Suffix:
		fits = func(s string) bool { return strings.HasSuffix(s, kind.Suffix) }
	case *security.StringMatch_Presence:
		fits = func(s string) bool { return s != "" }
	default:
		return nil, fmt.Errorf("a text is compared in an unknown way")
	}
	return func(r Request) bool {
		value, has := of(r.Identity)
		return has && fits(value)
	}, nil
}

func parseAccount(from *security.ServiceAccountMatch) (func(Request) bool, error) {
	return func(r Request) bool {
		return r.Identity != nil && r.Identity.Namespace == from.GetNamespace() && r.Identity.ServiceAccount == from.GetServiceAccount()
	}, nil
}

func parsePrefix(from *security.Address, of func(Request) netip.Addr) (func(Request) bool, error) {
	address, is := netip.AddrFromSlice(from.GetAddress())
	if !is {
		return nil, fmt.Errorf("an address of %d bytes", len(from.GetAddress()))
	}
	prefix, err := address.Prefix(int(min(from.GetLength(), 1<<10)))
	if err != nil {
		return nil, fmt.Errorf("%v has no prefix of %d bits", address, from.GetLength())
	}
	return func(r Request) bool { return prefix.Contains(of(r).Unmap()) }, nil
}

func parsePort(wanted uint32) (func(Request) bool, error) {
	return func(r Request) bool { return uint32(r.Destination.Port()) == wanted }, nil
}
