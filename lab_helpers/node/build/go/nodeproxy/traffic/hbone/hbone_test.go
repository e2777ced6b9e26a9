package hbone

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"lab/nodeproxy/observe/metrics"
)

func TestBothDirections(t *testing.T) {
	w := newWorld(t)
	writer, answer := w.mustOpen(application(t, echo))
	sent := bytes.Repeat([]byte("0123456789abcdef"), 1<<18) // 4 MiB, as much as a stream's window
	go func() {
		_, _ = writer.Write(sent)
		_ = writer.Close()
	}()
	// The application answers only after the end of what it gets: this side has to be able to end first.
	if got, err := io.ReadAll(answer); err != nil || !bytes.Equal(got, sent) {
		t.Errorf("%d of %d bytes, %v", len(got), len(sent), err)
	}
}

func TestTheApplicationMayEndFirst(t *testing.T) {
	w := newWorld(t)
	writer, answer := w.mustOpen(application(t, func(conn *net.TCPConn) {
		_, _ = conn.Write([]byte("hello"))
		_ = conn.Close()
	}))
	if got, err := io.ReadAll(answer); string(got) != "hello" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	// And then nobody takes what is still written: the writer is told, instead of being kept for ever.
	late := time.AfterFunc(patience, func() { _ = writer.CloseWithError(errors.New("still written to after 10 s")) })
	defer late.Stop()
	for {
		if _, err := writer.Write(make([]byte, 1<<16)); err != nil {
			if !errors.Is(err, io.ErrClosedPipe) {
				t.Error(err)
			}
			return
		}
	}
}

func TestAResetIsNoEnd(t *testing.T) {
	w := newWorld(t)
	writer, answer := w.mustOpen(application(t, func(conn *net.TCPConn) {
		_, _ = io.ReadFull(conn, make([]byte, 1))
		_, _ = conn.Write([]byte("half"))
		_ = conn.SetLinger(0)
		_ = conn.Close()
	}))
	if _, err := writer.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(answer); err == nil {
		t.Error("a connection that was reset looks like one that was ended")
	}
}

func TestWhatGoesWrongIsTold(t *testing.T) {
	w := newWorld(t)
	mute := w.listen(func(conn net.Conn) { _ = conn.Close() })
	plain := w.listen(func(conn net.Conn) {
		own, _ := w.holder.Certificate(t.Context())
		secured := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{own.TLS}})
		_ = secured.Handshake()
	})
	for name, test := range map[string]struct {
		target    netip.AddrPort
		authority string
		names     []string
		flag      string
		status    int
	}{
		"not allowed":          {w.target, "192.0.2.1:1", nil, metrics.FlagConnect, 401},
		"nobody listens":       {w.target, "127.0.0.1:1", nil, metrics.FlagConnect, 503},
		"no proxy":             {netip.MustParseAddrPort("127.0.0.1:1"), "127.0.0.1:1", nil, metrics.FlagConnect, 0},
		"somebody else":        {w.target, "127.0.0.1:1", []string{sleep.String()}, metrics.FlagTLS, 0},
		"a peer without TLS":   {mute, "127.0.0.1:1", nil, metrics.FlagTLS, 0},
		"a peer without HTTP2": {plain, "127.0.0.1:1", nil, metrics.FlagHandshake, 0},
	} {
		t.Run(name, func(t *testing.T) {
			w.target = test.target
			_, _, err := w.open(t.Context(), test.authority, test.names...)
			var e *Error
			if !errors.As(err, &e) || e.Flag != test.flag || e.Status != test.status || Flag(err) != test.flag {
				t.Errorf("%v: %+v", err, e)
			}
		})
	}
}

func TestConnectionsAreShared(t *testing.T) {
	w := newWorld(t)
	hold := application(t, func(conn *net.TCPConn) { _, _ = io.Copy(io.Discard, conn) })
	var group sync.WaitGroup
	for range usedStreams {
		group.Go(func() { w.mustOpen(hold) })
	}
	group.Wait()
	if got := w.dials.Load(); got != 1 {
		t.Errorf("%d connections for %d streams", got, usedStreams)
	}
	w.mustOpen(hold)
	if got := w.dials.Load(); got != 2 {
		t.Errorf("%d connections for %d streams", got, usedStreams+1)
	}
	// Another name for the other end is another peer, even at the same address.
	if _, _, err := w.open(t.Context(), hold, httpbin.String(), "spiffe://td/ns/ns/sa/other"); err != nil || w.dials.Load() != 3 {
		t.Errorf("%d connections, %v", w.dials.Load(), err)
	}
}

func TestAPeerThatShutsDown(t *testing.T) {
	w := newWorld(t)
	target := application(t, echo)
	writer, answer := w.mustOpen(target)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	w.server.GoAway(ctx)
	// New streams go over a new connection, whether or not the peer's word has come in yet.
	for range 10 {
		other, got := w.mustOpen(target)
		_ = other.Close()
		if _, err := io.ReadAll(got); err != nil {
			t.Fatal(err)
		}
	}
	// What was open goes on.
	_, _ = writer.Write([]byte("still here"))
	_ = writer.Close()
	if got, err := io.ReadAll(answer); string(got) != "still here" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

func TestAStreamEndsWithItsContext(t *testing.T) {
	w := newWorld(t)
	ended := make(chan struct{})
	target := application(t, func(conn *net.TCPConn) {
		_, _ = io.Copy(io.Discard, conn)
		close(ended)
	})
	ctx, cancel := context.WithCancel(t.Context())
	_, answer, err := w.open(ctx, target)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := io.ReadAll(answer); err == nil {
		t.Error("the stream ended as if all was said")
	}
	select {
	case <-ended:
	case <-time.After(patience):
		t.Error("the application's connection is still open")
	}
}

func TestAClosedPoolTakesNothing(t *testing.T) {
	w := newWorld(t)
	_, answer := w.mustOpen(application(t, echo))
	w.pool.Close()
	if _, err := io.ReadAll(answer); err == nil {
		t.Error("the stream lives on")
	}
	if _, _, err := w.open(t.Context(), "127.0.0.1:1"); err == nil || !strings.Contains(err.Error(), "left the mesh") {
		t.Errorf("the error is %v", err)
	}
}

func TestParseAuthority(t *testing.T) {
	for text, want := range map[string]Authority{
		"10.0.0.1:80":                   {IP: netip.MustParseAddr("10.0.0.1"), Port: 80},
		"[2001:db8::1]:80":              {IP: netip.MustParseAddr("2001:db8::1"), Port: 80},
		"[::ffff:10.0.0.1]:80":          {IP: netip.MustParseAddr("10.0.0.1"), Port: 80},
		"web.ns.svc.cluster.local:8080": {Host: "web.ns.svc.cluster.local", Port: 8080},
	} {
		if got, err := ParseAuthority(text); err != nil || got != want {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", ":80", "10.0.0.1", "10.0.0.1:0", "10.0.0.1:65536", "web:-1", "web:", "a b:80", "[fe80::1%eth0]:80", "a/b:80", strings.Repeat("a", 300) + ":80"} {
		if got, err := ParseAuthority(text); err == nil {
			t.Errorf("%q was read as %+v", text, got)
		}
	}
}

func FuzzAuthority(f *testing.F) {
	for _, text := range []string{"10.0.0.1:80", "[2001:db8::1]:80", "web.ns:80", ":", "[::]:"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := ParseAuthority(text)
		if err == nil && (got.Port == 0 || got.IP.IsValid() == (got.Host != "")) {
			t.Errorf("%q was read as %+v", text, got)
		}
	})
}
