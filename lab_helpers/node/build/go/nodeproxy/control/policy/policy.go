// Package policy decides whether a connection is let in: the part of AuthorizationPolicy and PeerAuthentication that is about
// connections, as istiod hands it to node proxies (istio.io/istio, pkg/workloadapi/security/authorization.proto).
//
// istiod turns a strict PeerAuthentication into such a policy (pilot/pkg/serviceregistry/ambient/authorization.go), so there is
// nothing about PeerAuthentication here.
package policy

import (
	"fmt"
	"net/netip"

	"istio.io/istio/pkg/workloadapi/security"

	"lab/nodeproxy/control/identity"
)

// Request is what is known of a connection that somebody wants to make.
type Request struct {
	Source      netip.Addr         // the peer's: a waypoint's where one is between
	Destination netip.AddrPort     // the application's own address and port
	Identity    *identity.Identity // nil: the peer has shown no certificate
}

// Policy is one policy, ready to be held against connections.
type Policy struct {
	Name, Namespace string
	Scope           security.Scope
	Deny            bool
	DryRun          bool // is never enforced

	groups []group
	proto  *security.Authorization
}

type (
	group []rules // all of them have to be met
	rules []match // one of them has to be met
)

// Key is what a workload names the policy by.
func (p *Policy) Key() string { return p.Namespace + "/" + p.Name }

// Proto is the policy as it came.
func (p *Policy) Proto() *security.Authorization { return p.proto }

// Parse reads a policy. One that holds anything unknown is refused as a whole: half a policy would be another policy.
func Parse(from *security.Authorization) (*Policy, error) {
	p := &Policy{Name: from.GetName(), Namespace: from.GetNamespace(), Scope: from.GetScope(), DryRun: from.GetDryRun(), proto: from}
	if p.Name == "" {
		return nil, fmt.Errorf("a policy without a name")
	}
	if _, known := security.Scope_name[int32(p.Scope)]; !known {
		return nil, fmt.Errorf("policy %s: unknown scope %d", p.Key(), p.Scope)
	}
	switch from.GetAction() {
	case security.Action_ALLOW:
	case security.Action_DENY:
		p.Deny = true
	default:
		return nil, fmt.Errorf("policy %s: unknown action %d", p.Key(), from.GetAction())
	}
	for _, g := range from.GetGroups() {
		var parsed group
		for _, r := range g.GetRules() {
			var matches rules
			for _, m := range r.GetMatches() {
				one, err := parseMatch(m)
				if err != nil {
					return nil, fmt.Errorf("policy %s: %w", p.Key(), err)
				}
				matches = append(matches, one)
			}
			parsed = append(parsed, matches)
		}
		p.groups = append(p.groups, parsed)
	}
	return p, nil
}

// Matches says whether the policy is about the request.
//
// One group has to match; in a group all rules; in a rule one of its matches: the comment in the proto says all, ztunnel takes one.
// Without groups nothing matches; a group without rules matches everything, and so does a rule without matches.
func (p *Policy) Matches(r Request) bool {
	for _, g := range p.groups {
		if g.met(r) {
			return true
		}
	}
	return false
}

func (g group) met(r Request) bool {
	for _, matches := range g {
		if !matches.met(r) {
			return false
		}
	}
	return true
}

func (rs rules) met(r Request) bool {
	for _, m := range rs {
		if m.met(r) {
			return true
		}
	}
	return len(rs) == 0
}

// Verdict is whether a connection may be, and why.
type Verdict struct {
	Allowed bool
	Policy  string   // the policy that decided; empty if none did
	DryRun  []string // policies that match and are not enforced
}

// Reason says in words why a connection was refused.
func (v Verdict) Reason() string {
	switch {
	case v.Allowed:
		return ""
	case v.Policy != "":
		return "denied by policy " + v.Policy
	default:
		return "no policy allows it"
	}
}

// Decide holds the policies that apply to a workload against a request, in Istio's order: what a DENY matches is refused; if there is
// any ALLOW, one of them has to match; where there is none, everything else is let in.
func Decide(policies []*Policy, r Request) Verdict {
	verdict := Verdict{Allowed: true}
	var dry []string
	for _, p := range policies {
		if p.DryRun {
			if p.Matches(r) {
				dry = append(dry, p.Key())
			}
			continue
		}
		if p.Deny {
			if p.Matches(r) {
				return Verdict{Policy: p.Key(), DryRun: dry}
			}
			continue
		}
		if verdict.Policy == "" { // no ALLOW has matched so far
			verdict.Allowed = p.Matches(r)
			if verdict.Allowed {
				verdict.Policy = p.Key()
			}
		}
	}
	verdict.DryRun = dry
	return verdict
}
