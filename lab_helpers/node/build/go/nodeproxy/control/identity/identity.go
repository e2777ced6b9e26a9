// Package identity is about who a workload is: a SPIFFE ID in Istio's form, spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT
// (istio.io/istio, pkg/spiffe/spiffe.go).
package identity

import (
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
)

// Identity names a service account of a mesh.
type Identity struct{ TrustDomain, Namespace, ServiceAccount string }

// Scheme begins every identity.
const Scheme = "spiffe://"

// String returns the SPIFFE ID.
func (i Identity) String() string { return Scheme + i.Principal() }

// Principal is the SPIFFE ID without its scheme: what an AuthorizationPolicy compares.
func (i Identity) Principal() string {
	return i.TrustDomain + "/ns/" + i.Namespace + "/sa/" + i.ServiceAccount
}

// Parse reads a SPIFFE ID in Istio's form; any other is an error.
func Parse(id string) (Identity, error) {
	rest, is := strings.CutPrefix(id, Scheme)
	parts := strings.Split(rest, "/")
	if !is || len(parts) != 5 || parts[1] != "ns" || parts[3] != "sa" || parts[0] == "" || parts[2] == "" || parts[4] == "" {
		return Identity{}, fmt.Errorf("%.200q is not of the form spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT", id)
	}
	return Identity{parts[0], parts[2], parts[4]}, nil
}

// FromCertificate returns the first identity that a certificate carries.
func FromCertificate(certificate *x509.Certificate) (Identity, error) {
	err := errors.New("the certificate names no workload")
	for _, uri := range certificate.URIs {
		var id Identity
		if id, err = Parse(uri.String()); err == nil {
			return id, nil
		}
	}
	return Identity{}, err
}
