package logging

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
)

func line(t *testing.T, asJSON bool, message string, args ...any) string {
	t.Helper()
	levels, err := NewLevels("info")
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	Scope(New(&out, levels, asJSON), "access").Info(message, args...)
	return out.String()
}

func TestTextIsInZtunnelsForm(t *testing.T) {
	got := line(t, false, "connection complete", "src.addr", Bare("10.0.0.1:1234"), "src.workload", "sleep-1", "bytes_sent", 12,
		"duration", 1500*time.Millisecond)
	_, rest, _ := strings.Cut(got, "\t")
	want := "info\taccess\tconnection complete\tsrc.addr=10.0.0.1:1234 src.workload=\"sleep-1\" bytes_sent=12 duration=\"1500ms\"\n"
	if rest != want {
		t.Errorf("got  %q\nwant %q", rest, want)
	}
}

func TestNothingFromAPeerBreaksALine(t *testing.T) {
	for _, asJSON := range []bool{false, true} {
		got := line(t, asJSON, "odd\nmessage\x00", "value", "a\nb\"c", "bare", Bare("x\ny"), "error", errors.New("two\nlines"))
		if strings.Count(got, "\n") != 1 {
			t.Errorf("more than one line: %q", got)
		}
	}
}

func TestJSON(t *testing.T) {
	var read map[string]any
	if err := json.Unmarshal([]byte(line(t, true, "hello", "count", 3, "name", "a\"b")), &read); err != nil {
		t.Fatal(err)
	}
	if read["level"] != "info" || read["scope"] != "access" || read["message"] != "hello" || read["count"] != 3.0 || read["name"] != `a"b` {
		t.Errorf("unexpected %v", read)
	}
}

func TestLevels(t *testing.T) {
	levels, err := NewLevels("info,access=off,ztunnel::xds=debug")
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	log := New(&out, levels, false)
	count := func(write func()) int {
		out.Reset()
		write()
		return strings.Count(out.String(), "\n")
	}
	if count(func() { Scope(log, "access").Error("x") }) != 0 {
		t.Error("access is off and was logged")
	}
	if count(func() { Scope(log, "xds").Debug("x"); log.Debug("x") }) != 1 {
		t.Error("only xds is at debug")
	}
	if err := levels.Set("loud"); err == nil || levels.String() != "info,access=off,ztunnel::xds=debug" {
		t.Errorf("a level that is none was taken: %v, %q", err, levels)
	}
	if err := levels.Set("debug"); err != nil || count(func() { log.Debug("x") }) != 1 {
		t.Error("debug was set and is not logged")
	}
	if err := levels.Reset(); err != nil || count(func() { log.Debug("x") }) != 0 {
		t.Error("the first levels did not come back")
	}
}

type full struct{ tries int }

func (f *full) Write([]byte) (int, error) {
	f.tries++
	return 0, errors.New("no space left on device")
}

func TestAFullDiskIsSurvived(t *testing.T) {
	levels, _ := NewLevels("info")
	disk := &full{}
	log := New(disk, levels, false)
	log.Info("one")
	log.Info("two")
	if disk.tries != 2 {
		t.Errorf("%d lines were tried, want 2", disk.tries)
	}
}

func TestRateLimited(t *testing.T) {
	var lines, skips int
	write := RateLimited(time.Hour, func(skipped int) { lines++; skips += skipped })
	for range 100 {
		write()
	}
	if lines != 1 || skips != 0 {
		t.Errorf("%d lines, %d said to be skipped", lines, skips)
	}
}

func FuzzLevels(f *testing.F) {
	f.Add("info,access=debug")
	f.Add(",=,")
	f.Fuzz(func(t *testing.T, text string) {
		levels := &Levels{}
		if err := levels.Set(text); err == nil && levels.String() != text {
			t.Errorf("%q became %q", text, levels)
		}
	})
}
