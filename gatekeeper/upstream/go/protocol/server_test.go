package protocol

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"testing"
)

func TestFramesAreReadAsTheyWereWritten(t *testing.T) {
	var stream bytes.Buffer
	for _, text := range []string{"", "one", "two"} {
		if err := WriteFrame(&stream, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{"", "one", "two"} {
		if got, err := ReadFrame(&stream); err != nil || string(got) != want {
			t.Errorf("got %q %v, want %q", got, err, want)
		}
	}
	if _, err := ReadFrame(&stream); !errors.Is(err, io.EOF) {
		t.Errorf("got %v at the end", err)
	}
}

func TestAFrameThatIsTooLargeIsRefused(t *testing.T) {
	if _, err := ReadFrame(bytes.NewReader([]byte{255, 255, 255, 255})); err == nil {
		t.Error("accepted")
	}
}

func TestEachRequestGetsItsAnswer(t *testing.T) {
	handlers := map[string]Handler{
		"echo":  func(_ context.Context, payload json.RawMessage) (any, error) { return payload, nil },
		"fail":  func(context.Context, json.RawMessage) (any, error) { return nil, errors.New("no") },
		"panic": func(context.Context, json.RawMessage) (any, error) { panic("broken") },
	}
	requests, requestWriter := io.Pipe()
	answers, answerWriter := io.Pipe()
	go func() {
		for id, call := range []string{"echo", "fail", "panic", "other"} {
			body, _ := json.Marshal(Request{ID: uint64(id), Call: call, Seconds: 5})
			_ = WriteFrame(requestWriter, append(body, "\n7"...))
		}
	}()
	go func() { _ = NewServer(handlers, answerWriter).Serve(requests) }()
	want := []Answer{
		{Result: 7.0}, {Error: "no"}, {Error: "the call panic failed: broken"}, {Error: `there is no call "other"`},
	}
	for range want {
		body, err := ReadFrame(answers)
		if err != nil {
			t.Fatal(err)
		}
		var got Answer
		if err := json.Unmarshal(body, &got); err != nil {
			t.Fatal(err)
		}
		if got.Result != want[got.ID].Result || got.Error != want[got.ID].Error {
			t.Errorf("got %v, want %v", got, want[got.ID])
		}
	}
}

func TestARequestThatIsNotJSONEndsTheServer(t *testing.T) {
	var requests bytes.Buffer
	_ = WriteFrame(&requests, []byte("hello\n{}"))
	if err := NewServer(nil, io.Discard).Serve(&requests); err == nil {
		t.Error("accepted")
	}
}

// ask answers one request.
func ask(t *testing.T, handler Handler, seconds float64) Answer {
	t.Helper()
	server := NewServer(map[string]Handler{"call": handler}, io.Discard)
	return server.call(Request{ID: 1, Call: "call", Seconds: seconds})
}

func TestALateCallIsMarked(t *testing.T) {
	obedient := func(ctx context.Context, _ json.RawMessage) (any, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if answer := ask(t, obedient, 0.01); !answer.Late || answer.Hung || answer.Error == "" {
		t.Errorf("got %+v", answer)
	}
}

func TestACallThatDoesNotStopIsLeftBehind(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	endless := func(context.Context, json.RawMessage) (any, error) {
		<-release
		return nil, nil
	}
	if answer := ask(t, endless, 0.01); !answer.Late || !answer.Hung || answer.Error == "" {
		t.Errorf("got %+v", answer)
	}
}

func TestAnUnfinishedResultIsAResult(t *testing.T) {
	partial := func(context.Context, json.RawMessage) (any, error) { return Unfinished{Result: 7}, nil }
	if answer := ask(t, partial, 5); answer.Result != 7 || !answer.Hung || answer.Late {
		t.Errorf("got %+v", answer)
	}
}
