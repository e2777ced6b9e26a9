package istiodtest

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	ca "istio.io/api/security/v1alpha1"
)

// signing is the part of an Istiod that is about certificates.
type signing struct {
	refused map[string]bool
	wrong   string
	ttl     time.Duration
	signed  []string
}

// Refuse has requests for an identity turned down, as for one that no pod on the node has (any more).
func (i *Istiod) Refuse(identity string, refused bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.refused == nil {
		i.refused = map[string]bool{}
	}
	i.refused[identity] = refused
}

// Wrong has every certificate made out to this identity, whoever asks.
func (i *Istiod) Wrong(identity string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.wrong = identity
}

// TTL has certificates expire after so long, whatever is asked for.
func (i *Istiod) TTL(ttl time.Duration) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.ttl = ttl
}

// Signed returns for whom certificates were made out.
func (i *Istiod) Signed() []string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return append([]string(nil), i.signed...)
}

// CreateCertificate signs as istiod does: for the identity that the proxy names, not the one in its request; the last of the chain is
// the root.
func (i *Istiod) CreateCertificate(ctx context.Context, request *ca.IstioCertificateRequest) (*ca.IstioCertificateResponse, error) {
	if err := allowed(ctx); err != nil {
		return nil, err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	identity := request.GetMetadata().GetFields()["ImpersonatedIdentity"].GetStringValue()
	if identity == "" || i.refused[identity] {
		return nil, status.Error(codes.Unauthenticated, "request impersonation authentication failure")
	}
	block, _ := pem.Decode([]byte(request.GetCsr()))
	if block == nil {
		return nil, status.Error(codes.InvalidArgument, "no certificate request")
	}
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil || csr.CheckSignature() != nil {
		return nil, status.Error(codes.InvalidArgument, "not a certificate request")
	}
	ttl := time.Duration(request.GetValidityDuration()) * time.Second
	if i.ttl != 0 {
		ttl = i.ttl
	}
	i.signed = append(i.signed, identity)
	if i.wrong != "" {
		identity = i.wrong
	}
	certificate, err := i.Authority.Sign(csr.PublicKey, identity, ttl)
	if err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	return &ca.IstioCertificateResponse{CertChain: []string{certificate, i.Authority.PEM}}, nil
}
