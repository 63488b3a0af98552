package cache

import (
	"errors"
	"testing"
)

func TestATextIsCompiledOnce(t *testing.T) {
	results, runs := New[int](2), 0
	get := func(text string) (int, error) {
		return results.Get([]byte(text), func() (int, error) {
			runs++
			if text == "" {
				return 0, errors.New("empty")
			}
			return len(text), nil
		})
	}
	for range 2 {
		if got, err := get("abc"); got != 3 || err != nil {
			t.Errorf("got %d, %v", got, err)
		}
		if _, err := get(""); err == nil {
			t.Error("no error")
		}
	}
	if runs != 2 {
		t.Errorf("compiled %d times", runs)
	}
	if got, _ := get("four"); got != 4 || len(results.results) != 1 {
		t.Errorf("got %d; %d results are kept", got, len(results.results))
	}
}
