package netns_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lab/nodeproxy/pods/netns"
	"lab/nodeproxy/pods/netns/netnstest"
)

const mark = 1337

var local = netip.MustParseAddr("127.0.0.1")

func listen(t *testing.T, s netns.Sockets, address netip.AddrPort) net.Listener {
	t.Helper()
	listener, err := s.Listen(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	return listener
}

// echo answers every connection with where its peer is, and hands it on.
func echo(t *testing.T, listener net.Listener) {
	t.Helper()
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(connection, netns.Address(connection.RemoteAddr()).Addr().String())
			_ = connection.Close()
		}
	}()
}

func dial(t *testing.T, s netns.Sockets, to netip.AddrPort, from netip.Addr) (*net.TCPConn, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	connection, err := s.Dial(ctx, to, from)
	if err == nil {
		t.Cleanup(func() { _ = connection.Close() })
	}
	return connection, err
}

func seen(t *testing.T, connection net.Conn) string {
	t.Helper()
	_ = connection.SetReadDeadline(time.Now().Add(5 * time.Second))
	text, err := io.ReadAll(connection)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func option(t *testing.T, conn syscall.Conn, name int) int {
	t.Helper()
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	value := -1
	_ = raw.Control(func(fd uintptr) { value, err = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, name) })
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func TestOnlyANetworkNamespaceIsTaken(t *testing.T) {
	plain, err := os.Create(filepath.Join(t.TempDir(), "plain"))
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	other, err := os.Open("/proc/self/ns/uts")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	for _, file := range []*os.File{plain, other} {
		if _, err := netns.FromFile(file); err == nil {
			t.Errorf("%s was taken for a network namespace", file.Name())
		}
	}
}

func TestSocketsAreOfTheirNamespace(t *testing.T) {
	inside := netns.Sockets{Namespace: netnstest.New(t), Mark: mark, IPv6: true}
	listener := listen(t, inside, inside.Any(15001))
	echo(t, listener)
	connection, err := dial(t, inside, netip.AddrPortFrom(local, 15001), netip.Addr{})
	if err != nil {
		t.Fatal(err)
	}
	if got := seen(t, connection); got != "127.0.0.1" {
		t.Errorf("the peer is %s", got)
	}
	if got := option(t, connection, unix.SO_MARK); got != mark {
		t.Errorf("the connection's mark is %d", got)
	}
	if got := option(t, listener.(*net.TCPListener), unix.SO_MARK); got != mark {
		t.Errorf("the listener's mark is %d", got)
	}
	for _, elsewhere := range []netns.Sockets{{}, {Namespace: netnstest.New(t)}} {
		if _, err := dial(t, elsewhere, netip.AddrPortFrom(local, 15001), netip.Addr{}); !errors.Is(err, unix.ECONNREFUSED) {
			t.Errorf("from outside of the namespace: %v", err)
		}
	}
}

func TestPortsAreSharedOnlyWhereWanted(t *testing.T) {
	s := netns.Sockets{Namespace: netnstest.New(t), ReusePort: true}
	listen(t, s, s.Any(15006))
	listen(t, s, s.Any(15006))
	s.ReusePort = false
	if _, err := s.Listen(s.Any(15006)); !errors.Is(err, unix.EADDRINUSE) {
		t.Errorf("a third listener without sharing: %v", err)
	}
}

func TestAConnectThatNobodyAnswersEndsWithItsContext(t *testing.T) {
	ns := netnstest.New(t)
	netnstest.Run(t, ns, "iptables -A OUTPUT -p tcp --dport 9 -j DROP")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := (netns.Sockets{Namespace: ns}).Dial(ctx, netip.AddrPortFrom(local, 9), netip.Addr{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the error is %v", err)
	}
}

func TestAClosedNamespaceIsAnError(t *testing.T) {
	ns := netnstest.New(t)
	if err := ns.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := (netns.Sockets{Namespace: ns}).Listen(netip.AddrPortFrom(local, 1)); err == nil {
		t.Error("a socket was made in a namespace that is closed")
	}
}

// The three that follow run under istio-cni's own rules.

func TestWhatAPodSendsIsRedirected(t *testing.T) {
	node := netnstest.NewNode(t)
	client, server := node.Pod(t), node.Pod(t)
	client.Redirect(t)
	proxy := netns.Sockets{Namespace: client.Namespace, Mark: mark, IPv6: true}
	outbound := listen(t, proxy, proxy.Any(15001))
	echo(t, listen(t, server.Sockets(), server.At(80)))
	accepted := make(chan net.Conn, 1)
	go func() {
		if connection, err := outbound.Accept(); err == nil {
			accepted <- connection
		}
	}()
	if _, err := dial(t, client.Sockets(), server.At(80), netip.Addr{}); err != nil {
		t.Fatal(err)
	}
	select {
	case connection := <-accepted:
		if got := netns.OriginalDestination(connection.(*net.TCPConn)); got != server.At(80) {
			t.Errorf("the original destination is %v, want %v", got, server.At(80))
		}
		_ = connection.Close()
	case <-time.After(5 * time.Second):
		t.Fatal("not redirected within 5 s")
	}
	// What the proxy itself sends bears the mark, and passes.
	connection, err := dial(t, proxy, server.At(80), netip.Addr{})
	if err != nil {
		t.Fatal(err)
	}
	if got := seen(t, connection); got != client.Address.String() {
		t.Errorf("the server sees %s", got)
	}
}

func TestWhatAPodReceivesIsRedirected(t *testing.T) {
	node := netnstest.NewNode(t)
	client, server := node.Pod(t), node.Pod(t)
	server.Redirect(t)
	proxy := netns.Sockets{Namespace: server.Namespace, Mark: mark, IPv6: true}
	inbound := listen(t, proxy, proxy.Any(15006))
	accepted := make(chan netip.AddrPort, 1)
	go func() {
		if connection, err := inbound.Accept(); err == nil {
			accepted <- netns.OriginalDestination(connection.(*net.TCPConn))
			_ = connection.Close()
		}
	}()
	if _, err := dial(t, client.Sockets(), server.At(8080), netip.Addr{}); err != nil {
		t.Fatal(err)
	}
	select {
	case got := <-accepted:
		if got != server.At(8080) {
			t.Errorf("the original destination is %v, want %v", got, server.At(8080))
		}
	case <-time.After(5 * time.Second):
		t.Fatal("not redirected within 5 s")
	}
}

func TestTheApplicationSeesItsClientsAddress(t *testing.T) {
	node := netnstest.NewNode(t)
	client, server := node.Pod(t), node.Pod(t)
	server.Redirect(t)
	echo(t, listen(t, server.Sockets(), netip.AddrPortFrom(netip.IPv4Unspecified(), 80)))
	var unspoofed error
	proxy := netns.Sockets{Namespace: server.Namespace, Mark: mark, Unspoofed: func(err error) { unspoofed = err }}
	for _, source := range []netip.Addr{client.Address, server.Address} {
		connection, err := dial(t, proxy, server.At(80), source)
		if err != nil {
			t.Fatal(err)
		}
		if got := seen(t, connection); got != source.String() {
			t.Errorf("the application sees %s, want %s", got, source)
		}
	}
	// An address that nothing can be bound to: the connection goes on under the pod's own.
	connection, err := dial(t, proxy, server.At(80), netip.MustParseAddr("2001:db8::1"))
	if err != nil {
		t.Fatal(err)
	}
	if got := seen(t, connection); got != server.Address.String() || unspoofed == nil {
		t.Errorf("the application sees %s; told: %v", got, unspoofed)
	}
}
