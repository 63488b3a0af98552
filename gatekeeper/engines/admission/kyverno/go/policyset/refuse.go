package policyset

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	kyvernov1 "github.com/kyverno/kyverno/api/kyverno/v1"
)

const clusterOnly = "which is known only in the cluster"

var (
	userVariables = regexp.MustCompile(`\brequest\.(userInfo|roles|clusterRoles|uid|options)\b`)
	// accounts are variables of the user, not fields of an object.
	accounts        = regexp.MustCompile(`(?:^|[^.\w'"])(serviceAccount(?:Name|Namespace))\b`)
	celUser         = regexp.MustCompile(`\brequest\.(userInfo|uid|options)\b|\bauthorizer\b`)
	celConnections  = regexp.MustCompile(`\b(http|globalContext)\.(Get|Post|Client)\b|\bresource\.(List|Post)\b`)
	celImageLibrary = regexp.MustCompile(`\b(getImageData|verifyImageSignatures|verifyAttestationSignatures)\b|\bimage\.GetMetadata\b`)
)

// refuseRule returns why a rule cannot be evaluated without a cluster; empty if it can.
func refuseRule(rule *kyvernov1.Rule) string {
	if rule.HasVerifyImages() {
		return "`verifyImages` is not supported: it needs the registry of the images"
	}
	for _, entry := range contextEntries(rule) {
		switch {
		case entry.APICall != nil:
			return fmt.Sprintf("the context `%s` makes an API call, and `check` opens no connection", entry.Name)
		case entry.GlobalReference != nil:
			return fmt.Sprintf("the context `%s` reads a GlobalContextEntry, which only the cluster has", entry.Name)
		case entry.ImageRegistry != nil:
			return fmt.Sprintf("the context `%s` reads an image registry, and `check` opens no connection", entry.Name)
		}
	}
	if matchesUsers(&rule.MatchResources) {
		return "`match` by subjects, roles or clusterRoles is not supported: the user who applies a resource is known " +
			"only in the cluster"
	}
	if rule.HasValidateCEL() && rule.Validation.CEL.ParamKind != nil {
		return "`cel.paramKind` is not supported"
	}
	if reason := refuseManifests(rule); reason != "" {
		return reason
	}
	text, err := json.Marshal(rule)
	if err != nil {
		return err.Error()
	}
	found := userVariables.FindString(string(text))
	if rule.HasValidateCEL() {
		found = celUser.FindString(string(text))
	}
	if found == "" {
		found = readAccount(rule, string(text))
	}
	if found != "" {
		return fmt.Sprintf("it reads `%s`, %s", found, clusterOnly)
	}
	return ""
}

// publicKey is a key itself, not the name of one.
var publicKey = regexp.MustCompile(`^\s*-----BEGIN PUBLIC KEY-----`)

var variables = regexp.MustCompile(`\{\{.*?\}\}`)

// readAccount returns the variable of the user's ServiceAccount that a rule (as JSON) reads; empty if none.
func readAccount(rule *kyvernov1.Rule, text string) string {
	expressions := variables.FindAllString(text, -1)
	for _, entry := range contextEntries(rule) {
		if entry.Variable != nil {
			expressions = append(expressions, entry.Variable.JMESPath)
		}
	}
	for _, expression := range expressions {
		if found := accounts.FindStringSubmatch(strings.Trim(expression, "{} ")); found != nil {
			return found[1]
		}
	}
	return ""
}

// contextEntries returns the context of a rule, and of its loops.
func contextEntries(rule *kyvernov1.Rule) []kyvernov1.ContextEntry {
	entries := append([]kyvernov1.ContextEntry{}, rule.Context...)
	if rule.Validation != nil {
		entries = append(entries, loopEntries(rule.Validation.ForEachValidation)...)
	}
	if rule.Mutation != nil {
		entries = append(entries, mutationEntries(rule.Mutation.ForEachMutation)...)
	}
	return entries
}

func loopEntries(loops []kyvernov1.ForEachValidation) []kyvernov1.ContextEntry {
	var entries []kyvernov1.ContextEntry
	for _, loop := range loops {
		entries = append(append(entries, loop.Context...), loopEntries(loop.GetForEachValidation())...)
	}
	return entries
}

func mutationEntries(loops []kyvernov1.ForEachMutation) []kyvernov1.ContextEntry {
	var entries []kyvernov1.ContextEntry
	for _, loop := range loops {
		entries = append(append(entries, loop.Context...), mutationEntries(loop.GetForEachMutation())...)
	}
	return entries
}

func matchesUsers(match *kyvernov1.MatchResources) bool {
	if !match.UserInfo.IsEmpty() {
		return true
	}
	for _, filters := range []kyvernov1.ResourceFilters{match.Any, match.All} {
		for _, filter := range filters {
			if !filter.UserInfo.IsEmpty() {
				return true
			}
		}
	}
	return false
}

// refuseManifests returns why the signatures of a manifest cannot be verified without a connection.
func refuseManifests(rule *kyvernov1.Rule) string {
	if rule.Validation == nil || rule.Validation.Manifests == nil {
		return ""
	}
	manifests := rule.Validation.Manifests
	if manifests.DryRunOption.Enable {
		return "`manifests.dryRun` is not supported: it needs the API server of the cluster"
	}
	if manifests.Repository != "" {
		return "`manifests.repository` is not supported: it needs a registry"
	}
	for _, set := range manifests.Attestors {
		for _, entry := range set.Entries {
			isKey := entry.Keys != nil && publicKey.MatchString(entry.Keys.PublicKeys) && entry.Keys.Secret == nil && entry.Keys.KMS == ""
			if !isKey || entry.Repository != "" {
				return "`manifests` is supported with `attestors.entries.keys.publicKeys` only, which must contain the key: " +
					"all others need a connection"
			}
		}
	}
	return ""
}

// refuseExpressions returns why the CEL of a policy cannot be evaluated without a cluster; empty if it can.
func refuseExpressions(policy any) string {
	text, err := json.Marshal(policy)
	if err != nil {
		return err.Error()
	}
	if found := celUser.FindString(string(text)); found != "" {
		return fmt.Sprintf("it reads `%s`, %s", found, clusterOnly)
	}
	if found := celConnections.FindString(string(text)); found != "" {
		return fmt.Sprintf("it calls `%s`, and `check` opens no connection", found)
	}
	if found := celImageLibrary.FindString(string(text)); found != "" {
		return fmt.Sprintf("it calls `%s`, which needs the registry of the images", found)
	}
	return ""
}
