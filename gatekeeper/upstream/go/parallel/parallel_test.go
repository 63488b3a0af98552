package parallel

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
)

func TestEachNumberIsRunOnce(t *testing.T) {
	for _, count := range []int{0, 1, 100} {
		runs := make([]atomic.Int32, count)
		if err := ForEach(context.Background(), count, func(number int) { runs[number].Add(1) }); err != nil {
			t.Fatal(err)
		}
		for number := range runs {
			if got := runs[number].Load(); got != 1 {
				t.Errorf("%d of %d ran %d times", number, count, got)
			}
		}
	}
}

func TestNothingBeginsAfterTheEndOfTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	err := ForEach(ctx, 10, func(int) { t.Error("it ran") })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
