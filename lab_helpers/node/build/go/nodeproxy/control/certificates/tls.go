package certificates

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"

	"lab/nodeproxy/control/identity"
)

// Error is a handshake that failed for what the peer's certificate is, not for the network.
type Error struct {
	Revoked bool
	err     error
}

// Error says what was wrong.
func (e *Error) Error() string { return e.err.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.err }

// base is what both ends have in common, as ztunnel sets it: TLS 1.3, HTTP/2, and a new handshake for every connection.
func base() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS13, NextProtos: []string{"h2"}, SessionTicketsDisabled: true}
}

// Server returns the settings of a workload's own end of tunnels: the peer has to show a certificate of the same trust domain.
// The identity's certificate is looked up for each handshake.
func (h *Holder) Server(crl *CRL) *tls.Config {
	config := base()
	config.ClientAuth = tls.RequireAnyClientCert // checked below, against the roots of now
	config.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		own, err := h.Certificate(hello.Context())
		if err != nil {
			return nil, err
		}
		each := config.Clone()
		each.GetConfigForClient = nil
		each.Certificates = []tls.Certificate{own.TLS}
		each.VerifyConnection = func(state tls.ConnectionState) error {
			peer, err := verify(state, own, x509.ExtKeyUsageClientAuth, crl)
			if err == nil && peer.TrustDomain != h.ID.TrustDomain {
				err = &Error{err: fmt.Errorf("%s is not of the trust domain %s", peer, h.ID.TrustDomain)}
			}
			return err
		}
		return each, nil
	}
	return config
}

// Client returns the settings of a workload's end of a tunnel to one of the names, which are SPIFFE IDs.
func Client(own *Certificate, names []string, crl *CRL) *tls.Config {
	config := base()
	config.Certificates = []tls.Certificate{own.TLS}
	config.InsecureSkipVerify = true // it is about host names; what counts here is checked below
	config.VerifyConnection = func(state tls.ConnectionState) error {
		if _, err := verify(state, own, x509.ExtKeyUsageServerAuth, crl); err != nil {
			return err
		}
		for _, uri := range state.PeerCertificates[0].URIs {
			if slices.Contains(names, uri.String()) {
				return nil
			}
		}
		return &Error{err: fmt.Errorf("the peer is %v, and should be %v", state.PeerCertificates[0].URIs, names)}
	}
	return config
}

// verify checks the peer's certificate and returns whose it is.
func verify(state tls.ConnectionState, own *Certificate, usage x509.ExtKeyUsage, crl *CRL) (identity.Identity, error) {
	var id identity.Identity
	if len(state.PeerCertificates) == 0 {
		return id, &Error{err: errors.New("the peer has shown no certificate")}
	}
	options := x509.VerifyOptions{Roots: own.pool, Intermediates: x509.NewCertPool(), KeyUsages: []x509.ExtKeyUsage{usage}}
	for _, each := range state.PeerCertificates[1:] {
		options.Intermediates.AddCert(each)
	}
	chains, err := state.PeerCertificates[0].Verify(options)
	if err != nil {
		return id, &Error{err: err}
	}
	if err := crl.Check(chains[0]); err != nil {
		return id, &Error{Revoked: true, err: err}
	}
	if id, err = identity.FromCertificate(state.PeerCertificates[0]); err != nil {
		return id, &Error{err: err}
	}
	return id, nil
}
