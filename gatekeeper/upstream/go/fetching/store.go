package fetching

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	digestPrefix = "sha256:"
	partialName  = ".download-"
	// A download that is older than this was interrupted.
	partialAge = 24 * time.Hour
)

// Store is a folder of read-only files, each below the digest of its bytes; several processes may use it.
type Store struct{ folder string }

// NewStore returns the store of a folder, and removes what interrupted processes left there.
func NewStore(folder string) (*Store, error) {
	if err := os.MkdirAll(filepath.Join(folder, "sha256"), 0o777); err != nil {
		return nil, err
	}
	left, _ := filepath.Glob(filepath.Join(folder, partialName+"*"))
	for _, path := range left {
		if info, err := os.Stat(path); err == nil && time.Since(info.ModTime()) > partialAge {
			_ = os.Remove(path)
		}
	}
	return &Store{folder: folder}, nil
}

func (s *Store) path(digest string) string {
	name := strings.TrimPrefix(digest, digestPrefix)
	return filepath.Join(s.folder, "sha256", name[:2], name)
}

// size is the number of bytes of a file; false if it is missing in the store or has other bytes.
func (s *Store) size(digest string) (int64, bool) {
	if !isDigest(digest) {
		return 0, false
	}
	file, err := os.Open(s.path(digest))
	if err != nil {
		return 0, false
	}
	defer file.Close()
	sum := sha256.New()
	size, err := io.Copy(sum, file)
	return size, err == nil && digest == digestPrefix+hex.EncodeToString(sum.Sum(nil))
}

// isDigest reports whether a text is "sha256:" and 64 digits.
func isDigest(text string) bool {
	name, found := strings.CutPrefix(text, digestPrefix)
	if !found || len(name) != sha256.Size*2 {
		return false
	}
	for _, digit := range name {
		if !strings.ContainsRune("0123456789abcdef", digit) {
			return false
		}
	}
	return true
}

// partial is a file that is being written, and not yet in the store.
type partial struct {
	store *Store
	file  *os.File
	sum   interface {
		io.Writer
		Sum([]byte) []byte
	}
	size int64
}

// create starts a file.
func (s *Store) create() (*partial, error) {
	file, err := os.CreateTemp(s.folder, partialName)
	if err != nil {
		return nil, storeFault(err)
	}
	return &partial{store: s, file: file, sum: sha256.New()}, nil
}

func (p *partial) Write(data []byte) (int, error) {
	written, err := p.file.Write(data)
	_, _ = p.sum.Write(data[:written])
	p.size += int64(written)
	if err != nil {
		return written, storeFault(err)
	}
	return written, nil
}

func (p *partial) digest() string { return digestPrefix + hex.EncodeToString(p.sum.Sum(nil)) }

// keep moves the file into the store.
func (p *partial) keep() error {
	target := p.store.path(p.digest())
	err := p.file.Chmod(0o444)
	if closing := p.file.Close(); err == nil {
		err = closing
	}
	if err == nil {
		err = os.MkdirAll(filepath.Dir(target), 0o777)
	}
	if err == nil {
		err = os.Rename(p.file.Name(), target)
	}
	if err != nil {
		_ = os.Remove(p.file.Name())
		return storeFault(err)
	}
	return nil
}

// discard removes the file.
func (p *partial) discard() {
	_ = p.file.Close()
	_ = os.Remove(p.file.Name())
}
