package kustomize

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strings"

	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"
)

// Kustomize writes the value of each alias in its place, without a bound: a file of 1 kB can stand for terabytes. The
// bounds are those of Gatekeeper's own reader of YAML: this many values for each that is written, at least and at most.
const aliasFactor, aliasFloor, aliasCeiling = 100, 100_000, 4_000_000

var (
	anchor = regexp.MustCompile(`&[^\s&,\[\]{}]`)
	alias  = regexp.MustCompile(`\*[^\s*,\[\]{}]`)

	errSelfAlias = errors.New("an anchor contains itself")
)

// checkAliases refuses a text in YAML whose aliases stand for too much. Patches can be texts inside of it.
func checkAliases(text []byte) error {
	if !anchor.Match(text) || !alias.Match(text) {
		return nil
	}
	decoder := kyaml.NewDecoder(bytes.NewReader(text))
	for {
		var document kyaml.Node
		// Kustomize reports an error better, and the end is one.
		if decoder.Decode(&document) != nil {
			return nil
		}
		count := aliasCount{sizes: map[*kyaml.Node]int{}}
		size := count.size(&document)
		budget := min(max(count.nodes*aliasFactor, aliasFloor), aliasCeiling)
		switch {
		case count.isCyclic:
			return errSelfAlias
		case size > budget:
			return fmt.Errorf("aliases expand to more than %d values", budget)
		}
		for _, inner := range count.texts {
			if err := checkAliases([]byte(inner)); err != nil {
				return err
			}
		}
	}
}

// aliasCount counts the values of a document.
type aliasCount struct {
	// nodes are those that are written, and sizes has for how many an anchor stands: none while it is counted.
	nodes int
	sizes map[*kyaml.Node]int
	// texts are the values that can be YAML themselves.
	texts    []string
	isCyclic bool
}

// size returns for how many values a node stands, which is no larger than a little more than the ceiling.
func (c *aliasCount) size(node *kyaml.Node) int {
	if node.Kind == kyaml.AliasNode {
		size, known := c.sizes[node.Alias]
		c.isCyclic = c.isCyclic || known && size == 0
		return size
	}
	c.nodes++
	if node.Anchor != "" {
		c.sizes[node] = 0
	}
	if node.Kind == kyaml.ScalarNode && strings.Contains(node.Value, "&") {
		c.texts = append(c.texts, node.Value)
	}
	size := 1
	for _, one := range node.Content {
		size = min(size+c.size(one), aliasCeiling+1)
	}
	if node.Anchor != "" {
		c.sizes[node] = size
	}
	return size
}
