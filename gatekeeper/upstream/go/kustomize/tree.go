package kustomize

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"sigs.k8s.io/kustomize/api/konfig"

	"gatekeeper/upstream/helm"
)

// Each entry of a folder begins with its kind. What follows is the digest of a file's content (empty if the content was
// not sent), the target of a link, or the reason why a file cannot be read.
const (
	folderKind     = 'd'
	fileKind       = 'f'
	linkKind       = 'l'
	unreadableKind = 'e'
)

// maxLinks is the number of links that a path may lead through, as in Linux.
const maxLinks = 40

var (
	errNotAlone     = errors.New("read only by a build that runs alone")
	errNotSent      = errors.New("not sent")
	errTooManyLinks = errors.New("EvalSymlinks: too many links")
)

// Folder is a complete listing: entries by name.
type Folder map[string]string

// tree is what one build sees: the listed folders, by absolute path, and the contents of files, by digest. It records the
// paths that the build needs and that were not sent.
type tree struct {
	folders  map[string]Folder
	contents map[string][]byte
	// own has the listings of the build's own folder and of the root, and files the texts in that folder, by name.
	own   map[string]Folder
	files map[string]string
	needs map[string]bool
	// refusal is why a file that the build reads is refused.
	refusal error
	// setsSchema is true if a kustomization may set a schema; it is not read unless the build runs alone.
	setsSchema, isAlone bool
	// kubernetes is the version in the capabilities of charts.
	kubernetes string
}

func (t *tree) need(path string) error {
	t.needs[path] = true
	return errNotSent
}

func (t *tree) list(folder string) (Folder, error) {
	if listing, known := t.own[folder]; known {
		return listing, nil
	}
	if listing, known := t.folders[folder]; known {
		return listing, nil
	}
	return nil, t.need(folder)
}

// resolve follows all links of an absolute path, and returns where it leads to, and the entry there. The error for a
// missing part is a fs.PathError for that part, as filepath.EvalSymlinks returns it.
func (t *tree) resolve(path string) (string, string, error) {
	reached, entry, links := "/", string(folderKind), 0
	waiting := split(path)
	for len(waiting) > 0 {
		part := waiting[0]
		waiting = waiting[1:]
		if entry[0] != folderKind {
			return "", "", syscall.ENOTDIR
		}
		if part == ".." {
			reached, entry = filepath.Dir(reached), string(folderKind)
			continue
		}
		listing, err := t.list(reached)
		if err != nil {
			return "", "", err
		}
		next, known := listing[part]
		if !known {
			return "", "", &fs.PathError{Op: "lstat", Path: filepath.Join(reached, part), Err: syscall.ENOENT}
		}
		if next[0] != linkKind {
			reached, entry = filepath.Join(reached, part), next
			continue
		}
		if links++; links > maxLinks {
			return "", "", errTooManyLinks
		}
		target := next[1:]
		if filepath.IsAbs(target) {
			reached = "/"
		}
		// The parts of a target are followed one by one: what a link leads to can have another parent.
		waiting = append(split(target), waiting...)
	}
	return reached, entry, nil
}

func split(path string) []string {
	return slices.DeleteFunc(strings.Split(path, "/"), func(part string) bool { return part == "" || part == "." })
}

// read returns the content of a file, with the errors of os.ReadFile.
func (t *tree) read(path string) ([]byte, error) {
	reached, entry, err := t.resolve(absolute(path))
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: cause(err)}
	}
	switch entry[0] {
	case folderKind:
		return nil, &fs.PathError{Op: "read", Path: path, Err: syscall.EISDIR}
	case unreadableKind:
		return nil, &fs.PathError{Op: "open", Path: path, Err: errors.New(entry[1:])}
	}
	text, err := t.content(reached, entry)
	if err != nil {
		return nil, err
	}
	if !t.isAlone && slices.Contains(konfig.RecognizedKustomizationFileNames(), filepath.Base(path)) && maySetSchema(text) {
		t.setsSchema = true
		return nil, errNotAlone
	}
	if err := checkAliases(text); err != nil {
		// For a kustomization, kustomize would say that there is none.
		t.refusal = &fs.PathError{Op: "read", Path: path, Err: err}
		return nil, t.refusal
	}
	return slices.Clone(text), nil
}

// content returns the content of the file that a path leads to.
func (t *tree) content(reached, entry string) ([]byte, error) {
	if own, isOwn := t.files[entry[1:]]; isOwn {
		return []byte(own), nil
	}
	if text, sent := t.contents[entry[1:]]; sent {
		return text, nil
	}
	return nil, t.need(reached)
}

// chart returns the files below a folder. All that were not sent are noted at once.
func (t *tree) chart(folder string) ([]helm.File, error) {
	reached, _, err := t.resolve(folder)
	if err != nil {
		return nil, err
	}
	files := t.chartFiles(reached, "", nil)
	if len(t.needs) > 0 {
		return nil, errNotSent
	}
	return files, nil
}

// chartFiles follows links as Helm does, and returns files in Helm's order.
func (t *tree) chartFiles(folder, prefix string, above []string) []helm.File {
	if slices.Contains(above, folder) {
		name := strings.TrimSuffix(prefix, "/")
		return []helm.File{{Name: name, Fault: name + " is a link to a folder above it"}}
	}
	listing, err := t.list(folder)
	if err != nil {
		return nil
	}
	files := []helm.File{}
	for _, name := range slices.Sorted(maps.Keys(listing)) {
		shown := prefix + name
		reached, entry, err := t.resolve(filepath.Join(folder, name))
		switch {
		case errors.Is(err, errNotSent):
		case err != nil:
			files = append(files, helm.File{Name: shown, Fault: fmt.Sprintf("error evaluating symlink %s: %s", shown, cause(err))})
		case entry[0] == folderKind:
			files = append(files, t.chartFiles(reached, shown+"/", append(slices.Clone(above), folder))...)
		case entry[0] == unreadableKind:
			files = append(files, helm.File{Name: shown, Fault: fmt.Sprintf("%s cannot be read: %s", shown, entry[1:])})
		default:
			if text, err := t.content(reached, entry); err == nil {
				files = append(files, helm.File{Name: shown, Data: text, Size: int64(len(text))})
			}
		}
	}
	return files
}

// maySetSchema reports whether a kustomization may have the field openapi; a key can be written with escapes.
func maySetSchema(text []byte) bool {
	return bytes.Contains(text, []byte("openapi")) || bytes.Contains(text, []byte(`\u`)) || bytes.Contains(text, []byte(`\x`))
}

// cause is the error of the kernel for a path, without the part of the path that it names.
func cause(err error) error {
	var fault *fs.PathError
	if errors.As(err, &fault) {
		return fault.Err
	}
	if errors.Is(err, errTooManyLinks) {
		return syscall.ELOOP
	}
	return err
}

func absolute(path string) string {
	return filepath.Join("/", path)
}
