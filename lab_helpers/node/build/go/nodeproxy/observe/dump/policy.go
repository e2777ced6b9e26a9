package dump

import (
	"fmt"
	"net/netip"

	"istio.io/istio/istioctl/pkg/writer/ztunnel/configdump"
	"istio.io/istio/pkg/workloadapi/security"

	"lab/nodeproxy/control/policy"
)

// Policy shows a policy.
func Policy(p *policy.Policy) *configdump.ZtunnelPolicy {
	from := p.Proto()
	shown := &configdump.ZtunnelPolicy{
		Name: p.Name, Namespace: p.Namespace, Scope: camel(p.Scope.String()), Action: camel(from.GetAction().String()),
		Rules: [][][]*configdump.PolicyMatch{},
	}
	for _, group := range from.GetGroups() {
		rules := [][]*configdump.PolicyMatch{}
		for _, rule := range group.GetRules() {
			matches := []*configdump.PolicyMatch{}
			for _, match := range rule.GetMatches() {
				matches = append(matches, policyMatch(match))
			}
			rules = append(rules, matches)
		}
		shown.Rules = append(shown.Rules, rules)
	}
	return shown
}

func policyMatch(m *security.Match) *configdump.PolicyMatch {
	return &configdump.PolicyMatch{
		Namespaces: list(m.GetNamespaces(), text), NotNamespaces: list(m.GetNotNamespaces(), text),
		Principals: list(m.GetPrincipals(), text), NotPrincipals: list(m.GetNotPrincipals(), text),
		SourceIps: list(m.GetSourceIps(), prefix), NotSourceIps: list(m.GetNotSourceIps(), prefix),
		DestinationIps: list(m.GetDestinationIps(), prefix), NotDestinationIps: list(m.GetNotDestinationIps(), prefix),
		DestinationPorts: list(m.GetDestinationPorts(), port), NotDestinationPorts: list(m.GetNotDestinationPorts(), port),
		ServiceAccounts: list(m.GetServiceAccounts(), account), NotServiceAccounts: list(m.GetNotServiceAccounts(), account),
	}
}

func list[A, B any](from []A, show func(A) B) []B {
	var shown []B
	for _, each := range from {
		shown = append(shown, show(each))
	}
	return shown
}

func text(m *security.StringMatch) configdump.StringMatch {
	switch kind := m.GetMatchType().(type) {
	case *security.StringMatch_Exact:
		return configdump.StringMatch{Exact: kind.Exact}
	case *security.StringMatch_Prefix:
		return configdump.StringMatch{Prefix: kind.Prefix}
	case *security.StringMatch_Suffix:
		return configdump.StringMatch{Suffix: kind.Suffix}
	default:
		return configdump.StringMatch{Presence: struct{}{}}
	}
}

func prefix(a *security.Address) string {
	ip, _ := netip.AddrFromSlice(a.GetAddress())
	return fmt.Sprintf("%v/%d", ip, a.GetLength())
}

func port(number uint32) uint16 { return uint16(number) }

func account(a *security.ServiceAccountMatch) configdump.ServiceAccountMatch {
	return configdump.ServiceAccountMatch{Namespace: a.GetNamespace(), ServiceAccount: a.GetServiceAccount()}
}
