// Package emulation sets the version of Kubernetes whose feature gates and libraries count.
package emulation

import (
	"fmt"

	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/apiserver/pkg/cel/environment"
	"k8s.io/apiserver/pkg/util/compatibility"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	basecompatibility "k8s.io/component-base/compatibility"
)

// oldest is how many minor versions before its own the API server can emulate.
const oldest = 3

// wantedVersion is the requested version, which may be older than the one that can be emulated.
var wantedVersion *version.Version

// CompatibilityVersion is the version whose CEL libraries a policy may use: the one before the version of the cluster,
// so that it can be downgraded. It is also known for versions that cannot be emulated.
//
// Source: kubernetes `apiserver/pkg/cel/environment/base.go` (DefaultCompatibilityVersion).
func CompatibilityVersion() *version.Version {
	newest := environment.DefaultCompatibilityVersion()
	if wantedVersion == nil || !wantedVersion.SubtractMinor(1).LessThan(newest) {
		return newest
	}
	return wantedVersion.SubtractMinor(1)
}

// SetVersion emulates a version such as 1.34, or the nearest that can be emulated, and returns it. It must be called
// once, before anything else of Kubernetes' libraries.
func SetVersion(wanted string) (string, error) {
	registry := compatibility.DefaultComponentGlobalsRegistry
	effective := registry.EffectiveVersionFor(basecompatibility.DefaultKubeComponent)
	mutable, ok := effective.(basecompatibility.MutableEffectiveVersion)
	if !ok {
		return "", fmt.Errorf("the version of Kubernetes cannot be set")
	}
	newest := mutable.BinaryVersion().WithPatch(0)
	chosen := newest
	if wanted != "" {
		parsed, err := version.ParseMajorMinor(wanted)
		if err != nil {
			return "", fmt.Errorf("%q is no version of Kubernetes: %w", wanted, err)
		}
		wantedVersion = parsed
		chosen = clamp(parsed, newest.SubtractMinor(oldest), newest)
	}
	mutable.SetEmulationVersion(chosen)
	if err := registry.Set(); err != nil {
		return "", fmt.Errorf("Kubernetes %s cannot be emulated: %w", chosen, err)
	}
	if err := fixFeatures(); err != nil {
		return "", fmt.Errorf("Kubernetes %s cannot be emulated: %w", chosen, err)
	}
	return fmt.Sprintf("%d.%d", chosen.Major(), chosen.Minor()), nil
}

// fixFeatures sets each feature gate to the value that it has. Otherwise, each of the dozens of questions about one that
// the validation of an object asks compares versions for the answer.
func fixFeatures() error {
	features := map[string]bool{}
	for name := range utilfeature.DefaultMutableFeatureGate.GetAll() {
		// The gates of all features of a stage change others.
		if name != "AllAlpha" && name != "AllBeta" {
			features[string(name)] = utilfeature.DefaultFeatureGate.Enabled(name)
		}
	}
	return utilfeature.DefaultMutableFeatureGate.SetFromMap(features)
}

func clamp(wanted, lowest, highest *version.Version) *version.Version {
	if wanted.LessThan(lowest) {
		return lowest
	}
	if wanted.GreaterThan(highest) {
		return highest
	}
	return wanted
}
