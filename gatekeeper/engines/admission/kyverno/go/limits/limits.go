// Package limits bounds what this process may use: memory, and no files or connections.
package limits

import (
	"fmt"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"syscall"
	"time"
)

const (
	watchInterval  = 50 * time.Millisecond
	garbagePercent = 400
	// The kernel's bound is a last resort; it counts reserved memory, too.
	reservedFactor = 4
	// ExitMemory is the exit status of a process that needed too much memory.
	ExitMemory = 9
)

// BoundMemory ends the process when it uses more than this many bytes. Near the bound, memory is collected more often.
func BoundMemory(bytes int64) error {
	debug.SetMemoryLimit(bytes * 3 / 4)
	// Objects live for one validation only: collecting garbage less often saves a third of the time.
	debug.SetGCPercent(garbagePercent)
	bound := syscall.Rlimit{Cur: uint64(bytes) * reservedFactor, Max: uint64(bytes) * reservedFactor}
	if err := syscall.Setrlimit(syscall.RLIMIT_DATA, &bound); err != nil {
		return fmt.Errorf("the memory limit cannot be set: %w", err)
	}
	go watch(uint64(bytes))
	return nil
}

func watch(bytes uint64) {
	samples := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	for range time.Tick(watchInterval) {
		metrics.Read(samples)
		if used := samples[0].Value.Uint64() - samples[1].Value.Uint64(); used > bytes {
			fmt.Fprintf(os.Stderr, "a call needs more than %d MB of memory\n", bytes>>20)
			os.Exit(ExitMemory)
		}
	}
}

// ForbidFiles makes the kernel refuse every further file and connection of this process.
func ForbidFiles() error {
	highest, err := openDescriptors()
	if err != nil {
		return err
	}
	bound := syscall.Rlimit{Cur: highest, Max: highest}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &bound); err != nil {
		return fmt.Errorf("files cannot be forbidden: %w", err)
	}
	return nil
}

// openDescriptors is the number of descriptors from the first to the last open one, all of which are in use.
func openDescriptors() (uint64, error) {
	free, err := syscall.Dup(0)
	if err != nil {
		return 0, fmt.Errorf("descriptors cannot be counted: %w", err)
	}
	return uint64(free), syscall.Close(free)
}
