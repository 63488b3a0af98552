// Package policyset evaluates the Kyverno policies of a repository with Kyverno's engine.
package policyset

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"sync"

	policiesv1beta1 "github.com/kyverno/api/api/policies.kyverno.io/v1beta1"
	kyvernov2 "github.com/kyverno/kyverno/api/kyverno/v2"
	"github.com/kyverno/kyverno/pkg/config"
	"github.com/kyverno/kyverno/pkg/engine"
	engineapi "github.com/kyverno/kyverno/pkg/engine/api"
	"github.com/kyverno/kyverno/pkg/engine/factories"
	"github.com/kyverno/kyverno/pkg/engine/jmespath"
	"github.com/kyverno/kyverno/pkg/exceptions"
	imageverifycache "github.com/kyverno/kyverno/pkg/image/verification/cache"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
)

const keptSets = 4

// source is what a repository has: policies and exceptions, and what policies may read.
type source struct {
	Policies   []json.RawMessage `json:"policies"`
	Exceptions []json.RawMessage `json:"exceptions"`
	ConfigMaps []json.RawMessage `json:"configMaps"`
	Namespaces []json.RawMessage `json:"namespaces"`
	// Plurals are the resources of custom kinds, by GROUP/KIND.
	Plurals map[string]string `json:"plurals"`
}

// Set is the compiled form of a source.
type Set struct {
	policies   []*policy
	plurals    map[string]string
	namespaces map[string]*corev1.Namespace
	config     config.Configuration
	search     jmespath.Interface
	engine     engineapi.Engine
	// strict is the engine without exceptions.
	strict  engineapi.Engine
	library *libraryContext
	faults  []string
}

// Cache keeps the last sets, so that a source is compiled once for all calls.
type Cache struct {
	lock sync.Mutex
	keys [][sha256.Size]byte
	sets map[[sha256.Size]byte]*Set
}

// Open returns the compiled set of a source (JSON).
func (c *Cache) Open(raw json.RawMessage) (*Set, error) {
	c.lock.Lock()
	defer c.lock.Unlock()
	key := sha256.Sum256(raw)
	if set, known := c.sets[key]; known {
		return set, nil
	}
	set, err := newSet(raw)
	if err != nil {
		return nil, err
	}
	if c.sets == nil {
		c.sets = map[[sha256.Size]byte]*Set{}
	}
	if len(c.keys) >= keptSets {
		for _, dropped := range c.sets[c.keys[0]].policies {
			if dropped.classic != nil {
				forgetRules(dropped.classic)
			}
		}
		delete(c.sets, c.keys[0])
		c.keys = c.keys[1:]
	}
	c.keys, c.sets[key] = append(c.keys, key), set
	return set, nil
}

func newSet(raw json.RawMessage) (*Set, error) {
	var from source
	if err := json.Unmarshal(raw, &from); err != nil {
		return nil, err
	}
	configMaps, err := newConfigMaps(from.ConfigMaps)
	if err != nil {
		return nil, err
	}
	set := &Set{
		plurals: from.Plurals, namespaces: map[string]*corev1.Namespace{}, config: config.NewDefaultConfiguration(false),
		library: newLibraryContext(configMaps),
	}
	for _, one := range from.Namespaces {
		var namespace corev1.Namespace
		if err := json.Unmarshal(one, &namespace); err != nil {
			return nil, fmt.Errorf("a Namespace cannot be decoded: %w", err)
		}
		set.namespaces[namespace.Name] = labelled(&namespace)
	}
	classic, cel, faults := decodeExceptions(from.Exceptions)
	set.faults = faults
	set.search = jmespath.New(set.config)
	set.engine, set.strict = set.newEngine(configMaps, classic), set.newEngine(configMaps, nil)
	selecting := selectsNamespaces(from.Exceptions)
	for _, one := range from.Policies {
		set.policies = append(set.policies, newPolicy(one, cel, set.library, selecting))
	}
	return set, nil
}

func (s *Set) newEngine(found configMaps, exempt exceptionList) engineapi.Engine {
	return engine.NewEngine(
		s.config, s.search, repositoryClient{s.namespace}, nil, imageverifycache.DisabledImageVerifyCache(),
		factories.DefaultContextLoaderFactory(found), exceptions.New(exempt), nil,
	)
}

// labelled adds the label that the API server gives every namespace.
func labelled(namespace *corev1.Namespace) *corev1.Namespace {
	if namespace.Labels == nil {
		namespace.Labels = map[string]string{}
	}
	namespace.Labels[corev1.LabelMetadataName] = namespace.Name
	return namespace
}

// namespace returns a namespace, and whether the repository has it; its name is a label in any case.
func (s *Set) namespace(name string) (*corev1.Namespace, bool) {
	if known, found := s.namespaces[name]; found {
		return known, true
	}
	namespace := &corev1.Namespace{}
	namespace.Name = name
	return labelled(namespace), false
}

type exceptionList []*kyvernov2.PolicyException

// List implements the lister of Kyverno's exceptions.
func (l exceptionList) List(selector labels.Selector) ([]*kyvernov2.PolicyException, error) {
	var found []*kyvernov2.PolicyException
	for _, exception := range l {
		if selector.Matches(labels.Set(exception.GetLabels())) {
			found = append(found, exception)
		}
	}
	return found, nil
}

type celExceptions = []*policiesv1beta1.PolicyException
