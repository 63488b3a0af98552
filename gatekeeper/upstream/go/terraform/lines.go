package terraform

import (
	"bytes"
	"sort"
	"unicode/utf8"
)

// lines has the bytes of a file, and where each line begins.
type lines struct {
	source []byte
	starts []int
}

func indexLines(source []byte) lines {
	starts := make([]int, 1, 1+bytes.Count(source, []byte{'\n'}))
	for offset, letter := range source {
		if letter == '\n' {
			starts = append(starts, offset+1)
		}
	}
	return lines{source, starts}
}

// locate is the line and column of a byte, from 1. Columns count characters, not bytes or what a terminal shows.
func (l lines) locate(offset int) (line, column int) {
	offset = min(max(offset, 0), len(l.source))
	line = sort.SearchInts(l.starts, offset+1)
	return line, 1 + utf8.RuneCount(l.source[l.starts[line-1]:offset])
}
