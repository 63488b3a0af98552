package policyset

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/go-git/go-billy/v5/memfs"
	"github.com/go-git/go-billy/v5/util"
	policiesv1beta1 "github.com/kyverno/api/api/policies.kyverno.io/v1beta1"
	kyvernov1 "github.com/kyverno/kyverno/api/kyverno/v1"
	loader "github.com/kyverno/kyverno/cmd/cli/kubectl-kyverno/policy"
	mpolcompiler "github.com/kyverno/kyverno/pkg/cel/policies/mpol/compiler"
	mpolengine "github.com/kyverno/kyverno/pkg/cel/policies/mpol/engine"
	vpolcompiler "github.com/kyverno/kyverno/pkg/cel/policies/vpol/compiler"
	vpolengine "github.com/kyverno/kyverno/pkg/cel/policies/vpol/engine"
	"github.com/kyverno/kyverno/pkg/config"
	policyvalidation "github.com/kyverno/kyverno/pkg/validation/policy"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/matchconditions"
)

const policyFile = "policy.json"

// policy is one policy of a set, compiled for its kind.
type policy struct {
	description Description
	classic     kyvernov1.PolicyInterface
	refused     map[string]bool
	validating  policiesv1beta1.ValidatingPolicyLike
	validator   vpolengine.Provider
	mutating    policiesv1beta1.MutatingPolicyLike
	mutator     mpolengine.Provider
	// probe is the policy without what it says about the labels of namespaces; nil if it says nothing about them.
	probe *policy
	// ignoresExceptions is for a probe, because exceptions may depend on the labels of namespaces, too.
	ignoresExceptions bool
	// isExact is for a probe that is the policy itself: what passes without exceptions passes with them.
	isExact           bool
	conditions        matchconditions.Matcher
	verifiesManifests bool
	pace              pace
}

// Description is what is evaluated of a policy.
type Description struct {
	// Rules are the names of the rules that validate; a policy in CEL has one rule without a name.
	Rules []string `json:"rules"`
	// Mutating are the names of the rules that mutate admitted objects.
	Mutating []string `json:"mutating"`
	// Notes are what the policy does besides validating objects.
	Notes []string `json:"notes"`
	// Refusals are why rules are not evaluated.
	Refusals []string `json:"refusals"`
}

// Descriptions are those of all policies of a set, in their order, and exceptions that cannot be decoded.
type Descriptions struct {
	Policies []Description `json:"policies"`
	Faults   []string      `json:"faults"`
}

// Describe returns what is evaluated of each policy.
func (s *Set) Describe() Descriptions {
	described := Descriptions{Faults: s.faults}
	for _, one := range s.policies {
		described.Policies = append(described.Policies, one.description)
	}
	return described
}

// newPolicy compiles a policy; one that cannot be compiled is described with the reason.
func newPolicy(raw json.RawMessage, exempt celExceptions, library *libraryContext, exceptionsSelect bool) *policy {
	built, err := buildPolicy(raw, exempt, library)
	if err != nil {
		return &policy{description: Description{Refusals: []string{oneLine(err.Error())}}}
	}
	stripped, changed := withoutNamespaceSelectors(raw)
	if !changed && !exceptionsSelect {
		return built
	}
	if !changed {
		stripped = raw
	}
	if exceptionsSelect {
		exempt = nil
	}
	if built.probe, err = buildPolicy(stripped, exempt, library); err != nil {
		return &policy{description: Description{Refusals: []string{oneLine(err.Error())}}}
	}
	built.probe.ignoresExceptions, built.probe.isExact = exceptionsSelect, !changed
	return built
}

// buildPolicy decodes a policy as the API server does, by its schema, and compiles it.
func buildPolicy(raw json.RawMessage, exceptions celExceptions, library *libraryContext) (built *policy, err error) {
	defer func() {
		if crash := recover(); crash != nil {
			built, err = nil, errors.New(unexpected(crash))
		}
	}()
	files := memfs.New()
	if err := util.WriteFile(files, policyFile, raw, 0o600); err != nil {
		return nil, err
	}
	loaded, err := loader.Load(files, "", policyFile)
	if err != nil {
		return nil, err
	}
	if len(loaded.NonFatalErrors) > 0 {
		return nil, loaded.NonFatalErrors[0].Error
	}
	built = &policy{refused: map[string]bool{}}
	switch {
	case len(loaded.Policies) == 1:
		return built, built.readClassic(loaded.Policies[0])
	case len(loaded.ValidatingPolicies) == 1:
		return built, built.readValidating(loaded.ValidatingPolicies[0], exceptions)
	case len(loaded.MutatingPolicies) == 1:
		return built, built.readMutating(loaded.MutatingPolicies[0], exceptions, library)
	case len(loaded.ImageValidatingPolicies) == 1:
		return nil, errors.New("it needs the registry of the images")
	case len(loaded.EnvoyPolicies)+len(loaded.HTTPPolicies) == 1:
		built.note("it judges requests of Envoy or HTTP, not objects")
	case len(loaded.GeneratingPolicies) == 1:
		built.note("it would generate resources; the resulting resources are not checked")
	case len(loaded.DeletingPolicies)+len(loaded.CleanupPolicies) == 1:
		built.note("it would delete resources, which is not checked")
	default:
		return nil, errors.New("it is no policy that Kyverno knows")
	}
	return built, nil
}

func (p *policy) note(text string, values ...any) {
	p.description.Notes = append(p.description.Notes, fmt.Sprintf(text, values...))
}

// readClassic reads the rules of a ClusterPolicy or Policy.
func (p *policy) readClassic(from kyvernov1.PolicyInterface) error {
	var err error
	if p.conditions, err = newConditions(from); err != nil {
		return err
	}
	account := config.KyvernoUserName(config.KyvernoServiceAccountName())
	if _, err := policyvalidation.Validate(withoutConditions(from), nil, nil, true, account, account); err != nil {
		return err
	}
	p.classic = from
	if !from.GetSpec().AdmissionProcessingEnabled() {
		p.note("`admission` is false: the cluster reports what breaks the policy, and refuses or changes nothing")
	}
	for _, rule := range from.GetSpec().Rules {
		name := from.GetName() + "/" + rule.Name
		if rule.HasGenerate() {
			p.note("rule %s would generate resources; the resulting resources are not checked", name)
		}
		if rule.HasMutateExisting() {
			p.note("rule %s would mutate existing resources; the resulting resources are not checked", name)
		}
		if !rule.HasValidate() && !rule.HasVerifyImages() && !rule.HasMutateStandard() {
			continue
		}
		if reason := refuseRule(&rule); reason != "" {
			p.refused[rule.Name] = true
			p.description.Refusals = append(p.description.Refusals, fmt.Sprintf("rule %s: %s", name, reason))
			continue
		}
		if rule.HasMutateStandard() && !from.GetSpec().AdmissionProcessingEnabled() {
			continue
		}
		p.verifiesManifests = p.verifiesManifests || (rule.HasValidate() && rule.Validation.Manifests != nil)
		if rule.HasValidate() {
			p.description.Rules = append(p.description.Rules, rule.Name)
		} else {
			p.description.Mutating = append(p.description.Mutating, rule.Name)
		}
	}
	return nil
}

func (p *policy) readValidating(from policiesv1beta1.ValidatingPolicyLike, exceptions celExceptions) error {
	if from.GetValidatingPolicySpec().EvaluationMode() == "JSON" {
		p.note("it judges JSON that is no object of Kubernetes")
		return nil
	}
	if reason := refuseExpressions(from); reason != "" {
		return errors.New(reason)
	}
	provider, err := vpolengine.NewProvider(
		vpolcompiler.NewCompiler(), []policiesv1beta1.ValidatingPolicyLike{from}, exceptions,
	)
	if err != nil {
		return err
	}
	if !from.GetValidatingPolicySpec().AdmissionEnabled() {
		p.note("`evaluation.admission` is disabled: the cluster reports what breaks the policy, and refuses nothing")
	}
	p.validating, p.validator = from, provider
	p.description.Rules = []string{""}
	return nil
}

func (p *policy) readMutating(
	from policiesv1beta1.MutatingPolicyLike, exceptions celExceptions, library *libraryContext,
) error {
	if from.GetSpec().MutateExistingEnabled() {
		p.note("it would mutate existing resources; the resulting resources are not checked")
		return nil
	}
	if !from.GetSpec().AdmissionEnabled() {
		p.note("`evaluation.admission` is disabled: it changes no object that is created")
		return nil
	}
	if reason := refuseExpressions(from); reason != "" {
		return errors.New(reason)
	}
	provider, err := mpolengine.NewProvider(
		mpolcompiler.NewCompiler(), []policiesv1beta1.MutatingPolicyLike{from}, exceptions, library,
	)
	if err != nil {
		return err
	}
	p.mutating, p.mutator = from, provider
	p.description.Mutating = []string{""}
	return nil
}

// quotedList is a list that Kyverno writes in a random order.
var quotedList = regexp.MustCompile(`\["[^\]]*"\]`)

// longestText is the length of a message in bytes; an error may repeat a variable of a megabyte.
const longestText = 4000

// oneLine is a text in one line, the same in each run.
func oneLine(text string) string {
	if len(text) > longestText {
		text = strings.ToValidUTF8(text[:longestText], "") + " ..."
	}
	text = strings.Join(strings.Fields(text), " ")
	return quotedList.ReplaceAllStringFunc(text, func(list string) string {
		entries := strings.Fields(strings.Trim(list, "[]"))
		slices.Sort(entries)
		return "[" + strings.Join(entries, " ") + "]"
	})
}
