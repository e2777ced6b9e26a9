// Package zdstest is istio-cni's side of ZDS, for tests.
package zdstest

import (
	"net"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/proto"

	"istio.io/istio/pkg/zdsapi"
)

// Deadline is how long anything is waited for.
const Deadline = 10 * time.Second

// Server is a socket that the proxy connects to.
type Server struct {
	Socket   string
	listener *net.UnixListener
}

// Listen opens the socket in a folder of the test's.
func Listen(t testing.TB) *Server {
	t.Helper()
	return ListenAt(t, filepath.Join(t.TempDir(), "ztunnel.sock"))
}

// ListenAt opens a socket at a given place, as istio-cni does when it starts again.
func ListenAt(t testing.TB, socket string) *Server {
	t.Helper()
	listener, err := net.ListenUnix("unixpacket", &net.UnixAddr{Net: "unixpacket", Name: socket})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	return &Server{socket, listener}
}

// Close ends listening; connections stay.
func (s *Server) Close() { _ = s.listener.Close() }

// Conn is one connection of the proxy's.
type Conn struct {
	t    testing.TB
	conn *net.UnixConn
}

// Accept waits for the proxy and its hello.
func (s *Server) Accept(t testing.TB) *Conn {
	t.Helper()
	_ = s.listener.SetDeadline(time.Now().Add(Deadline))
	conn, err := s.listener.AcceptUnix()
	if err != nil {
		t.Fatalf("the proxy did not connect: %v", err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	c := &Conn{t, conn}
	hello := &zdsapi.ZdsHello{}
	c.read(hello)
	if hello.Version != zdsapi.Version_V1 {
		t.Fatalf("the proxy speaks version %v", hello.Version)
	}
	return c
}

func (c *Conn) read(into proto.Message) {
	c.t.Helper()
	_ = c.conn.SetReadDeadline(time.Now().Add(Deadline))
	data := make([]byte, 1024)
	n, err := c.conn.Read(data)
	if err != nil {
		c.t.Fatalf("no answer: %v", err)
	}
	if err := proto.Unmarshal(data[:n], into); err != nil {
		c.t.Fatal(err)
	}
}

// Send sends bytes and files as they are.
func (c *Conn) Send(data []byte, files ...int) {
	c.t.Helper()
	var control []byte
	if len(files) > 0 {
		control = unix.UnixRights(files...)
	}
	if _, _, err := c.conn.WriteMsgUnix(data, control, nil); err != nil {
		c.t.Fatal(err)
	}
}

// Ask sends a request and returns what the answer's error says.
func (c *Conn) Ask(request *zdsapi.WorkloadRequest, files ...int) string {
	c.t.Helper()
	data, err := proto.Marshal(request)
	if err != nil {
		c.t.Fatal(err)
	}
	c.Send(data, files...)
	response := &zdsapi.WorkloadResponse{}
	c.read(response)
	if response.GetAck() == nil {
		c.t.Fatal("an answer that is no acknowledgement")
	}
	return response.GetAck().GetError()
}

// Add hands over a pod.
func (c *Conn) Add(uid, namespace, name, account string, file int) string {
	c.t.Helper()
	info := &zdsapi.WorkloadInfo{Name: name, Namespace: namespace, ServiceAccount: account}
	return c.Ask(&zdsapi.WorkloadRequest{Payload: &zdsapi.WorkloadRequest_Add{Add: &zdsapi.AddWorkload{Uid: uid, WorkloadInfo: info}}}, file)
}

// Keep names a pod without its network namespace.
func (c *Conn) Keep(uid string) string {
	c.t.Helper()
	return c.Ask(&zdsapi.WorkloadRequest{Payload: &zdsapi.WorkloadRequest_Keep{Keep: &zdsapi.KeepWorkload{Uid: uid}}})
}

// Delete takes a pod back.
func (c *Conn) Delete(uid string) string {
	c.t.Helper()
	return c.Ask(&zdsapi.WorkloadRequest{Payload: &zdsapi.WorkloadRequest_Del{Del: &zdsapi.DelWorkload{Uid: uid}}})
}

// Snapshot says that all pods were named.
func (c *Conn) Snapshot() string {
	c.t.Helper()
	return c.Ask(&zdsapi.WorkloadRequest{Payload: &zdsapi.WorkloadRequest_SnapshotSent{SnapshotSent: &zdsapi.SnapshotSent{}}})
}

// Silent fails the test if the proxy has sent anything that was not asked for.
func (c *Conn) Silent() {
	c.t.Helper()
	_ = c.conn.SetReadDeadline(time.Now().Add(10 * time.Millisecond)) // as long as istio-cni itself listens for it
	if n, err := c.conn.Read(make([]byte, 1024)); err == nil {
		c.t.Errorf("%d bytes that nobody asked for", n)
	}
}

// Closed waits for the proxy to give the connection up.
func (c *Conn) Closed() {
	c.t.Helper()
	_ = c.conn.SetReadDeadline(time.Now().Add(Deadline))
	if n, err := c.conn.Read(make([]byte, 1024)); n > 0 || err == nil {
		c.t.Errorf("%d bytes where the connection should have ended", n)
	} else if ne, is := err.(net.Error); is && ne.Timeout() {
		c.t.Error("the connection is still open")
	}
}

// Close ends the connection, as istio-cni does when it stops.
func (c *Conn) Close() { _ = c.conn.Close() }
