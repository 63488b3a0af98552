package main

import (
	"context"
	"fmt"
	"sync/atomic"

	"gatekeeper/upstream/fetching"
	"gatekeeper/upstream/protocol"
)

// fetchCalls are the calls of a process that may open connections, and write into one folder.
type fetchCalls struct {
	store   *fetching.Store
	fetcher atomic.Pointer[fetching.Fetcher]
}

// fetchHandlers are the only calls of a process that downloads.
func (c *calls) fetchHandlers(store *fetching.Store) map[string]protocol.Handler {
	fetches := &fetchCalls{store: store}
	return map[string]protocol.Handler{
		"hello":           c.hello,
		"fetch-configure": c.greetedOnly(decoded(fetches.configure)),
		"fetch-source":    c.greetedOnly(decoded(fetches.fetch)),
		"fetch-pinned":    c.greetedOnly(decoded(fetches.fetchPinned)),
		"fetch-probe":     c.greetedOnly(decoded(fetches.probe)),
	}
}

func (c *fetchCalls) configure(_ context.Context, settings fetching.Settings) (any, error) {
	c.fetcher.Store(fetching.NewFetcher(c.store, settings))
	return struct{}{}, nil
}

func (c *fetchCalls) fetch(ctx context.Context, request fetching.Request) (any, error) {
	fetcher, err := c.configured()
	if err != nil {
		return nil, err
	}
	return fetcher.Fetch(ctx, request), nil
}

func (c *fetchCalls) fetchPinned(ctx context.Context, pin fetching.Pin) (any, error) {
	fetcher, err := c.configured()
	if err != nil {
		return nil, err
	}
	return fetcher.FetchPinned(ctx, pin), nil
}

func (c *fetchCalls) probe(ctx context.Context, pin fetching.Pin) (any, error) {
	fetcher, err := c.configured()
	if err != nil {
		return nil, err
	}
	return fetcher.Probe(ctx, pin), nil
}

func (c *fetchCalls) configured() (*fetching.Fetcher, error) {
	if fetcher := c.fetcher.Load(); fetcher != nil {
		return fetcher, nil
	}
	return nil, fmt.Errorf("the call fetch-configure must come first")
}
