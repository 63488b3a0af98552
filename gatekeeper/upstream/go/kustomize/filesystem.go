package kustomize

import (
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"syscall"

	"sigs.k8s.io/kustomize/kyaml/errors"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// fileSystem shows a tree to kustomize, which can read it but not write. Its errors are those of a disk.
type fileSystem struct{ *tree }

var _ filesys.FileSystem = fileSystem{}

// CleanedAbs resolves a path into a folder and, unless the path is a folder, the name of a file.
func (f fileSystem) CleanedAbs(path string) (filesys.ConfirmedDir, string, error) {
	reached, entry, err := f.resolve(absolute(path))
	if err != nil {
		return "", "", fmt.Errorf("evalsymlink failure on '%s' : %w", path, err)
	}
	if entry[0] == folderKind {
		return filesys.ConfirmedDir(reached), "", nil
	}
	return filesys.ConfirmedDir(filepath.Dir(reached)), filepath.Base(reached), nil
}

// IsDir is true for a folder, and for a link to one.
func (f fileSystem) IsDir(path string) bool {
	_, entry, err := f.resolve(absolute(path))
	return err == nil && entry[0] == folderKind
}

// Exists is true for a path that leads to something.
func (f fileSystem) Exists(path string) bool {
	_, _, err := f.resolve(absolute(path))
	return err == nil
}

// ReadFile returns the content of a file.
func (f fileSystem) ReadFile(path string) ([]byte, error) {
	text, err := f.read(path)
	return text, errors.Wrap(err)
}

// ReadDir returns the names in a folder, sorted.
func (f fileSystem) ReadDir(path string) ([]string, error) {
	reached, entry, err := f.resolve(absolute(path))
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: cause(err)}
	}
	if entry[0] != folderKind {
		return nil, &fs.PathError{Op: "readdirent", Path: path, Err: syscall.ENOTDIR}
	}
	listing, err := f.list(reached)
	return slices.Sorted(maps.Keys(listing)), err
}

// Open is refused: kustomize reads whole files.
func (f fileSystem) Open(path string) (filesys.File, error) { return nil, refuse("open", path) }

// Glob is refused: no build uses it.
func (f fileSystem) Glob(pattern string) ([]string, error) { return nil, refuse("glob", pattern) }

// Walk is refused: no build uses it.
func (f fileSystem) Walk(path string, _ filepath.WalkFunc) error { return refuse("walk", path) }

// Create is refused.
func (f fileSystem) Create(path string) (filesys.File, error) { return nil, refuse("create", path) }

// Mkdir is refused.
func (f fileSystem) Mkdir(path string) error { return refuse("mkdir", path) }

// MkdirAll is refused.
func (f fileSystem) MkdirAll(path string) error { return refuse("mkdir", path) }

// RemoveAll is refused.
func (f fileSystem) RemoveAll(path string) error { return refuse("remove", path) }

// WriteFile is refused.
func (f fileSystem) WriteFile(path string, _ []byte) error { return refuse("write", path) }

func refuse(operation, path string) error {
	return &fs.PathError{Op: operation, Path: path, Err: syscall.EROFS}
}
