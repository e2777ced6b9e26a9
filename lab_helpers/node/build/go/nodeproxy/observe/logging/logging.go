// Package logging writes log lines in ztunnel's form, so that what reads ztunnel's log reads this one:
// time, level, scope, message and key=value pairs, with tabs between, or one JSON object a line.
package logging

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Levels decides what is logged: one level for all, and others for single scopes. It may change at any time.
type Levels struct {
	mu      sync.RWMutex
	initial string
	text    string
	all     slog.Level
	scopes  map[string]slog.Level
}

// LevelOff is above every level that is ever logged at.
const LevelOff = slog.LevelError + 4

// LevelTrace is below debug, as RUST_LOG and istioctl know it.
const LevelTrace = slog.LevelDebug - 4

var names = map[string]slog.Level{
	"trace": LevelTrace, "debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn,
	"warning": slog.LevelWarn, "error": slog.LevelError, "off": LevelOff, "none": LevelOff,
}

// NewLevels reads text in the form of RUST_LOG: "info", or "info,access=debug,xds=off".
func NewLevels(text string) (*Levels, error) {
	l := &Levels{initial: text}
	return l, l.Set(text)
}

// Set replaces all levels. Text that cannot be read changes nothing.
func (l *Levels) Set(text string) error {
	all, scopes := slog.LevelInfo, map[string]slog.Level{}
	for part := range strings.SplitSeq(text, ",") {
		scope, name, scoped := strings.Cut(strings.TrimSpace(part), "=")
		if !scoped {
			scope, name = "", scope
		}
		level, known := names[strings.ToLower(name)]
		if !known {
			return fmt.Errorf("%q is not a log level: trace, debug, info, warn, error or off, or scope=level", name)
		}
		// Rust's module paths begin with the crate: ztunnel::access is the scope access here.
		if scope = strings.TrimPrefix(scope, "ztunnel::"); scope == "" || scope == "ztunnel" {
			all = level
		} else {
			scopes[scope] = level
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text, l.all, l.scopes = text, all, scopes
	return nil
}

// Reset goes back to the levels that the program began with.
func (l *Levels) Reset() error { return l.Set(l.initial) }

// String returns the levels in the form in which they were set.
func (l *Levels) String() string {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.text
}

func (l *Levels) enabled(scope string, level slog.Level) bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if own, found := l.scopes[scope]; found {
		return level >= own
	}
	return level >= l.all
}

// New returns a logger that writes to out. Loggers for the parts of the program are made from it by Scope.
//
// An error in writing is not passed on: a full disk under the log must not cost a connection.
func New(out io.Writer, levels *Levels, json bool) *slog.Logger {
	return slog.New(&handler{out: out, mu: &sync.Mutex{}, levels: levels, json: json, scope: "proxy"})
}

// Discard returns a logger that drops everything.
func Discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

const scopeKey = "\x00scope"

// Scope returns a logger whose lines carry the scope's name and follow the scope's level.
func Scope(log *slog.Logger, name string) *slog.Logger { return log.With(scopeKey, name) }

type handler struct {
	out    io.Writer
	mu     *sync.Mutex
	levels *Levels
	json   bool
	scope  string
	attrs  []slog.Attr
}

func (h *handler) Enabled(_ context.Context, level slog.Level) bool {
	return h.levels.enabled(h.scope, level)
}

func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	made := *h
	made.attrs = append([]slog.Attr(nil), h.attrs...)
	for _, attr := range attrs {
		if attr.Key == scopeKey {
			made.scope = attr.Value.String()
		} else {
			made.attrs = append(made.attrs, attr)
		}
	}
	return &made
}

// WithGroup is not used in this program: ztunnel's lines are flat.
func (h *handler) WithGroup(string) slog.Handler { return h }

func (h *handler) Handle(_ context.Context, record slog.Record) error {
	attrs := append([]slog.Attr(nil), h.attrs...)
	record.Attrs(func(attr slog.Attr) bool {
		attrs = append(attrs, attr)
		return true
	})
	var line []byte
	if h.json {
		line = h.asJSON(record, attrs)
	} else {
		line = h.asText(record, attrs)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	_, _ = h.out.Write(line)
	return nil
}

const stamp = "2006-01-02T15:04:05.000000Z"

func levelName(level slog.Level) string {
	switch {
	case level < slog.LevelDebug:
		return "trace"
	case level < slog.LevelInfo:
		return "debug"
	case level < slog.LevelWarn:
		return "info"
	case level < slog.LevelError:
		return "warn"
	default:
		return "error"
	}
}

func (h *handler) asText(record slog.Record, attrs []slog.Attr) []byte {
	line := record.Time.UTC().AppendFormat(nil, stamp)
	line = fmt.Appendf(line, "\t%s\t%s\t%s", levelName(record.Level), h.scope, printable(record.Message))
	separator := byte('\t')
	for _, attr := range attrs {
		line = append(line, separator)
		line = append(line, attr.Key...)
		line = append(line, '=')
		line = appendValue(line, attr.Value)
		separator = ' '
	}
	return append(line, '\n')
}

func (h *handler) asJSON(record slog.Record, attrs []slog.Attr) []byte {
	line := []byte(`{"level":`)
	line = quote(line, levelName(record.Level))
	line = append(line, `,"time":`...)
	line = quote(line, record.Time.UTC().Format(stamp))
	line = append(line, `,"scope":`...)
	line = quote(line, h.scope)
	line = append(line, `,"message":`...)
	line = quote(line, record.Message)
	for _, attr := range attrs {
		line = append(line, ',')
		line = quote(line, attr.Key)
		line = append(line, ':')
		switch value := attr.Value.Resolve(); value.Kind() {
		case slog.KindInt64, slog.KindUint64, slog.KindBool:
			line = append(line, value.String()...)
		default:
			line = quote(line, text(value))
		}
	}
	return append(line, "}\n"...)
}

// Bare is a value that is written without quotation marks, as ztunnel writes addresses.
type Bare string

func appendValue(line []byte, value slog.Value) []byte {
	switch value = value.Resolve(); value.Kind() {
	case slog.KindString, slog.KindDuration:
		return strconv.AppendQuote(line, text(value))
	case slog.KindAny:
		if bare, is := value.Any().(Bare); is {
			return append(line, printable(string(bare))...)
		}
		return strconv.AppendQuote(line, text(value))
	default:
		return append(line, value.String()...)
	}
}

func text(value slog.Value) string {
	if value.Kind() == slog.KindDuration {
		return strconv.FormatInt(value.Duration().Milliseconds(), 10) + "ms"
	}
	return value.Resolve().String()
}

// printable keeps a line one line, whatever a peer put into its text.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
}

// RateLimited returns a function that logs at most one line in each interval, for what a peer could cause without end.
func RateLimited(interval time.Duration, write func(skipped int)) func() {
	var mu sync.Mutex
	var last time.Time
	skipped := 0
	return func() {
		mu.Lock()
		defer mu.Unlock()
		if now := time.Now(); last.IsZero() || now.Sub(last) >= interval {
			last = now
			write(skipped)
			skipped = 0
			return
		}
		skipped++
	}
}
