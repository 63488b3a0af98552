package kustomize

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"
)

var (
	pieces = []string{"", "a", "b", " ", "  ", "\n", "\n\n", "\t", "#", ": ", ":", "- ", "-", "'", "\"", "\\", "%", "@", "`", "&x",
		"*x", "!", "!!str", "|", ">", "?", "{", "}", "[", "]", ",", "~", "null", "true", "yes", "on", "No", "0", "1", "-1", "+1", "007",
		"0o7", "0x1F", "1_000", "1.5", "1e3", ".5", ".inf", ".nan", "2020-01-01", "<<", "=", "é", "…", "\u0085", "\u2028", "\ufeff",
		"\ufffd", "\ue000", "😀", "\r", "\x00", "\x7f", "<", "---", "...", "9223372036854775808", "key"}
	styles = []kyaml.Style{0, 0, 0, 0, kyaml.SingleQuotedStyle, kyaml.DoubleQuotedStyle, kyaml.LiteralStyle, kyaml.FoldedStyle,
		kyaml.FlowStyle, kyaml.TaggedStyle}
	tags = []string{"", "", "!!str", "!!str", "!!int", "!!bool", "!!null", "!!float", "!!timestamp", "!!binary", "!own"}
)

func pick[Item any](random *rand.Rand, items []Item) Item { return items[random.IntN(len(items))] }

func randomText(random *rand.Rand) string {
	var text strings.Builder
	for range random.IntN(5) {
		text.WriteString(pick(random, pieces))
	}
	return text.String()
}

// addComments adds comments in some places of a text in YAML, many of which belong to no line of their own.
func addComments(random *rand.Rand, text string) string {
	lines := strings.Split(text, "\n")
	for number := range lines {
		switch random.IntN(8) {
		case 0:
			lines[number] += " # a comment: {"
		case 1:
			lines[number] += "\n" + strings.Repeat(" ", random.IntN(6)) + "# - a comment"
		case 2:
			lines[number] += "\n"
		}
	}
	return strings.Join(lines, "\n")
}

func randomNode(random *rand.Rand, depth int) *kyaml.Node {
	node := &kyaml.Node{Kind: kyaml.ScalarNode}
	switch kind := random.IntN(10); {
	case depth == 0 || kind < 5:
		node.Value, node.Style, node.Tag = randomText(random), pick(random, styles), pick(random, tags)
		if random.IntN(3) == 0 {
			node.Value = pick(random, pieces)
		}
	case kind < 7:
		node.Kind = kyaml.SequenceNode
		for range random.IntN(3) {
			node.Content = append(node.Content, randomNode(random, depth-1))
		}
	default:
		node = randomMapping(random, depth)
	}
	if node.Kind != kyaml.ScalarNode && random.IntN(6) == 0 {
		node.Style = kyaml.FlowStyle
	}
	return node
}

func randomMapping(random *rand.Rand, depth int) *kyaml.Node {
	node := &kyaml.Node{Kind: kyaml.MappingNode}
	for number := range random.IntN(4) {
		key := randomNode(random, 0)
		if random.IntN(3) > 0 {
			key = &kyaml.Node{Kind: kyaml.ScalarNode, Value: fmt.Sprint("field", number)}
		}
		node.Content = append(node.Content, key, randomNode(random, depth-1))
	}
	return node
}

// TestAppendNode compares with kustomize's own way through YAML, for nodes with all kinds of texts, tags and comments.
func TestAppendNode(t *testing.T) {
	random := rand.New(rand.NewPCG(18, 5))
	known := 0
	for range 60000 {
		node := randomMapping(random, 3)
		if random.IntN(2) == 0 {
			written, _ := kyaml.NewRNode(node).String()
			parsed, err := kyaml.Parse(addComments(random, written))
			if err != nil || parsed.YNode().Kind != kyaml.MappingNode {
				continue
			}
			node = parsed.YNode()
		}
		text, isKnown := appendNode(nil, node)
		if !isKnown {
			continue
		}
		known++
		expected, err := kyaml.NewRNode(node).MarshalJSON()
		if err != nil {
			yaml, _ := kyaml.NewRNode(node).String()
			t.Fatalf("%s is written, where kustomize fails: %v\n%s", text, err, yaml)
		}
		if !bytes.Equal(normalize(t, text), normalize(t, expected)) {
			yaml, _ := kyaml.NewRNode(node).String()
			t.Fatalf("%s instead of %s\n%s", text, expected, yaml)
		}
	}
	if known < 10000 {
		t.Fatalf("only %d nodes were written without YAML", known)
	}
}

// normalize returns JSON as the encoder writes it; numbers stay as they are, and so does the order of fields.
func normalize(t *testing.T, text []byte) []byte {
	var out bytes.Buffer
	if err := json.Compact(&out, text); err != nil {
		t.Fatalf("%s is not JSON: %v", text, err)
	}
	var escaped bytes.Buffer
	json.HTMLEscape(&escaped, out.Bytes())
	return escaped.Bytes()
}
