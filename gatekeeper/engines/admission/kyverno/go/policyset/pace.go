package policyset

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// evaluationTime is for one policy on one object, which usually takes less than a millisecond.
const evaluationTime = 5 * time.Second

// pace remembers whether a policy has missed its deadline.
type pace struct {
	isLate atomic.Bool
}

const lateText = "it took longer than 5 seconds on one object"

// fault is why a run has no result: an error on this object, or statusLost with a policy that was late before.
type fault struct{ status, text string }

// pacedRun runs an evaluation. A run that misses the deadline goes on, and its result is dropped.
func pacedRun[T any](late *pace, run func() T) (result T, failure *fault) {
	if late.isLate.Load() {
		return result, &fault{statusLost, lateText}
	}
	type outcome struct {
		result  T
		failure *fault
	}
	done := make(chan outcome, 1)
	go func() {
		defer func() {
			if crash := recover(); crash != nil {
				done <- outcome{failure: &fault{statusError, unexpected(crash)}}
			}
		}()
		done <- outcome{result: run()}
	}()
	timer := time.NewTimer(evaluationTime)
	defer timer.Stop()
	select {
	case found := <-done:
		return found.result, found.failure
	case <-timer.C:
		late.isLate.Store(true)
		return result, &fault{statusError, lateText}
	}
}

// forEach calls a function for each number on all cores, until the context ends.
func forEach(ctx context.Context, count int, run func(number int)) error {
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), count) {
		workers.Go(func() {
			for index := next.Add(1) - 1; index < int64(count) && ctx.Err() == nil; index = next.Add(1) - 1 {
				run(int(index))
			}
		})
	}
	workers.Wait()
	return ctx.Err()
}
