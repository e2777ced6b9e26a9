package relay

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"
)

// pair returns both ends of a TCP connection.
func pair(t *testing.T) (*net.TCPConn, *net.TCPConn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	accepted := make(chan net.Conn, 1)
	go func() {
		conn, _ := listener.Accept()
		accepted <- conn
	}()
	dialled, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	ends := []*net.TCPConn{dialled.(*net.TCPConn), (<-accepted).(*net.TCPConn)}
	for _, end := range ends {
		_ = end.SetDeadline(time.Now().Add(10 * time.Second))
		t.Cleanup(func() { _ = end.Close() })
	}
	return ends[0], ends[1]
}

// start relays between a client and a server.
func start(t *testing.T) (client, server *net.TCPConn, sent, received *int, result chan error) {
	t.Helper()
	client, a := pair(t)
	b, server := pair(t)
	sent, received, result = new(int), new(int), make(chan error, 1)
	go func() { result <- Both(t.Context(), a, b, func(n int) { *sent += n }, func(n int) { *received += n }) }()
	return client, server, sent, received, result
}

func TestEachSideMayEndFirst(t *testing.T) {
	for _, serverFirst := range []bool{false, true} {
		client, server, sent, received, result := start(t)
		first, second := client, server
		if serverFirst {
			first, second = server, client
		}
		request, answer := bytes.Repeat([]byte("q"), 100_000), bytes.Repeat([]byte("a"), 200_000)
		go func() {
			_, _ = first.Write(request)
			_ = first.CloseWrite()
		}()
		got, err := io.ReadAll(second)
		if err != nil || !bytes.Equal(got, request) {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
		go func() {
			_, _ = second.Write(answer)
			_ = second.CloseWrite()
		}()
		if got, err = io.ReadAll(first); err != nil || !bytes.Equal(got, answer) {
			t.Fatalf("%d bytes after the end of the other direction, %v", len(got), err)
		}
		if err := <-result; err != nil {
			t.Error(err)
		}
		if serverFirst {
			sent, received = received, sent
		}
		if *sent != len(request) || *received != len(answer) {
			t.Errorf("counted %d and %d", *sent, *received)
		}
	}
}

func TestAResetIsPassedOn(t *testing.T) {
	client, server, _, _, result := start(t)
	if _, err := client.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(server, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	Abort(client)
	if _, err := server.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the server sees %v", err)
	}
	if err := <-result; !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the relay says %v", err)
	}
}

func TestTheEndOfItsContextResetsBothSides(t *testing.T) {
	client, a := pair(t)
	b, server := pair(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	result := make(chan error, 1)
	go func() { result <- Both(ctx, a, b, func(int) {}, func(int) {}) }()
	cut := errors.New("cut")
	cancel(cut)
	if err := <-result; err != cut {
		t.Errorf("the relay ended with %v", err)
	}
	for name, end := range map[string]*net.TCPConn{"client": client, "server": server} {
		if _, err := end.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("the %s was told %v", name, err)
		}
	}
}
