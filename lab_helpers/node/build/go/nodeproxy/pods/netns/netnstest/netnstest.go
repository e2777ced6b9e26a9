// Package netnstest makes network namespaces for tests, and pods in them under istio-cni's own rules. It needs root.
package netnstest

import (
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"lab/nodeproxy/pods/netns"
)

// New makes a network namespace with its loopback up; it is gone with the test.
func New(t testing.TB) *netns.Namespace {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("This test makes network namespaces. Run it as root.")
	}
	type made struct {
		file *os.File
		err  error
	}
	result := make(chan made)
	go func() {
		// The thread is not given back: it ends with this goroutine, and the namespace lives by its file.
		runtime.LockOSThread()
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			result <- made{err: err}
			return
		}
		file, err := os.Open("/proc/thread-self/ns/net")
		if err == nil {
			err = run("ip", "link", "set", "lo", "up")
		}
		result <- made{file, err}
	}()
	got := <-result
	if got.err != nil {
		t.Fatalf("no network namespace: %v", got.err)
	}
	ns, err := netns.FromFile(got.file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ns.Close() })
	return ns
}

// File opens the namespace once more, for whoever has to send it away.
func File(t testing.TB, ns *netns.Namespace) *os.File {
	t.Helper()
	file, err := ns.Reopen()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	return file
}

// Run runs commands, one a line, in the namespace.
func Run(t testing.TB, ns *netns.Namespace, commands string) {
	t.Helper()
	for command := range strings.Lines(commands) {
		words := strings.Fields(command)
		if len(words) == 0 {
			continue
		}
		if err := ns.Do(func() error { return run(words...) }); err != nil {
			t.Fatalf("%s: %v", strings.Join(words, " "), err)
		}
	}
}

// Feed runs a command in the namespace with text as its input.
func Feed(t testing.TB, ns *netns.Namespace, text string, words ...string) {
	t.Helper()
	err := ns.Do(func() error {
		command := exec.Command(words[0], words[1:]...)
		command.Stdin = strings.NewReader(text)
		return report(command.CombinedOutput())
	})
	if err != nil {
		t.Fatalf("%s: %v", strings.Join(words, " "), err)
	}
}

func run(words ...string) error { return report(exec.Command(words[0], words[1:]...).CombinedOutput()) }

func report(output []byte, err error) error {
	if err != nil {
		return &failure{string(output), err}
	}
	return nil
}

type failure struct {
	output string
	err    error
}

func (f *failure) Error() string { return f.err.Error() + ": " + strings.TrimSpace(f.output) }
