package policyset

import (
	"encoding/json"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

const (
	selectorField = "namespaceSelector"
	labelsField   = "matchLabels"
	clausesField  = "matchExpressions"
)

// withoutNamespaceSelectors returns a policy that applies to objects of namespaces with any labels, and whether it
// differs. A policy that reads `namespaceObject` differs in any case.
func withoutNamespaceSelectors(raw json.RawMessage) (json.RawMessage, bool) {
	text := string(raw)
	if !strings.Contains(text, selectorField) && !strings.Contains(text, "namespaceObject") {
		return nil, false
	}
	var object any
	if json.Unmarshal(raw, &object) != nil {
		return nil, false
	}
	changed := stripSelectors(object, false) || strings.Contains(text, "namespaceObject")
	stripped, err := json.Marshal(object)
	return stripped, changed && err == nil
}

// selectsNamespaces reports whether an exception depends on the labels of a namespace.
func selectsNamespaces(found []json.RawMessage) bool {
	return slices.ContainsFunc(found, func(raw json.RawMessage) bool {
		_, changed := withoutNamespaceSelectors(raw)
		return changed
	})
}

// stripSelectors removes selectors, and the entries of `exclude` that have one.
func stripSelectors(value any, excluded bool) bool {
	changed := false
	switch typed := value.(type) {
	case map[string]any:
		if selector, found := typed[selectorField]; found && needsLabels(selector) {
			delete(typed, selectorField)
			if excluded {
				// Matches nothing: no namespace has this name.
				typed["namespaces"] = []any{"/"}
			}
			changed = true
		}
		for key, part := range typed {
			changed = stripSelectors(part, excluded || key == "exclude") || changed
		}
	case []any:
		for _, part := range typed {
			changed = stripSelectors(part, excluded) || changed
		}
	}
	return changed
}

// needsLabels reports whether a selector needs more than the name of a namespace.
func needsLabels(selector any) bool {
	fields, isMapping := selector.(map[string]any)
	if !isMapping {
		return false
	}
	labels, _ := fields[labelsField].(map[string]any)
	for key := range labels {
		if key != corev1.LabelMetadataName {
			return true
		}
	}
	clauses, _ := fields[clausesField].([]any)
	for _, clause := range clauses {
		parts, _ := clause.(map[string]any)
		if parts["key"] != corev1.LabelMetadataName {
			return true
		}
	}
	return false
}
