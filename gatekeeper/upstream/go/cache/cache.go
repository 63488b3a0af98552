// Package cache keeps what is compiled from a text between calls.
package cache

import (
	"crypto/sha256"
	"sync"
)

// Results has one result for each text, or the error of its compilation. It is safe for concurrent use.
type Results[Result any] struct {
	most    int
	lock    sync.Mutex
	results map[[sha256.Size]byte]func() (Result, error)
}

// New returns a cache that is emptied when it has this many results.
func New[Result any](most int) *Results[Result] {
	return &Results[Result]{most: most, results: map[[sha256.Size]byte]func() (Result, error){}}
}

// Get returns the result for a text. It is compiled once, while callers that need it wait and others do not.
func (r *Results[Result]) Get(text []byte, compile func() (Result, error)) (Result, error) {
	return r.find(sha256.Sum256(text), compile)()
}

func (r *Results[Result]) find(
	digest [sha256.Size]byte, compile func() (Result, error),
) func() (Result, error) {
	r.lock.Lock()
	defer r.lock.Unlock()
	found, known := r.results[digest]
	if !known {
		if len(r.results) >= r.most {
			clear(r.results)
		}
		found = sync.OnceValues(compile)
		r.results[digest] = found
	}
	return found
}
