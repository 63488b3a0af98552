package fetching

import (
	"context"
	"net/url"
	"sync"
)

// once is a result that is computed once. A computation that took too long is repeated by the next one who needs it.
type once[Value any] struct {
	lock  sync.Mutex
	queue chan struct{}
	done  bool
	value Value
	err   error
}

// get returns the result, and computes it at the first call.
func (o *once[Value]) get(ctx context.Context, shown string, compute func() (Value, error)) (Value, error) {
	o.lock.Lock()
	if o.queue == nil {
		o.queue = make(chan struct{}, 1)
	}
	o.lock.Unlock()
	select {
	case o.queue <- struct{}{}:
		defer func() { <-o.queue }()
	case <-ctx.Done():
		var none Value
		return none, transportFault(ctx.Err(), shown, "")
	}
	if !o.done {
		o.value, o.err = compute()
		o.done = o.err == nil || asFault(o.err).Reason != "timeout"
	}
	return o.value, o.err
}

// getOnce is the result for an address in a table of results that are computed once.
func getOnce[Value any](ctx context.Context, f *Fetcher, table map[string]*once[Value], address *url.URL, compute func() (Value, error)) (Value, error) {
	key := address.String()
	f.lock.Lock()
	reading, known := table[key]
	if !known {
		reading = &once[Value]{}
		table[key] = reading
	}
	f.lock.Unlock()
	return reading.get(ctx, show(address), compute)
}
