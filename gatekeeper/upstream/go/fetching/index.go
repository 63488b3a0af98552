package fetching

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"
	"sync"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/repo"
	"sigs.k8s.io/yaml"
)

const (
	// Entries are parsed in parts, because a parsed one needs twenty times its bytes.
	partBytes = 1 << 20
	// An index that does not have the usual layout is parsed as a whole; a larger one needs too much memory.
	maxWholeBytes = 16 << 20
)

var errBroken = errors.New("the index is broken")

// wholes lets one index at a time be parsed as a whole.
var wholes sync.Mutex

// section is where the entries of a chart are in the file of an index.
type section struct{ start, end int64 }

// Index is the index of a repository. Its bytes stay in a file without a name; only charts that are needed are
// parsed, so that an index of 60 MB needs little time and memory.
type Index struct {
	file     *os.File
	isJSON   bool
	sections map[string]section
	lock     sync.Mutex
	releases map[string][]release
}

// newIndex reads an index from a file, which it keeps; a file that is compressed is replaced by its content.
func newIndex(file *os.File, maxBytes int64, replace func(io.Reader, int64) (*os.File, error)) (*Index, error) {
	head := make([]byte, 512)
	count, err := file.ReadAt(head, 0)
	if err != nil && err != io.EOF {
		return nil, err
	}
	head = head[:count]
	if bytes.HasPrefix(head, []byte{0x1f, 0x8b}) {
		if _, err := file.Seek(0, io.SeekStart); err != nil {
			return nil, err
		}
		content, err := gzip.NewReader(file)
		if err != nil {
			return nil, errBroken
		}
		unpacked, err := replace(content, maxBytes)
		if err != nil {
			return nil, err
		}
		return newIndex(unpacked, maxBytes, func(io.Reader, int64) (*os.File, error) { return nil, errBroken })
	}
	index := &Index{file: file, releases: map[string][]release{}}
	switch start := bytes.TrimLeft(head, " \t\r\n\ufeff"); {
	case bytes.HasPrefix(start, []byte("<")):
		return nil, errBroken
	case bytes.HasPrefix(start, []byte("{")):
		index.isJSON = true
		err = index.findJSON()
	default:
		err = index.findYAML()
	}
	if err != nil {
		err = index.readWhole()
	}
	return index, err
}

func (i *Index) size() int64 {
	info, err := i.file.Stat()
	if err != nil {
		return 0
	}
	return info.Size()
}

// readWhole parses all of the index at once.
func (i *Index) readWhole() error {
	size := i.size()
	if size > maxWholeBytes {
		return errBroken
	}
	wholes.Lock()
	defer wholes.Unlock()
	data := make([]byte, size)
	if _, err := i.file.ReadAt(data, 0); err != nil && err != io.EOF {
		return err
	}
	var whole repo.IndexFile
	var err error
	if json.Valid(data) {
		err = json.Unmarshal(data, &whole)
	} else {
		err = yaml.UnmarshalStrict(data, &whole)
	}
	if err != nil || whole.APIVersion == "" {
		return errBroken
	}
	i.sections = nil
	for name, versions := range whole.Entries {
		i.releases[name] = reduce(versions)
	}
	return nil
}

// findReleases returns the releases of a chart in the order of Helm; none if the chart is missing in the index.
func (i *Index) findReleases(chart string) ([]release, error) {
	i.lock.Lock()
	defer i.lock.Unlock()
	if found, known := i.releases[chart]; known {
		return found, nil
	}
	place, known := i.sections[chart]
	if !known {
		return nil, nil
	}
	versions, err := i.parse(io.NewSectionReader(i.file, place.start, place.end-place.start))
	if err != nil {
		// The usual layout, but with something that only the whole explains, such as an alias.
		if err := i.readWhole(); err != nil {
			return nil, err
		}
		return i.releases[chart], nil
	}
	sortAsHelm(versions)
	i.releases[chart] = versions
	return versions, nil
}

// parse parses the entries of a chart part by part.
func (i *Index) parse(section io.Reader) ([]release, error) {
	if i.isJSON {
		return parseJSON(section)
	}
	found := []release{}
	part, mark := []byte{}, ""
	flush := func() error {
		if len(bytes.TrimSpace(part)) == 0 {
			return nil
		}
		if len(part) > maxWholeBytes {
			return errBroken
		}
		var versions repo.ChartVersions
		if err := yaml.UnmarshalStrict(part, &versions); err != nil {
			return errBroken
		}
		found = append(found, reduceUnsorted(versions)...)
		part = part[:0]
		return nil
	}
	reader := bufio.NewReader(section)
	for {
		line, err := reader.ReadString('\n')
		content := strings.TrimLeft(line, " ")
		indent := line[:len(line)-len(content)]
		startsEntry := strings.HasPrefix(content, "- ") || strings.TrimRight(content, "\r\n") == "-"
		if startsEntry && mark == "" {
			mark = indent + "-"
		}
		if startsEntry && mark == indent+"-" && len(part) >= partBytes {
			if err := flush(); err != nil {
				return nil, err
			}
		}
		part = append(part, line...)
		if err == io.EOF {
			return found, flush()
		}
		if err != nil {
			return nil, err
		}
	}
}

func parseJSON(section io.Reader) ([]release, error) {
	found := []release{}
	decoder := json.NewDecoder(section)
	opening, err := decoder.Token()
	if opening == nil && err == nil {
		return found, nil
	}
	if opening != json.Delim('[') {
		return nil, errBroken
	}
	for decoder.More() {
		var version *repo.ChartVersion
		if err := decoder.Decode(&version); err != nil {
			return nil, errBroken
		}
		found = append(found, reduceUnsorted(repo.ChartVersions{version})...)
	}
	return found, nil
}

func reduce(versions repo.ChartVersions) []release {
	found := reduceUnsorted(versions)
	sortAsHelm(found)
	return found
}

// reduceUnsorted keeps what is needed of entries, and drops those that are broken, one by one.
//
// Source: `loadIndex` of helm.sh/helm/v3/pkg/repo.
func reduceUnsorted(versions repo.ChartVersions) []release {
	found := []release{}
	for _, one := range versions {
		if one == nil {
			continue
		}
		if one.Metadata == nil {
			one.Metadata = &chart.Metadata{}
		}
		if one.APIVersion == "" {
			one.APIVersion = chart.APIVersionV1
		}
		// Helm lets this fault pass.
		if err := one.Validate(); err != nil && !strings.HasPrefix(err.Error(), "validation: more than one dependency with name or alias") {
			continue
		}
		urls := append([]string{}, one.URLs...)
		found = append(found, release{
			version: strings.Clone(one.Version), urls: urls, digest: one.Digest, created: one.Created, deprecated: one.Deprecated,
		})
	}
	return found
}
