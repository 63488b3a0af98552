package kustomize

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/resource"
	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"
	"sigs.k8s.io/yaml"
)

const (
	originAnnotation          = "config.kubernetes.io/origin"
	transformationsAnnotation = "alpha.config.kubernetes.io/transformations"
)

// Object is a built object without kustomize's annotations, and their content.
type Object struct {
	Object          json.RawMessage    `json:"object"`
	Origin          *resource.Origin   `json:"origin,omitempty"`
	Transformations []*resource.Origin `json:"transformations,omitempty"`
}

// decode returns the objects of a build.
func decode(built resmap.ResMap) Result {
	result := Result{Objects: make([]Object, 0, built.Size())}
	for _, one := range built.Resources() {
		object, err := decodeObject(one)
		if err != nil {
			return Result{Error: err.Error()}
		}
		result.Objects = append(result.Objects, object)
	}
	return result
}

// decodeObject returns an object as its MarshalJSON does, which writes it as YAML and reads it again. That takes as long
// as a small build: where the result is known without it, the nodes are written as JSON at once.
func decodeObject(one *resource.Resource) (Object, error) {
	if node := one.YNode(); node != nil {
		rest, origin, transformations := splitOrigin(node)
		if text, known := appendNode(nil, rest); known {
			return noteOrigin(text, origin, transformations), nil
		}
	}
	text, err := one.MarshalJSON()
	if err != nil {
		return Object{}, err
	}
	var value map[string]any
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&value); err != nil {
		return Object{}, err
	}
	origin, transformations := takeOrigin(value)
	text, err = json.Marshal(value)
	return noteOrigin(text, origin, transformations), err
}

// noteOrigin returns an object with its annotations; one that cannot be parsed is ignored.
func noteOrigin(text []byte, origin, transformations string) Object {
	object := Object{Object: text}
	_ = yaml.Unmarshal([]byte(origin), &object.Origin)
	_ = yaml.Unmarshal([]byte(transformations), &object.Transformations)
	return object
}

// takeOrigin moves what kustomize notes in annotations out of an object.
func takeOrigin(object map[string]any) (string, string) {
	metadata, _ := object["metadata"].(map[string]any)
	annotations, _ := metadata["annotations"].(map[string]any)
	origin, _ := annotations[originAnnotation].(string)
	transformations, _ := annotations[transformationsAnnotation].(string)
	delete(annotations, originAnnotation)
	delete(annotations, transformationsAnnotation)
	if len(annotations) == 0 {
		delete(metadata, "annotations")
	}
	return origin, transformations
}

// splitOrigin returns a node without kustomize's annotations, and their values. The node itself stays as it is.
func splitOrigin(object *kyaml.Node) (*kyaml.Node, string, string) {
	var origin, transformations string
	rest := replaceField(object, "metadata", func(metadata *kyaml.Node) *kyaml.Node {
		return replaceField(metadata, "annotations", func(annotations *kyaml.Node) *kyaml.Node {
			kept := replaceField(annotations, originAnnotation, func(value *kyaml.Node) *kyaml.Node {
				origin = value.Value
				return nil
			})
			kept = replaceField(kept, transformationsAnnotation, func(value *kyaml.Node) *kyaml.Node {
				transformations = value.Value
				return nil
			})
			if len(kept.Content) == 0 {
				return nil
			}
			return kept
		})
	})
	return rest, origin, transformations
}

// replaceField returns a copy of a mapping with another value for a field, or without it where that is nil. A node
// without the field is returned as it is.
func replaceField(node *kyaml.Node, name string, replace func(*kyaml.Node) *kyaml.Node) *kyaml.Node {
	if node.Kind != kyaml.MappingNode {
		return node
	}
	for number := 0; number+1 < len(node.Content); number += 2 {
		if node.Content[number].Value != name {
			continue
		}
		changed := *node
		changed.Content = slices.Clone(node.Content)
		if value := replace(node.Content[number+1]); value != nil {
			changed.Content[number+1] = value
		} else {
			changed.Content = slices.Delete(changed.Content, number, number+2)
		}
		return &changed
	}
	return node
}

// appendNode appends a node as JSON, with the fields of mappings in alphabetical order; false if the node has anything
// for which YAML's encoder and decoder may return something else.
func appendNode(text []byte, node *kyaml.Node) ([]byte, bool) {
	if node.Anchor != "" || node.Style&kyaml.TaggedStyle != 0 || node.Style&kyaml.FlowStyle != 0 && !isPlainFlow(node) {
		return nil, false
	}
	switch node.Kind {
	case kyaml.MappingNode:
		return appendMapping(text, node)
	case kyaml.SequenceNode:
		return appendSequence(text, node)
	case kyaml.ScalarNode:
		return appendScalar(text, node)
	}
	return nil, false
}

// isPlainFlow is false if a node has a comment or an empty value, which flow style can write as something else.
func isPlainFlow(node *kyaml.Node) bool {
	isEmpty := node.Kind == kyaml.ScalarNode && node.Value == ""
	return !isEmpty && node.HeadComment == "" && node.LineComment == "" && node.FootComment == "" &&
		!slices.ContainsFunc(node.Content, func(one *kyaml.Node) bool { return !isPlainFlow(one) })
}

type field struct {
	name  string
	value *kyaml.Node
}

func appendMapping(text []byte, node *kyaml.Node) ([]byte, bool) {
	if tag := node.ShortTag(); tag != kyaml.NodeTagMap {
		return nil, false
	}
	fields := make([]field, 0, len(node.Content)/2)
	for number := 0; number+1 < len(node.Content); number += 2 {
		key := node.Content[number]
		if !isPlainKey(key) {
			return nil, false
		}
		fields = append(fields, field{key.Value, node.Content[number+1]})
	}
	slices.SortFunc(fields, func(one, other field) int { return strings.Compare(one.name, other.name) })
	text = append(text, '{')
	for number, one := range fields {
		if number > 0 {
			if fields[number-1].name == one.name {
				return nil, false
			}
			text = append(text, ',')
		}
		text = append(appendText(text, one.name), ':')
		var known bool
		if text, known = appendNode(text, one.value); !known {
			return nil, false
		}
	}
	return append(text, '}'), true
}

// isPlainKey is true for a key that is a string, and on which YAML has no comment and no block.
func isPlainKey(key *kyaml.Node) bool {
	return key.Kind == kyaml.ScalarNode && key.Anchor == "" && key.LineComment == "" &&
		key.Style&(kyaml.LiteralStyle|kyaml.FoldedStyle) == 0 &&
		key.ShortTag() == kyaml.NodeTagString && key.Value != "<<" && isPlainText(key) && !strings.Contains(key.Value, "\n")
}

func appendSequence(text []byte, node *kyaml.Node) ([]byte, bool) {
	if tag := node.ShortTag(); tag != kyaml.NodeTagSeq {
		return nil, false
	}
	text = append(text, '[')
	for number, one := range node.Content {
		if number > 0 {
			text = append(text, ',')
		}
		var known bool
		if text, known = appendNode(text, one); !known {
			return nil, false
		}
	}
	return append(text, ']'), true
}

func appendScalar(text []byte, node *kyaml.Node) ([]byte, bool) {
	value := node.Value
	switch tag := node.ShortTag(); {
	case tag == kyaml.NodeTagString:
		return appendText(text, value), isPlainText(node)
	case node.Style != 0:
	case tag == kyaml.NodeTagBool && (value == "true" || value == "false"):
		return append(text, value...), true
	case tag == kyaml.NodeTagNull && (value == "null" || value == "~" || value == ""):
		return append(text, "null"...), true
	case tag == kyaml.NodeTagInt && isPlainNumber(value):
		return append(text, value...), true
	}
	return nil, false
}

// isPlainNumber is true for a decimal number that JSON writes in the same way.
func isPlainNumber(value string) bool {
	number, err := strconv.ParseInt(value, 10, 64)
	return err == nil && strconv.FormatInt(number, 10) == value
}

// isPlainText is true for a text that stays the same when it is written as YAML and read again: no white space at its
// start, and no characters that are special.
func isPlainText(node *kyaml.Node) bool {
	for place, char := range node.Value {
		switch {
		case char == '\n':
			if place == 0 || node.Style&(kyaml.SingleQuotedStyle|kyaml.FoldedStyle) != 0 {
				return false
			}
		case char == ' ':
			if place == 0 {
				return false
			}
		case char == '\t' && place > 0:
		case char < ' ', char > '~' && char < 0xA0, char == '\u2028', char == '\u2029', char >= 0xD800 && char <= 0xFFFF:
			return false
		}
	}
	return true
}

// appendText appends a text as JSON.
func appendText(text []byte, value string) []byte {
	for index := range len(value) {
		if char := value[index]; char < ' ' || char == '"' || char == '\\' || char >= utf8.RuneSelf {
			encoded, _ := json.Marshal(value)
			return append(text, encoded...)
		}
	}
	text = append(text, '"')
	text = append(text, value...)
	return append(text, '"')
}
