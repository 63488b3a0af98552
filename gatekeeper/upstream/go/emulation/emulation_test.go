package emulation

import (
	"testing"

	"k8s.io/apimachinery/pkg/util/version"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/component-base/featuregate"
)

func TestFeaturesHaveTheDefaultsOfTheEmulatedVersion(t *testing.T) {
	features := utilfeature.DefaultFeatureGate.(featuregate.MutableVersionedFeatureGate)
	want := features.DeepCopyAndReset()
	current := map[featuregate.Feature]bool{}
	for name := range features.GetAllVersioned() {
		current[name] = features.Enabled(name)
	}
	emulated, err := SetVersion("1.1")
	if err != nil {
		t.Fatal(err)
	}
	if err := want.SetEmulationVersion(version.MustParse(emulated)); err != nil {
		t.Fatal(err)
	}
	changed := 0
	for name, before := range current {
		if got := features.Enabled(name); got != want.Enabled(name) {
			t.Errorf("%s: got %t", name, got)
		} else if got != before {
			changed++
		}
	}
	if changed == 0 {
		t.Error("no feature has another default than in the newest version")
	}
}
