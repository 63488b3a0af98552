package kustomize

import (
	"bytes"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"sigs.k8s.io/kustomize/api/konfig"
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

// tree is what one build sees: the listed folders, by absolute path, and the contents of files, by digest. It notes the
// paths that the build asked for and that were not sent.
type tree struct {
	folders  map[string]Folder
	contents map[string][]byte
	// own has the listings of the build's own folder and of the root, and files the texts in that folder, by name.
	own   map[string]Folder
	files map[string]string
	needs map[string]bool
	// setsSchema says that a kustomization may set a schema; it is not read unless the build runs alone.
	setsSchema, isAlone bool
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
	text, sent := t.contents[entry[1:]]
	if own, isOwn := t.files[entry[1:]]; isOwn {
		text, sent = []byte(own), true
	}
	if !sent {
		return nil, t.need(reached)
	}
	if !t.isAlone && slices.Contains(konfig.RecognizedKustomizationFileNames(), filepath.Base(path)) && maySetSchema(text) {
		t.setsSchema = true
		return nil, errNotAlone
	}
	return slices.Clone(text), nil
}

// maySetSchema says whether a kustomization may have the field openapi; a key can be written with escapes.
func maySetSchema(text []byte) bool {
	return bytes.Contains(text, []byte("openapi")) || bytes.Contains(text, []byte(`\u`)) || bytes.Contains(text, []byte(`\x`))
}

// cause is what the kernel says for a path, without the part of the path that it says it for.
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
