package app

import (
	"context"
	"sync"

	"lab/nodeproxy/pods/enrol"
)

// drain lets open connections end, for as long as there is time, and then ends them.
func (a *App) drain(self *proxy) {
	deadline, cancel := context.WithTimeout(context.Background(), a.mesh.Config.Drain)
	defer cancel()
	var all []*proxy
	a.pods.Refuse()
	a.pods.Each(func(_ enrol.Pod, running enrol.Proxy) {
		if p, is := running.(*proxy); is {
			all = append(all, p)
		}
	})
	if self != nil {
		all = append(all, self)
	}
	a.options.Log.Info("draining", "connections", a.mesh.Connections.Count(), "at_most", a.mesh.Config.Drain)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for _, each := range all {
			each.drain(deadline)
		}
		for _, each := range all {
			each.serving.wait()
		}
	}()
	select {
	case <-ended:
	case <-deadline.Done():
		a.options.Log.Warn("connections are ended", "connections", a.mesh.Connections.Count())
	}
	a.pods.Close()
	if self != nil {
		self.Close()
	}
}

// crowd counts who is there, and waits for all of them to have left. Unlike a sync.WaitGroup it lets in more while somebody waits: what
// the kernel has accepted a moment before is served to its end.
type crowd struct {
	mu    sync.Mutex
	count int
	empty chan struct{} // closed when nobody is there; nil while nobody waits
}

func (c *crowd) enter() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.count++
}

func (c *crowd) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.count--; c.count == 0 && c.empty != nil {
		close(c.empty)
		c.empty = nil
	}
}

func (c *crowd) wait() {
	c.mu.Lock()
	if c.count == 0 {
		c.mu.Unlock()
		return
	}
	if c.empty == nil {
		c.empty = make(chan struct{})
	}
	empty := c.empty
	c.mu.Unlock()
	<-empty
}
