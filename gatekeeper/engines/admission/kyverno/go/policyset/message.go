package policyset

import (
	"regexp"
	"strings"

	engineapi "github.com/kyverno/kyverno/pkg/engine/api"
)

const (
	errorPrefix = "validation error: "
	loopPrefix  = "validation failure: "
)

var failedAt = regexp.MustCompile(`failed at path (\S+)`)

// readMessage returns the author's message of a result and the field at fault, which Kyverno appends to the message.
func (p *policy) readMessage(name string, rule *engineapi.RuleResponse) (text, path string) {
	text = rule.Message()
	if checks := rule.PodSecurityChecks(); checks != nil {
		return oneLine(text), podPath(checks)
	}
	if rule.Status() != engineapi.RuleStatusFail {
		return oneLine(text), ""
	}
	// In a loop, a path begins at the element.
	inLoop := strings.HasPrefix(text, loopPrefix)
	for strings.HasPrefix(text, loopPrefix) {
		text = strings.TrimPrefix(text, loopPrefix)
	}
	trimmed, isPattern := strings.CutPrefix(text, errorPrefix)
	if !isPattern {
		return oneLine(text), ""
	}
	end := len(trimmed)
	for _, marker := range []string{"rule " + rule.Name() + " failed", "rule " + rule.Name() + "[", "rule " + rule.Name() + " execution"} {
		if at := strings.Index(trimmed, marker); at >= 0 && at < end {
			end = at
		}
	}
	if !inLoop {
		for _, match := range failedAt.FindAllStringSubmatch(trimmed[end:], -1) {
			// The mismatch deepest in the object says most.
			if strings.Count(match[1], "/") > strings.Count(path, "/") {
				path = match[1]
			}
		}
	}
	text = oneLine(trimmed[:end])
	if !p.endsWithPeriod(name) {
		// Kyverno adds a period.
		text = strings.TrimSuffix(text, ".")
	}
	return text, path
}

// endsWithPeriod reports whether the author's message of a rule does.
func (p *policy) endsWithPeriod(name string) bool {
	for _, rule := range p.classic.GetSpec().Rules {
		if rule.Name == name && rule.Validation != nil {
			return strings.HasSuffix(strings.TrimSpace(rule.Validation.Message), ".")
		}
	}
	return false
}

var brackets = strings.NewReplacer("[", "/", "]", "", ".", "/", `"`, "")

// podPath is the first field that a check of Pod Security names.
func podPath(checks *engineapi.PodSecurityChecks) string {
	for _, check := range checks.Checks {
		if check.CheckResult.ErrList == nil {
			continue
		}
		for _, fault := range *check.CheckResult.ErrList {
			if fault.Field != "" {
				return "/" + brackets.Replace(fault.Field)
			}
		}
	}
	return ""
}
