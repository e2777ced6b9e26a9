package app

import (
	"io"
	"net"
	"testing"
)

// By tunnel and past the proxy: how many bytes a second one connection carries, and how long a new connection with one call takes.

func pair(b *testing.B, meshed bool, serve func(*net.TCPConn)) (client, server *member) {
	b.Helper()
	w := newWorld(b)
	if meshed {
		r := w.start()
		client, server = w.pod(r, "client", ""), w.pod(r, "server", "")
	} else {
		client, server = w.plain(), w.plain()
	}
	server.serve(8080, serve)
	w.until("the server answers", func() error { _, err := client.call(server.At(8080), "x"); return err })
	return client, server
}

func variants(b *testing.B, run func(b *testing.B, meshed bool)) {
	b.Run("tunnel", func(b *testing.B) { run(b, true) })
	b.Run("direct", func(b *testing.B) { run(b, false) })
}

func BenchmarkThroughput(b *testing.B) {
	variants(b, func(b *testing.B, meshed bool) {
		client, server := pair(b, meshed, echo)
		conn, err := client.dial(server.At(8080))
		if err != nil {
			b.Fatal(err)
		}
		chunk := make([]byte, 1<<20)
		b.SetBytes(int64(len(chunk)))
		for b.Loop() {
			go func() { _, _ = conn.Write(chunk) }()
			if _, err := io.ReadFull(conn, make([]byte, len(chunk))); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkCall(b *testing.B) {
	variants(b, func(b *testing.B, meshed bool) {
		client, server := pair(b, meshed, who)
		for b.Loop() {
			if _, err := client.call(server.At(8080), "x"); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkRoundTrip(b *testing.B) {
	variants(b, func(b *testing.B, meshed bool) {
		client, server := pair(b, meshed, echo)
		conn, err := client.dial(server.At(8080))
		if err != nil {
			b.Fatal(err)
		}
		one := []byte("x")
		for b.Loop() {
			if _, err := conn.Write(one); err != nil {
				b.Fatal(err)
			}
			if _, err := io.ReadFull(conn, one); err != nil {
				b.Fatal(err)
			}
		}
	})
}
