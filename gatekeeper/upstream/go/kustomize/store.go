package kustomize

import (
	"container/list"
	"sync"
)

// Store keeps the contents of files by digest; the least recently used are dropped when there are too many bytes.
type Store struct {
	lock     sync.Mutex
	bound    int
	bytes    int
	contents map[string]*list.Element
	recent   *list.List
}

type content struct {
	digest string
	text   []byte
}

// NewStore returns a store that keeps up to this many bytes.
func NewStore(bound int) *Store {
	return &Store{bound: bound, contents: map[string]*list.Element{}, recent: list.New()}
}

// Add keeps a content.
func (s *Store) Add(digest string, text []byte) {
	s.lock.Lock()
	defer s.lock.Unlock()
	if _, known := s.contents[digest]; known {
		return
	}
	s.contents[digest] = s.recent.PushFront(content{digest, text})
	s.bytes += len(text)
	for s.bytes > s.bound {
		oldest := s.recent.Remove(s.recent.Back()).(content)
		delete(s.contents, oldest.digest)
		s.bytes -= len(oldest.text)
	}
}

// Get returns a content, and whether it is kept.
func (s *Store) Get(digest string) ([]byte, bool) {
	s.lock.Lock()
	defer s.lock.Unlock()
	element, known := s.contents[digest]
	if !known {
		return nil, false
	}
	s.recent.MoveToFront(element)
	return element.Value.(content).text, true
}
