// Package istiodtest is an istiod for tests: discovery by delta, with istiod's own rules for what is sent after an outage, and a
// certificate authority that signs for whom it is told.
package istiodtest

import (
	"context"
	"crypto/tls"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	ca "istio.io/api/security/v1alpha1"

	"lab/nodeproxy/control/istiod"
)

// Token is what the proxy has to show.
const Token = "token-of-the-node-proxy"

// Istiod listens on loopback.
type Istiod struct {
	discovery.UnimplementedAggregatedDiscoveryServiceServer
	ca.UnimplementedIstioCertificateServiceServer

	Endpoint  istiod.Endpoint
	Authority *Authority

	t      testing.TB
	mu     sync.Mutex
	server *grpc.Server
	discoveries
	signing
}

// Start makes an istiod that knows nothing.
func Start(t testing.TB) *Istiod {
	t.Helper()
	folder := t.TempDir()
	i := &Istiod{Authority: NewAuthority(t), t: t}
	i.resources = map[string]map[string]*discovery.Resource{}
	i.Endpoint = istiod.Endpoint{RootCert: filepath.Join(folder, "root.pem"), Token: filepath.Join(folder, "token"), Cluster: "Kubernetes"}
	for file, text := range map[string]string{i.Endpoint.RootCert: i.Authority.PEM, i.Endpoint.Token: Token + "\n"} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	i.listen("127.0.0.1:0")
	t.Cleanup(i.Stop)
	return i
}

func (i *Istiod) listen(address string) {
	i.t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		i.t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	i.Endpoint.Address = "localhost:" + port
	config := &tls.Config{Certificates: []tls.Certificate{i.Authority.Issue(i.t, "localhost")}}
	// How often istiod lets itself be asked whether it is there (istio.io/istio, pilot/pkg/grpc).
	patience := keepalive.EnforcementPolicy{MinTime: 15 * time.Second}
	i.server = grpc.NewServer(grpc.Creds(credentials.NewTLS(config)), grpc.KeepaliveEnforcementPolicy(patience))
	discovery.RegisterAggregatedDiscoveryServiceServer(i.server, i)
	ca.RegisterIstioCertificateServiceServer(i.server, i)
	go func() { _ = i.server.Serve(listener) }()
}

// Stop ends every stream; what istiod knows stays.
func (i *Istiod) Stop() { i.server.Stop() }

// Restart is there again, at the same address.
func (i *Istiod) Restart() { i.listen("127.0.0.1:" + i.Endpoint.Address[len("localhost:"):]) }

// allowed checks who calls.
func allowed(ctx context.Context) error {
	said, _ := metadata.FromIncomingContext(ctx)
	if got := said.Get("authorization"); len(got) != 1 || got[0] != "Bearer "+Token {
		return status.Error(codes.Unauthenticated, "authentication failure")
	}
	if got := said.Get("clusterid"); len(got) != 1 || got[0] != "Kubernetes" {
		return status.Error(codes.Unauthenticated, "unknown cluster")
	}
	return nil
}
