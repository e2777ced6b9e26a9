package certificates

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"lab/nodeproxy/control/identity"
)

// Settings are the manager's times; Defaults has ztunnel's.
type Settings struct {
	// The time between two tries after a failure grows from First to Last.
	First, Last time.Duration
	// A certificate is never renewed sooner than Floor after it came: istiod dates it two minutes back, and half of a very short
	// life would be over at once.
	Floor time.Duration
	// So many are fetched at a time.
	Fetches int
}

// Defaults are ztunnel's times.
var Defaults = Settings{First: time.Second, Last: 150 * time.Second, Floor: 10 * time.Second, Fetches: 8}

// Manager holds the certificates of all identities that somebody has acquired.
type Manager struct {
	ctx      context.Context
	fetch    func(context.Context, identity.Identity) (*Certificate, error)
	settings Settings
	log      *slog.Logger
	slots    chan struct{}

	mu      sync.Mutex
	holders map[identity.Identity]*Holder
}

// NewManager makes a manager that fetches until the context ends.
func NewManager(ctx context.Context, fetch func(context.Context, identity.Identity) (*Certificate, error), settings Settings, log *slog.Logger) *Manager {
	return &Manager{
		ctx: ctx, fetch: fetch, settings: settings, log: log, slots: make(chan struct{}, settings.Fetches), holders: map[identity.Identity]*Holder{},
	}
}

// Holder holds one identity's certificate, renewed for as long as anybody has it.
type Holder struct {
	ID identity.Identity

	manager *Manager
	cancel  context.CancelFunc
	users   int // under the manager's lock

	mu      sync.Mutex
	current *Certificate
	failure error
	tried   chan struct{} // closed after the first try
	changed chan struct{} // closed after the next try
}

// Acquire has the identity's certificate fetched, unless it is held already. Release gives it back.
func (m *Manager) Acquire(id identity.Identity) *Holder {
	m.mu.Lock()
	defer m.mu.Unlock()
	h := m.holders[id]
	if h == nil {
		ctx, cancel := context.WithCancel(m.ctx)
		h = &Holder{ID: id, manager: m, cancel: cancel, tried: make(chan struct{}), changed: make(chan struct{})}
		m.holders[id] = h
		go h.keep(ctx)
	}
	h.users++
	return h
}

// Release forgets the certificate with its last user.
func (h *Holder) Release() {
	m := h.manager
	m.mu.Lock()
	defer m.mu.Unlock()
	if h.users--; h.users == 0 {
		h.cancel()
		delete(m.holders, h.ID)
	}
}

// Certificate returns a certificate that is valid now. Before the first try is over it waits; after a failure it says which.
func (h *Holder) Certificate(ctx context.Context) (*Certificate, error) {
	select {
	case <-h.tried:
	case <-ctx.Done():
		return nil, fmt.Errorf("no certificate of %s yet: %w", h.ID, context.Cause(ctx))
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.current != nil && h.current.Valid(time.Now()):
		return h.current, nil
	case h.failure != nil:
		return nil, h.failure
	default:
		return nil, fmt.Errorf("the certificate of %s has expired", h.ID)
	}
}

// keep fetches and renews until the context ends.
func (h *Holder) keep(ctx context.Context) {
	pause := h.manager.settings.First
	for {
		certificate, err := h.try(ctx)
		if ctx.Err() != nil {
			h.store(nil, errors.New("the identity is no longer on this node"))
			return
		}
		h.store(certificate, err)
		var wait time.Duration
		if err != nil {
			h.manager.log.Error("no new certificate", "identity", h.ID.String(), "error", err, "again_in", pause)
			wait, pause = pause, min(2*pause, h.manager.settings.Last)
		} else {
			pause = h.manager.settings.First
			wait = max(time.Until(certificate.Half()), h.manager.settings.Floor)
			h.manager.log.Info("new certificate", "identity", h.ID.String(), "serial", certificate.Leaf.SerialNumber.String(),
				"until", certificate.Leaf.NotAfter.UTC().Format(time.RFC3339))
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
}

func (h *Holder) try(ctx context.Context) (*Certificate, error) {
	select {
	case h.manager.slots <- struct{}{}:
		defer func() { <-h.manager.slots }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return h.manager.fetch(ctx, h.ID)
}

// store keeps the outcome of a try. After a failure the old certificate serves on while it is valid.
func (h *Holder) store(certificate *Certificate, failure error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.failure = failure
	if certificate != nil {
		h.current = certificate
	}
	select {
	case <-h.tried:
	default:
		close(h.tried)
	}
	close(h.changed)
	h.changed = make(chan struct{})
}

// Changed returns a channel that is closed when the next try is over. Ask for it before looking.
func (h *Holder) Changed() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.changed
}

// State is what the dump says of an identity.
type State struct {
	ID          identity.Identity
	Certificate *Certificate // nil if there is none that is valid
	Failure     error
}

// States returns all identities, sorted.
func (m *Manager) States() []State {
	m.mu.Lock()
	defer m.mu.Unlock()
	var states []State
	for id, h := range m.holders {
		h.mu.Lock()
		state := State{ID: id, Failure: h.failure}
		if h.current != nil && h.current.Valid(time.Now()) {
			state.Certificate = h.current
		}
		h.mu.Unlock()
		states = append(states, state)
	}
	slices.SortFunc(states, func(a, b State) int { return strings.Compare(a.ID.String(), b.ID.String()) })
	return states
}
