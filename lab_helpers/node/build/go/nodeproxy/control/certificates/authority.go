// Package certificates holds a certificate for each identity of the node's pods: asked of istiod in the identity's name, renewed at
// half of its life, and used for both ends of a tunnel.
package certificates

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/structpb"

	ca "istio.io/api/security/v1alpha1"

	"lab/nodeproxy/control/identity"
)

// Certificate is a workload's own, with what others' are checked against.
type Certificate struct {
	TLS   tls.Certificate
	Leaf  *x509.Certificate
	Chain []*x509.Certificate // the leaf and what signed it, without roots
	Roots []*x509.Certificate
	pool  *x509.CertPool
}

// Half is when half of the certificate's life is over: the time to renew it.
func (c *Certificate) Half() time.Time {
	return c.Leaf.NotBefore.Add(c.Leaf.NotAfter.Sub(c.Leaf.NotBefore) / 2)
}

// Valid says whether the certificate is valid now.
func (c *Certificate) Valid(now time.Time) bool {
	return !now.Before(c.Leaf.NotBefore) && now.Before(c.Leaf.NotAfter)
}

// Authority is istiod's certificate authority.
//
// istiod signs for an identity in whose name the proxy asks, if the proxy's account is trusted and a pod of that identity is on the
// proxy's node; what the request itself says is not looked at (istio.io/istio, security/pkg/server/ca/server.go and node_auth.go).
type Authority struct {
	Dial func() (*grpc.ClientConn, error)
	TTL  time.Duration

	mu   sync.Mutex
	conn *grpc.ClientConn
}

const callTimeout = 10 * time.Second

// Fetch has a new certificate made out to the identity.
func (a *Authority) Fetch(ctx context.Context, id identity.Identity) (*Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return nil, err
	}
	conn, err := a.connection()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	response, err := ca.NewIstioCertificateServiceClient(conn).CreateCertificate(ctx, &ca.IstioCertificateRequest{
		Csr:              string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: csr})),
		ValidityDuration: int64(a.TTL / time.Second),
		Metadata:         &structpb.Struct{Fields: map[string]*structpb.Value{"ImpersonatedIdentity": structpb.NewStringValue(id.String())}},
	})
	if err != nil {
		a.forget(conn)
		return nil, fmt.Errorf("istiod gives no certificate: %w", err)
	}
	return parse(response.GetCertChain(), key, id)
}

// connection is kept between calls; after an error the next call makes a new one, and reads the roots anew.
func (a *Authority) connection() (*grpc.ClientConn, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.conn == nil {
		conn, err := a.Dial()
		if err != nil {
			return nil, err
		}
		a.conn = conn
	}
	return a.conn, nil
}

func (a *Authority) forget(conn *grpc.ClientConn) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.conn == conn {
		a.conn = nil
	}
	// Calls of others on it fail, and are tried again.
	_ = conn.Close()
}

// parse reads istiod's answer: the certificate, what signed it, and last the roots, several if they are being exchanged.
func parse(chain []string, key *ecdsa.PrivateKey, id identity.Identity) (*Certificate, error) {
	if len(chain) < 2 {
		return nil, fmt.Errorf("istiod's answer holds %d certificates, at least two are expected", len(chain))
	}
	c := &Certificate{TLS: tls.Certificate{PrivateKey: key}, pool: x509.NewCertPool()}
	for at, text := range chain {
		certificates, err := decode(text)
		if err != nil {
			return nil, err
		}
		for _, each := range certificates {
			if at == len(chain)-1 {
				c.Roots = append(c.Roots, each)
				c.pool.AddCert(each)
				continue
			}
			c.Chain = append(c.Chain, each)
			c.TLS.Certificate = append(c.TLS.Certificate, each.Raw)
		}
	}
	c.Leaf = c.Chain[0]
	c.TLS.Leaf = c.Leaf
	if public, is := c.Leaf.PublicKey.(*ecdsa.PublicKey); !is || !public.Equal(&key.PublicKey) {
		return nil, errors.New("istiod's certificate is for another key")
	}
	if got, err := identity.FromCertificate(c.Leaf); err != nil || got != id {
		return nil, fmt.Errorf("istiod's certificate is not for %s: %v", id, c.Leaf.URIs)
	}
	return c, nil
}

// decode reads the certificates of a PEM text; there has to be one at least.
func decode(text string) ([]*x509.Certificate, error) {
	var certificates []*x509.Certificate
	rest := []byte(text)
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("istiod's answer: %w", err)
		}
		certificates = append(certificates, certificate)
	}
	if len(certificates) == 0 {
		return nil, errors.New("istiod's answer holds no certificate where there should be one")
	}
	return certificates, nil
}
