package parallel

import (
	"context"
	"errors"
	"strconv"
	"sync/atomic"
	"testing"
)

func TestEachItemHasItsResult(t *testing.T) {
	for _, count := range []int{0, 1, 100} {
		items := make([]int, count)
		for number := range items {
			items[number] = number
		}
		runs := make([]atomic.Int32, count)
		results, err := Map(context.Background(), items, func(number int) string {
			runs[number].Add(1)
			return strconv.Itoa(number)
		})
		if err != nil || len(results) != count {
			t.Fatal(len(results), err)
		}
		for number := range runs {
			if got := runs[number].Load(); got != 1 || results[number] != strconv.Itoa(number) {
				t.Errorf("%d of %d ran %d times, and its result is %q", number, count, got, results[number])
			}
		}
	}
}

func TestNothingBeginsAfterTheEndOfTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := Map(ctx, make([]int, 10), func(int) int { t.Error("it ran"); return 0 })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
