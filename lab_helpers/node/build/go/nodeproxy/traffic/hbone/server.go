package hbone

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"

	"golang.org/x/net/http2"

	"lab/nodeproxy/traffic/relay"
)

// Server is the accepting end of tunnels.
type Server struct {
	h1 *http.Server
	h2 *http2.Server
}

// NewServer makes a server for any number of connections.
func NewServer() *Server {
	s := &Server{
		h1: &http.Server{MaxHeaderBytes: maxHeaders, ErrorLog: log.New(io.Discard, "", 0)},
		h2: &http2.Server{
			MaxConcurrentStreams: maxStreams, MaxReadFrameSize: maxFrame, MaxUploadBufferPerStream: streamWindow,
			MaxUploadBufferPerConnection: connWindow, ReadIdleTimeout: pingAfter, PingTimeout: pingTimeout,
		},
	}
	if err := http2.ConfigureServer(s.h1, s.h2); err != nil { // only settings that are not used here can be wrong
		panic(err)
	}
	return s
}

// Serve serves one connection, whose handshake is over, until it ends or the context does. Each stream is one call of handle.
func (s *Server) Serve(ctx context.Context, conn *tls.Conn, handle http.HandlerFunc) {
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	s.h2.ServeConn(conn, &http2.ServeConnOpts{Context: ctx, BaseConfig: s.h1, Handler: handle})
}

// GoAway asks all peers to open no more streams here (RFC 9113, section 6.8). Open streams go on.
func (s *Server) GoAway(ctx context.Context) { _ = s.h1.Shutdown(ctx) }

// Accept answers a CONNECT with 200, and relays until both sides have ended or one has failed. It is to be called by the handler, at
// most once, and only when upstream is connected: the answer tells the client that it is.
//
// The server of x/net cannot end its side of a stream before its handler returns, and resets the stream then (NO_ERROR) if the client
// has not ended its side. So what a client still sends after the application has ended is lost; the other way round, a client may end
// its side first, and gets the whole answer.
func Accept(w http.ResponseWriter, r *http.Request, upstream *net.TCPConn, received, sent func(int)) error {
	w.WriteHeader(http.StatusOK)
	down := &serverStream{body: r.Body, writer: w, control: http.NewResponseController(w)}
	if err := down.control.Flush(); err != nil {
		relay.Abort(upstream)
		return err
	}
	uploaded := make(chan error, 1)
	go func() {
		err := relay.Copy(upstream, down, received)
		if err != nil {
			relay.Abort(upstream) // the client is gone
		}
		uploaded <- err
	}()
	err := relay.Copy(down, upstream, sent)
	if err == nil {
		select {
		case err := <-uploaded:
			_ = upstream.Close()
			return err
		default:
		}
		// The application has ended. The body ends with the stream, and so does who copies it.
		go func() {
			<-uploaded
			_ = upstream.Close()
		}()
		return nil
	}
	relay.Abort(upstream)
	_ = r.Body.Close()
	if failure := <-uploaded; failure != nil && !relay.Closed(failure) {
		err = errors.Join(failure, err)
	}
	return err
}

// Reset ends a stream in an error, after it was accepted. It does not return.
func Reset() { panic(http.ErrAbortHandler) }

// serverStream is the server's end of a stream.
type serverStream struct {
	body    io.ReadCloser
	writer  io.Writer
	control *http.ResponseController
}

func (s *serverStream) Read(p []byte) (int, error) { return s.body.Read(p) }

// Write sends at once: nobody knows whether more will come.
func (s *serverStream) Write(p []byte) (int, error) {
	n, err := s.writer.Write(p)
	if err != nil {
		return n, err
	}
	return n, s.control.Flush()
}

// CloseWrite does nothing: the stream's end is sent when the handler returns.
func (s *serverStream) CloseWrite() error { return nil }

func (s *serverStream) Close() error { return s.body.Close() }
