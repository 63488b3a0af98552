package main

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// forbidConnections makes the kernel refuse every socket of this process, in all of its threads.
func forbidConnections() error {
	const loadWord, jumpEqual, give = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, unix.BPF_JMP | unix.BPF_JEQ, unix.BPF_RET
	filter := []unix.SockFilter{
		// The number of the system call is the first word of its description.
		{Code: loadWord, K: 0},
		{Code: jumpEqual, Jf: 1, K: unix.SYS_SOCKET},
		{Code: give, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)},
		{Code: give, K: unix.SECCOMP_RET_ALLOW},
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("connections cannot be forbidden: %w", err)
	}
	_, _, failure := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER,
		unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&program)))
	if failure != 0 {
		return fmt.Errorf("connections cannot be forbidden: %w", failure)
	}
	return nil
}
