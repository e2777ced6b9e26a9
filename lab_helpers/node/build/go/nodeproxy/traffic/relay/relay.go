// Package relay copies bytes between the two sides of a connection until both have ended.
package relay

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
)

// Stream is one side. TCP connections are streams, and so are both ends of a tunnel.
type Stream interface {
	io.ReadWriteCloser
	// CloseWrite says that nothing more is sent; what the other side sends is still received.
	CloseWrite() error
}

const bufferSize = 32 << 10

var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

// Copy copies everything from one side to the other and then says on the other that nothing more comes. count is told of all bytes.
func Copy(to, from Stream, count func(int)) error {
	buffer := buffers.Get().(*[bufferSize]byte)
	defer buffers.Put(buffer)
	for {
		n, err := from.Read(buffer[:])
		if n > 0 {
			written, failure := to.Write(buffer[:n])
			count(written)
			if failure != nil {
				return failure
			}
		}
		if err == io.EOF {
			return to.CloseWrite()
		}
		if err != nil {
			return err
		}
	}
}

// Both copies in both directions, until both sides have ended or one has failed; then both are closed. Where one failed the other is
// reset, if it can be, so that nobody takes half of what was sent for all of it. When the context ends both are reset, and its cause is
// the error.
func Both(ctx context.Context, a, b Stream, aToB, bToA func(int)) error {
	stop := context.AfterFunc(ctx, func() {
		Abort(a)
		Abort(b)
	})
	defer stop()
	results := make(chan error, 2)
	go func() { results <- Copy(b, a, aToB) }()
	go func() { results <- Copy(a, b, bToA) }()
	failure := <-results
	if failure != nil {
		Abort(a)
		Abort(b)
	}
	if second := <-results; failure == nil && second != nil {
		failure = second
		Abort(a)
		Abort(b)
	}
	_ = a.Close()
	_ = b.Close()
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return failure
}

// Abort closes a side so that its peer is told of an error rather than of an end.
func Abort(s io.Closer) {
	if tcp, is := s.(*net.TCPConn); is {
		_ = tcp.SetLinger(0)
	}
	if aborter, is := s.(interface{ Abort() }); is {
		aborter.Abort()
		return
	}
	_ = s.Close()
}

// Closed says whether an error only means that the connection was closed from here.
func Closed(err error) bool { return errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrClosedPipe) }
