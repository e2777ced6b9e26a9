package hbone

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"golang.org/x/net/http2"

	"lab/nodeproxy/control/certificates"
	"lab/nodeproxy/observe/metrics"
)

// A peer that shuts down may take a connection away in the very moment that it is used. Nothing was sent then.
const attempts = 3

// Request is what a stream is asked for.
type Request struct {
	Authority string
	Headers   http.Header
}

// Open asks the peer for a stream to authority. What body holds is sent once the peer has said yes; its Close has to end a Read that
// is under way. What is returned is what the peer sends. The context is the stream's: when it ends the stream is reset.
// established, if it is not nil, is called before the first byte flows.
func (p *Pool) Open(ctx context.Context, peer Peer, own *certificates.Certificate, to Request, body io.ReadCloser, established func()) (io.ReadCloser, error) {
	for attempt := 1; ; attempt++ {
		conn, err := p.take(ctx, peer, own)
		if err != nil {
			return nil, err
		}
		gate := &gate{body: body, ready: make(chan struct{})}
		response, err := ask(ctx, conn, peer, to, gate)
		if err == nil {
			if established != nil {
				established()
			}
			gate.open()
			return response, nil
		}
		state := conn.State()
		var refused http2.StreamError
		again := state.Closed || state.Closing || errors.As(err, &refused) && refused.Code == http2.ErrCodeRefusedStream
		var answered *Error
		if ctx.Err() != nil || !again || attempt == attempts || errors.As(err, &answered) && answered.Status != 0 {
			return nil, err
		}
	}
}

// ask tries one connection.
func ask(ctx context.Context, conn *http2.ClientConn, peer Peer, to Request, gate *gate) (io.ReadCloser, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	request, err := http.NewRequestWithContext(ctx, http.MethodConnect, "https://"+to.Authority, gate)
	if err != nil {
		cancel(nil)
		return nil, failed(metrics.FlagConnect, "%w", err)
	}
	request.Host, request.Header, request.ContentLength = to.Authority, to.Headers, -1
	late := time.AfterFunc(Timeout, func() { cancel(fmt.Errorf("no answer within %v", Timeout)) })
	response, err := conn.RoundTrip(request)
	if !late.Stop() && err == nil {
		_ = response.Body.Close()
		err = context.Cause(ctx)
	}
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		cancel(nil)
		return nil, failed(metrics.FlagConnect, "%s by way of %v: %w", to.Authority, peer.Target, err)
	}
	if response.StatusCode != http.StatusOK {
		cancel(nil)
		_ = response.Body.Close()
		e := failed(metrics.FlagConnect, "%s by way of %v: the answer is %s", to.Authority, peer.Target, response.Status)
		e.Status = response.StatusCode
		return nil, e
	}
	// The transport does not look at the context while it waits for more of the request's body.
	context.AfterFunc(ctx, func() { _ = response.Body.Close() })
	return &cancelling{response.Body, cancel}, nil
}

// gate holds a body back until the peer has said yes: until then another connection may be tried.
type gate struct {
	body  io.ReadCloser
	ready chan struct{} // closed when opened or closed

	mu             sync.Mutex
	opened, closed bool
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		// The stream has ended already: what it would have sent is not wanted.
		_ = g.body.Close()
		return
	}
	g.opened = true
	close(g.ready)
}

func (g *gate) Read(p []byte) (int, error) {
	<-g.ready
	g.mu.Lock()
	opened := g.opened
	g.mu.Unlock()
	if !opened {
		return 0, io.ErrClosedPipe
	}
	return g.body.Read(p)
}

func (g *gate) Close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.opened {
		return g.body.Close()
	}
	if !g.closed {
		g.closed = true
		close(g.ready)
	}
	return nil
}

// cancelling lets go of the request's context with its body.
type cancelling struct {
	io.ReadCloser
	cancel context.CancelCauseFunc
}

func (c *cancelling) Close() error {
	err := c.ReadCloser.Close()
	c.cancel(nil)
	return err
}
