// Package helm renders charts as `helm template` does, from files in memory.
//
// Source: helm.sh/helm/v3/cmd/helm/template.go and pkg/action/install.go.
package helm

import (
	"bytes"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"sync"
	"time"

	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/ignore"
)

// maximumStored bounds the bytes of the charts that are kept.
const maximumStored = 128 << 20

var byteOrderMark = []byte{0xEF, 0xBB, 0xBF}

// File is a file of a chart's folder, by its path in it. Fault is the reason why it cannot be read.
type File struct {
	Name  string `json:"name"`
	Data  []byte `json:"data"`
	Size  int64  `json:"size"`
	Fault string `json:"fault"`
}

// Store keeps charts by the digest of their files.
type Store struct {
	lock   sync.Mutex
	charts map[string][]*loader.BufferedFile
	order  []string
	bytes  map[string]int
	total  int
}

// NewStore returns an empty store.
func NewStore() *Store {
	return &Store{charts: map[string][]*loader.BufferedFile{}, bytes: map[string]int{}}
}

// Add keeps the files of a chart that its .helmignore does not exclude.
func (s *Store) Add(digest string, files []File) error {
	loaded, err := selectFiles(files)
	if err != nil {
		return err
	}
	s.keep(digest, loaded)
	return nil
}

// AddArchive keeps the files of a packaged chart, within the bounds of Helm.
func (s *Store) AddArchive(digest string, archive []byte) error {
	loaded, err := loader.LoadArchiveFiles(bytes.NewReader(archive))
	if err != nil {
		return err
	}
	s.keep(digest, loaded)
	return nil
}

// keep keeps the files of a chart; the oldest charts make room for it.
func (s *Store) keep(digest string, loaded []*loader.BufferedFile) {
	size := 0
	for _, file := range loaded {
		size += len(file.Data)
	}
	s.lock.Lock()
	defer s.lock.Unlock()
	if _, known := s.charts[digest]; known {
		return
	}
	for len(s.order) > 0 && s.total+size > maximumStored {
		s.total -= s.bytes[s.order[0]]
		delete(s.charts, s.order[0])
		delete(s.bytes, s.order[0])
		s.order = s.order[1:]
	}
	s.charts[digest], s.bytes[digest] = loaded, size
	s.order, s.total = append(s.order, digest), s.total+size
}

// get returns copies of the files, because the loader renames them; false if the chart is not kept.
func (s *Store) get(digest string) ([]*loader.BufferedFile, bool) {
	s.lock.Lock()
	defer s.lock.Unlock()
	stored, known := s.charts[digest]
	return copyFiles(stored), known
}

// copyFiles copies names, and shares contents.
func copyFiles(files []*loader.BufferedFile) []*loader.BufferedFile {
	copies := make([]*loader.BufferedFile, len(files))
	for index, file := range files {
		copies[index] = &loader.BufferedFile{Name: file.Name, Data: file.Data}
	}
	return copies
}

// selectFiles applies .helmignore and the bounds of Helm, as its loader of folders does.
func selectFiles(files []File) ([]*loader.BufferedFile, error) {
	rules := ignore.Empty()
	for _, file := range files {
		if file.Name == ignore.HelmIgnore {
			parsed, err := ignore.Parse(bytes.NewReader(file.Data))
			if err != nil {
				return nil, err
			}
			rules = parsed
		}
	}
	rules.AddDefaults()
	selected := []*loader.BufferedFile{}
	for _, file := range files {
		if isIgnored(rules, file.Name) {
			continue
		}
		if file.Fault != "" {
			return nil, fmt.Errorf("%s", file.Fault)
		}
		if file.Size > loader.MaxDecompressedFileSize {
			return nil, fmt.Errorf(
				"chart file %q is larger than the maximum file size %d", path.Base(file.Name), loader.MaxDecompressedFileSize)
		}
		data := bytes.TrimPrefix(file.Data, byteOrderMark)
		selected = append(selected, &loader.BufferedFile{Name: file.Name, Data: data})
	}
	return selected, nil
}

// isIgnored reports whether the rules exclude a file or a folder above it.
func isIgnored(rules *ignore.Rules, name string) bool {
	parts := strings.Split(name, "/")
	for depth := 1; depth < len(parts); depth++ {
		folder := strings.Join(parts[:depth], "/")
		if rules.Ignore(folder, entry{path.Base(folder), fs.ModeDir}) {
			return true
		}
	}
	return rules.Ignore(name, entry{path.Base(name), 0})
}

// entry is the part of fs.FileInfo that the rules read.
type entry struct {
	name string
	mode fs.FileMode
}

func (e entry) Name() string       { return e.name }
func (e entry) Size() int64        { return 0 }
func (e entry) Mode() fs.FileMode  { return e.mode }
func (e entry) ModTime() time.Time { return time.Time{} }
func (e entry) IsDir() bool        { return e.mode.IsDir() }
func (e entry) Sys() any           { return nil }
