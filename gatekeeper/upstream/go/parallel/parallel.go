// Package parallel spreads independent work over all cores.
package parallel

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
)

// Map returns the result of a function for each item, in their order. When the context ends, it calls the function for
// no further item, and returns the error of the context.
func Map[Item, Result any](ctx context.Context, items []Item, run func(Item) Result) ([]Result, error) {
	results := make([]Result, len(items))
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(items)) {
		workers.Go(func() {
			for number := int(next.Add(1)) - 1; number < len(items) && ctx.Err() == nil; number = int(next.Add(1)) - 1 {
				results[number] = run(items[number])
			}
		})
	}
	workers.Wait()
	return results, ctx.Err()
}
