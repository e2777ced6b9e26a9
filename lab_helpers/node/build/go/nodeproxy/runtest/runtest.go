// Package runtest runs in tests what goes on until its context ends.
package runtest

import (
	"context"
	"testing"
)

// Beside has run go on beside the test, to whose end it is stopped and waited for.
func Beside(t *testing.T, run func(context.Context)) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
}
