// Package istiod is the way to istiod: one address for discovery, one for certificates, both over TLS with the proxy's service
// account token, as ztunnel goes (manifests/charts/ztunnel/templates/daemonset.yaml in istio.io/istio mounts the files).
package istiod

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math"
	"net"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
)

// Endpoint is one of istiod's services.
type Endpoint struct {
	Address  string // host:port
	RootCert string // file
	Token    string // file
	Cluster  string // the cluster that the token is of
}

// Dial prepares a connection; it is made with the first call. The file of roots is read here: who dials anew trusts what it holds then.
func (e Endpoint) Dial() (*grpc.ClientConn, error) {
	host, _, err := net.SplitHostPort(e.Address)
	if err != nil {
		return nil, fmt.Errorf("istiod's address: %w", err)
	}
	pem, err := os.ReadFile(e.RootCert)
	if err != nil {
		return nil, fmt.Errorf("istiod's root certificate: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("istiod's root certificate: %s holds none", e.RootCert)
	}
	return grpc.NewClient("passthrough:///"+e.Address,
		grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: roots, ServerName: host, MinVersion: tls.VersionTLS12})),
		grpc.WithPerRPCCredentials(token{e.Token, e.Cluster}),
		grpc.WithNoProxy(),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(math.MaxInt32)),
		// What istio-agent sets: a half minute without a word, and istiod is asked whether it is there.
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 30 * time.Second, Timeout: 10 * time.Second}),
	)
}

// token says who asks. The kubelet writes a new one before the old expires, so the file is read for each call.
type token struct{ file, cluster string }

func (t token) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	text, err := os.ReadFile(t.file)
	if err != nil {
		return nil, fmt.Errorf("the service account token: %w", err)
	}
	return map[string]string{"authorization": "Bearer " + strings.TrimSpace(string(text)), "clusterid": t.cluster}, nil
}

func (token) RequireTransportSecurity() bool { return true }
