// Package files keeps this process from opening files, except for the pipes through which signatures are verified.
package files

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"syscall"
)

// margin is how many descriptors pipes may take, with those that are not collected yet.
const margin = 256

var (
	lock sync.Mutex
	// bound is the lowest free descriptor; 0 if files are not forbidden.
	bound uint64
)

// Forbid makes the kernel refuse every further file and connection of this process.
func Forbid() error {
	free, err := syscall.Dup(0)
	if err != nil {
		return fmt.Errorf("descriptors cannot be counted: %w", err)
	}
	if err := syscall.Close(free); err != nil {
		return err
	}
	bound = uint64(free)
	return limit(bound)
}

// WithPipes runs a function that may open pipes, alone: Sigstore's library reads a message from a pipe that it puts in
// the place of the standard input of the whole process.
func WithPipes(run func()) error {
	lock.Lock()
	defer lock.Unlock()
	input := os.Stdin
	defer func() {
		// The library leaves its pipe there if a signature is wrong.
		if os.Stdin != input {
			_ = os.Stdin.Close()
			os.Stdin = input
		}
	}()
	if bound == 0 {
		run()
		return nil
	}
	if err := limit(bound + margin); err != nil {
		return err
	}
	defer func() { _ = limit(bound) }()
	// Pipes of earlier calls are closed when they are collected.
	if free, err := syscall.Dup(0); err != nil || uint64(free) > bound+margin/2 {
		runtime.GC()
		_ = syscall.Close(free)
	} else if err := syscall.Close(free); err != nil {
		return err
	}
	run()
	return nil
}

func limit(count uint64) error {
	descriptors := syscall.Rlimit{Cur: count, Max: bound + margin}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &descriptors); err != nil {
		return fmt.Errorf("files cannot be forbidden: %w", err)
	}
	return nil
}
