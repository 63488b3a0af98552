package fetching

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestRequestsToAHostAreBounded(t *testing.T) {
	var running, most atomic.Int32
	full := make(chan struct{})
	reached := sync.OnceFunc(func() { close(full) })
	server := httptest.NewServer(http.HandlerFunc(func(writer http.ResponseWriter, _ *http.Request) {
		now := running.Add(1)
		defer running.Add(-1)
		for {
			before := most.Load()
			if now <= before || most.CompareAndSwap(before, now) {
				break
			}
		}
		if now == maxHostRequests {
			reached()
		}
		// All wait until as many as may be are under way.
		<-full
		_, _ = io.WriteString(writer, "content")
	}))
	defer server.Close()
	store, err := NewStore(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	fetcher := NewFetcher(store, Settings{})
	var all sync.WaitGroup
	for range 4 * maxHostRequests {
		all.Go(func() {
			if got := fetcher.Fetch(context.Background(), Request{Kind: kindFile, URL: server.URL}); got.Fault != nil {
				t.Error(got.Fault)
			}
		})
	}
	all.Wait()
	if most.Load() != maxHostRequests {
		t.Errorf("%d requests at once", most.Load())
	}
}

func TestABodyKeepsItsPlaceUntilItIsClosed(t *testing.T) {
	queue := make(chan struct{}, 1)
	release, err := enter(context.Background(), queue)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := enter(ctx, queue); err == nil {
		t.Error("two have the only place")
	}
	body := &countedBody{ReadCloser: io.NopCloser(strings.NewReader("")), release: release}
	_, _ = body.Close(), body.Close()
	if _, err := enter(context.Background(), queue); err != nil {
		t.Error(err)
	}
}

func TestRetriesFollowTheServer(t *testing.T) {
	answer := func(status int, after string) *http.Response {
		return &http.Response{StatusCode: status, Header: http.Header{"Retry-After": {after}}}
	}
	if _, helps := retryWait(answer(404, ""), nil, 1); helps {
		t.Error("a missing file does not appear")
	}
	if wait, helps := retryWait(answer(429, "7"), nil, 1); !helps || wait != 7*time.Second {
		t.Error(wait, helps)
	}
	if wait, helps := retryWait(answer(503, time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)), nil, 1); !helps || wait < 59*time.Minute {
		t.Error(wait, helps)
	}
	if wait, helps := retryWait(answer(500, "soon"), nil, 2); !helps || wait < 2*firstWait || wait > 4*firstWait {
		t.Error(wait, helps)
	}
	if _, helps := retryWait(nil, io.ErrUnexpectedEOF, 1); !helps {
		t.Error("a connection that broke may hold the next time")
	}
}

func TestTheStoreRemovesOldPartsOnly(t *testing.T) {
	folder := t.TempDir()
	old, fresh := filepath.Join(folder, partialName+"1"), filepath.Join(folder, partialName+"2")
	for _, path := range []string{old, fresh} {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	long := time.Now().Add(-2 * partialAge)
	if err := os.Chtimes(old, long, long); err != nil {
		t.Fatal(err)
	}
	if _, err := NewStore(folder); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(old); err == nil {
		t.Error("the old part is left")
	}
	if _, err := os.Stat(fresh); err != nil {
		t.Error("the fresh part is gone")
	}
}
