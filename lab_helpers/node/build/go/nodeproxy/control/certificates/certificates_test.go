package certificates

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"lab/nodeproxy/control/identity"
	"lab/nodeproxy/control/istiod/istiodtest"
	"lab/nodeproxy/observe/logging"
)

var (
	sleep   = identity.Identity{TrustDomain: "td", Namespace: "default", ServiceAccount: "sleep"}
	httpbin = identity.Identity{TrustDomain: "td", Namespace: "default", ServiceAccount: "httpbin"}
	foreign = identity.Identity{TrustDomain: "elsewhere", Namespace: "default", ServiceAccount: "sleep"}
)

var fast = Settings{First: time.Millisecond, Last: 10 * time.Millisecond, Floor: 10 * time.Millisecond, Fetches: 8}

func manager(t *testing.T, server *istiodtest.Istiod) *Manager {
	t.Helper()
	authority := &Authority{Dial: server.Endpoint.Dial, TTL: time.Hour}
	return NewManager(t.Context(), authority.Fetch, fast, logging.Discard())
}

func get(t *testing.T, h *Holder) *Certificate {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	c, err := h.Certificate(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// until waits for the holder to answer as it should.
func until(t *testing.T, h *Holder, what string, is func(*Certificate, error) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for {
		changed := h.Changed()
		if is(h.Certificate(ctx)) {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("after 10 s still not: %s", what)
		}
	}
}

func TestOneCertificateForEachIdentity(t *testing.T) {
	server := istiodtest.Start(t)
	m := manager(t, server)
	one, same, other := m.Acquire(sleep), m.Acquire(sleep), m.Acquire(httpbin)
	if get(t, one) != get(t, same) || get(t, one) == get(t, other) {
		t.Error("not one certificate for each identity")
	}
	signed := server.Signed()
	slices.Sort(signed)
	if !slices.Equal(signed, []string{httpbin.String(), sleep.String()}) {
		t.Errorf("signed for %v", signed)
	}
	if len(m.States()) != 2 || m.States()[0].ID != httpbin || m.States()[0].Certificate == nil {
		t.Errorf("%+v", m.States())
	}
	one.Release()
	if len(m.States()) != 2 {
		t.Error("forgotten while somebody has it")
	}
	same.Release()
	if len(m.States()) != 1 {
		t.Error("not forgotten with its last user")
	}
}

func TestRenewedAtHalfOfItsLife(t *testing.T) {
	server := istiodtest.Start(t)
	server.TTL(2*time.Minute + 20*time.Millisecond) // dated two minutes back: half is over in some 10 ms
	h := manager(t, server).Acquire(sleep)
	first := get(t, h)
	until(t, h, "another serial", func(c *Certificate, err error) bool {
		return err == nil && c.Leaf.SerialNumber.Cmp(first.Leaf.SerialNumber) != 0
	})
}

func TestHalf(t *testing.T) {
	server := istiodtest.Start(t)
	c := get(t, manager(t, server).Acquire(sleep))
	if left := time.Until(c.Half()); left < 28*time.Minute || left > 30*time.Minute {
		t.Errorf("renewed in %v", left)
	}
}

func TestARefusedIdentityIsToldAndTriedAgain(t *testing.T) {
	server := istiodtest.Start(t)
	server.Refuse(sleep.String(), true)
	h := manager(t, server).Acquire(sleep)
	until(t, h, "a refusal", func(_ *Certificate, err error) bool { return status.Code(errors.Unwrap(err)) == codes.Unauthenticated })
	server.Refuse(sleep.String(), false)
	until(t, h, "a certificate", func(c *Certificate, err error) bool { return err == nil })
}

func TestAFailureLeavesAValidCertificateInUse(t *testing.T) {
	server := istiodtest.Start(t)
	server.TTL(2 * time.Second)
	h := manager(t, server).Acquire(sleep)
	first := get(t, h)
	server.Stop()
	until(t, h, "a failed renewal", func(*Certificate, error) bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		return h.failure != nil
	})
	if c, err := h.Certificate(t.Context()); err == nil && c.Leaf.NotAfter.Before(first.Leaf.NotAfter) {
		t.Errorf("an older one is in use: %v", c.Leaf.NotAfter)
	}
	until(t, h, "expired", func(_ *Certificate, err error) bool { return err != nil })
	server.TTL(time.Hour)
	server.Restart()
	until(t, h, "a new one", func(_ *Certificate, err error) bool { return err == nil })
}

func TestACertificateForSomebodyElseIsNotTaken(t *testing.T) {
	server := istiodtest.Start(t)
	server.Wrong(httpbin.String())
	h := manager(t, server).Acquire(sleep)
	until(t, h, "told", func(_ *Certificate, err error) bool {
		return err != nil && strings.Contains(err.Error(), "is not for spiffe://td/ns/default/sa/sleep")
	})
}

// shake has two ends shake hands over a pair of connected sockets.
func shake(t *testing.T, server, client *tls.Config) (serverError, clientError error) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	result := make(chan error, 1)
	go func() {
		conn, err := listener.Accept()
		if err == nil {
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
			err = tls.Server(conn, server).Handshake()
		}
		result <- err
	}()
	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	clientError = tls.Client(conn, client).Handshake()
	if clientError != nil {
		_ = conn.Close()
	}
	return <-result, clientError
}

func TestWhoMayTalkToWhom(t *testing.T) {
	server, other := istiodtest.Start(t), istiodtest.Start(t)
	m, strangers := manager(t, server), manager(t, other)
	h := m.Acquire(httpbin)
	own, abroad, strange := get(t, m.Acquire(sleep)), get(t, m.Acquire(foreign)), get(t, strangers.Acquire(sleep))
	names := []string{httpbin.String()}
	plain := base()
	plain.InsecureSkipVerify = true
	old := Client(own, names, nil)
	old.MinVersion, old.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	for name, test := range map[string]struct {
		client                     *tls.Config
		serverRefuses, clientDoubt bool
	}{
		"who it should be":        {Client(own, names, nil), false, false},
		"one of several names":    {Client(own, []string{"spiffe://td/ns/a/sa/b", httpbin.String()}, nil), false, false},
		"not who it should be":    {Client(own, []string{sleep.String()}, nil), true, true},
		"no name at all":          {Client(own, nil, nil), true, true},
		"another trust domain":    {Client(abroad, names, nil), true, false},
		"another authority":       {Client(strange, names, nil), true, true},
		"no certificate":          {plain, true, false},
		"an older version of TLS": {old, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			// In TLS 1.3 a client is through before the server has looked at its certificate.
			serverError, clientError := shake(t, h.Server(nil), test.client)
			if (serverError != nil) != test.serverRefuses || test.clientDoubt != (clientError != nil) {
				t.Errorf("server: %v, client: %v", serverError, clientError)
			}
		})
	}
}

func TestARevokedCertificate(t *testing.T) {
	server := istiodtest.Start(t)
	m := manager(t, server)
	own, httpbins := get(t, m.Acquire(sleep)), m.Acquire(httpbin)
	get(t, httpbins)
	file := filepath.Join(t.TempDir(), "crl.pem")
	crl := NewCRL(file, logging.Discard())
	attempt := func() error {
		err, _ := shake(t, httpbins.Server(crl), Client(own, []string{httpbin.String()}, crl))
		return err
	}
	write := func(text string, at time.Time) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(file, at, at); err != nil {
			t.Fatal(err)
		}
	}
	if err := attempt(); err != nil {
		t.Errorf("without a list: %v", err)
	}
	now := time.Now()
	write(server.Authority.Revoke(t, own.Leaf.SerialNumber), now)
	var revoked *Error
	if err := attempt(); !errors.As(err, &revoked) || !revoked.Revoked {
		t.Errorf("revoked: %v", err)
	}
	write("-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n", now.Add(time.Second))
	if err := attempt(); err == nil {
		t.Error("a list that cannot be read made the one before void")
	}
	write(istiodtest.NewAuthority(t).Revoke(t, own.Leaf.SerialNumber), now.Add(2*time.Second))
	if err := attempt(); err != nil {
		t.Errorf("somebody else's list: %v", err)
	}
	if NewCRL("", nil).Check(nil) != nil {
		t.Error("without a file something was revoked")
	}
}

func FuzzDecode(f *testing.F) {
	f.Add("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
	f.Fuzz(func(t *testing.T, text string) {
		if certificates, err := decode(text); (err == nil) != (len(certificates) > 0) {
			t.Errorf("%d certificates, %v", len(certificates), err)
		}
	})
}
