// Gatekeeper-upstream answers Gatekeeper's questions to the libraries that decide in a cluster.
//
// It reads requests from its standard input, and writes answers to its standard output, as package protocol describes.
// It opens no files and no connections, and ends when its input ends. With the option -fetch it answers other calls: it
// downloads into a folder, and does nothing else.
package main

import (
	"flag"
	"fmt"
	"os"

	// Kinds with time zones need a database of them; files of this machine are not read.
	_ "time/tzdata"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"

	"gatekeeper/upstream/fetching"
	_ "gatekeeper/upstream/garbage"
	"gatekeeper/upstream/limits"
	"gatekeeper/upstream/protocol"
)

// version is that of Gatekeeper and the checksum of this source; the linker sets it.
var version = "unknown"

func main() {
	memory := flag.Int64("memory", 1<<30, "bytes of memory that the process may use")
	folder := flag.String("fetch", "", "the folder into which this process downloads")
	flag.Parse()
	klog.SetLogger(logr.Discard())
	if err := run(*memory, *folder); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(memory int64, folder string) error {
	if err := limits.BoundMemory(memory); err != nil {
		return err
	}
	input, output := os.NewFile(0, "stdin"), os.NewFile(1, "stdout")
	if folder != "" {
		store, err := fetching.NewStore(folder)
		if err != nil {
			return err
		}
		return protocol.NewServer(newCalls().fetchHandlers(store), output).Serve(input)
	}
	if err := limits.ForbidFiles(); err != nil {
		return err
	}
	return protocol.NewServer(newCalls().handlers(), output).Serve(input)
}
