package policyset

import (
	"sync"

	kyvernov1 "github.com/kyverno/kyverno/api/kyverno/v1"
	"github.com/kyverno/kyverno/pkg/autogen"
)

// computedRules keeps the rules for controllers of Pods, which Kyverno computes again for each object.
type computedRules struct {
	autogen.Autogen
	rules sync.Map
}

type rulesKey struct {
	policy kyvernov1.PolicyInterface
	kind   string
}

func init() {
	autogen.Default = &computedRules{Autogen: autogen.Default}
}

// ComputeRules returns the rules of a policy for a kind.
func (c *computedRules) ComputeRules(policy kyvernov1.PolicyInterface, kind string) []kyvernov1.Rule {
	if known, found := c.rules.Load(rulesKey{policy, kind}); found {
		return known.([]kyvernov1.Rule)
	}
	return c.Autogen.ComputeRules(policy, kind)
}

// keep computes the rules of a policy for a kind once.
func (c *computedRules) keep(policy kyvernov1.PolicyInterface, kind string) {
	key := rulesKey{policy, kind}
	if _, found := c.rules.Load(key); !found {
		c.rules.Store(key, c.Autogen.ComputeRules(policy, kind))
	}
}

func keepRules(policy kyvernov1.PolicyInterface, kind string) {
	if computed, isOurs := autogen.Default.(*computedRules); isOurs {
		computed.keep(policy, kind)
	}
}

// forgetRules drops the rules of a policy that is not used any more.
func forgetRules(policy kyvernov1.PolicyInterface) {
	computed, isOurs := autogen.Default.(*computedRules)
	if !isOurs {
		return
	}
	computed.rules.Range(func(key, _ any) bool {
		if key.(rulesKey).policy == policy {
			computed.rules.Delete(key)
		}
		return true
	})
}
