// Package netns makes sockets inside the network namespaces of pods.
//
// A socket belongs for ever to the namespace of the thread that called socket(2); whatever is done with it later may be done on any
// thread. So only a raw system call runs inside a namespace, never a function of package net: its resolver and its dialler start
// goroutines on other threads. istio-cni goes about it in the same way (istio.io/istio, cni/pkg/nodeagent/netns_linux.go, NetnsDo).
package netns

import (
	"fmt"
	"os"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"
)

// Namespace is a network namespace that stays alive as long as it is not closed.
type Namespace struct {
	mu    sync.RWMutex // held while somebody is in it: a number of a closed file may be another file's
	file  *os.File
	inode uint64
}

// FromFile takes over a file descriptor of a namespace, such as istio-cni sends, and checks that it is one.
func FromFile(file *os.File) (*Namespace, error) {
	var stat unix.Stat_t
	if err := unix.Fstat(int(file.Fd()), &stat); err != nil {
		return nil, fmt.Errorf("network namespace: %w", err)
	}
	kind, err := unix.IoctlRetInt(int(file.Fd()), unix.NS_GET_NSTYPE)
	if err != nil || kind != unix.CLONE_NEWNET {
		return nil, fmt.Errorf("the file descriptor is not that of a network namespace")
	}
	return &Namespace{file: file, inode: stat.Ino}, nil
}

// Inode tells two namespaces apart.
func (n *Namespace) Inode() uint64 { return n.inode }

// Close lets go of the namespace. Sockets in it live on.
func (n *Namespace) Close() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.file.Close()
}

// Reopen returns another file of the same namespace.
func (n *Namespace) Reopen() (*os.File, error) {
	return os.Open(fmt.Sprintf("/proc/self/fd/%d", n.file.Fd()))
}

var home = sync.OnceValues(func() (*os.File, error) { return os.Open("/proc/thread-self/ns/net") })

// Do runs f on a thread that is in the namespace. A nil namespace is the proxy's own.
//
// The thread is given back only if it found its way home; otherwise it ends with its goroutine, which the runtime sees to.
func (n *Namespace) Do(f func() error) error {
	if n == nil {
		return f()
	}
	n.mu.RLock()
	defer n.mu.RUnlock()
	back, err := home()
	if err != nil {
		return fmt.Errorf("the proxy's own network namespace: %w", err)
	}
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if err := unix.Setns(int(n.file.Fd()), unix.CLONE_NEWNET); err != nil {
			runtime.UnlockOSThread()
			result <- fmt.Errorf("entering the pod's network namespace: %w", err)
			return
		}
		err := f()
		if unix.Setns(int(back.Fd()), unix.CLONE_NEWNET) == nil {
			runtime.UnlockOSThread()
		}
		result <- err
	}()
	return <-result
}
