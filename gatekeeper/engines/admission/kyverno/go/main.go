// Gatekeeper-kyverno answers Gatekeeper's questions to Kyverno's own engine.
//
// It reads requests from its standard input, and writes answers to its standard output, as package protocol describes.
// It opens no connection, and no file unless it runs test suites; it ends when its input ends.
package main

import (
	"flag"
	"fmt"
	"os"

	// Kinds with time zones need a database of them; files of this machine are not read.
	_ "time/tzdata"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"gatekeeper/kyverno/files"
	"gatekeeper/kyverno/limits"
	"gatekeeper/kyverno/protocol"
)

// version is that of Gatekeeper and the checksum of this source; the linker sets it.
var version = "unknown"

func main() {
	memory := flag.Int64("memory", 1<<30, "bytes of memory that the process may use")
	mayReadFiles := flag.Bool("files", false, "run test suites, which are files")
	flag.Parse()
	klog.SetLogger(logr.Discard())
	log.SetLogger(logr.Discard())
	if err := run(*memory, *mayReadFiles); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(memory int64, mayReadFiles bool) error {
	if err := limits.BoundMemory(memory); err != nil {
		return err
	}
	input, output := os.NewFile(0, "stdin"), os.NewFile(1, "stdout")
	if err := forbidConnections(); err != nil {
		return err
	}
	if !mayReadFiles {
		if err := files.Forbid(); err != nil {
			return err
		}
	}
	return protocol.NewServer(newCalls(mayReadFiles).handlers(), output).Serve(input)
}
