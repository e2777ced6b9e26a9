package outbound

import (
	"io"
	"net"
	"sync"
	"time"

	"lab/nodeproxy/traffic/relay"
)

// upload is what the pod sends, as the body of the tunnel's request.
type upload struct {
	conn  *net.TCPConn
	count func(int)

	once    sync.Once
	done    chan struct{} // closed when there is nothing more to send
	failure error         // before done: what went wrong in reading
}

// Read is what the tunnel sends.
func (u *upload) Read(p []byte) (int, error) {
	n, err := u.conn.Read(p)
	u.count(n)
	if err != nil {
		u.end(err)
	}
	return n, err
}

// Close is called when the tunnel takes no more. A Read that is under way ends; the connection's other direction goes on.
func (u *upload) Close() error {
	u.end(nil)
	return u.conn.SetReadDeadline(time.Unix(1, 0))
}

func (u *upload) end(err error) {
	u.once.Do(func() {
		if err != nil && err != io.EOF {
			u.failure = err
		}
		close(u.done)
	})
}

// download passes on what the tunnel brings, and its end.
func download(conn *net.TCPConn, answer io.ReadCloser, count func(int)) error {
	return relay.Copy(conn, reading{answer}, count)
}

// reading is a stream that is only read.
type reading struct{ io.ReadCloser }

func (reading) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }
func (reading) CloseWrite() error         { return nil }
