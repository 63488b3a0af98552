// Package parallel spreads independent work over all cores.
package parallel

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
)

// ForEach calls a function for each number below count, until the context ends, and returns the error of the context.
func ForEach(ctx context.Context, count int, run func(number int)) error {
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), count) {
		workers.Go(func() {
			for number := int(next.Add(1)) - 1; number < count && ctx.Err() == nil; number = int(next.Add(1)) - 1 {
				run(number)
			}
		})
	}
	workers.Wait()
	return ctx.Err()
}
