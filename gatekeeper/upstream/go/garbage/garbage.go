// Package garbage makes the start of the process cheaper: its import is enough.
package garbage

import "runtime/debug"

// percent is that of package limits, which sets it with the memory bound.
const percent = 400

// Go initializes packages in the order of their import paths, and this one before the libraries that it does not need:
// otherwise a third of the start is the collection of the garbage that their initialization leaves.
func init() {
	debug.SetGCPercent(percent)
}
