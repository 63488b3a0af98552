package fetching

import (
	"testing"

	"github.com/Masterminds/semver/v3"
)

func TestTheOwnerChoosesTheVersion(t *testing.T) {
	versions := []string{"01.2.3", "1.2", "v1.2.3", "1.2.3", "1.2.4-rc.1", "2.0.0+a", "2.0.0+b", "2.0.0-alpha", "v3", "3.1.0-0"}
	releases := []release{}
	for _, version := range versions {
		releases = append(releases, release{version: version})
	}
	sortAsHelm(releases)
	for _, one := range []struct{ required, flux, argocd string }{
		{"1.2.3", "1.2.3", "1.2.3"},
		{"v1.2.3", "v1.2.3", "v1.2.3"},
		{"1.2", "1.2", "1.2"},
		{"~1.2.3-0", "1.2.4-rc.1", "1.2.4-rc.1"},
		{"=2.0.0", "2.0.0+a", "2.0.0+a"},
		{"<2.0.0", "1.2.3", "1.2.3"},
		{"", "2.0.0+a", "v3"},
		{"  >= 1.0.0 ,  < 2.0.0 ", "1.2.3", "1.2.3"},
		{"^3.0.0-0", "3.1.0-0", "3.1.0-0"},
		{"9.x", "", ""},
	} {
		for rule, expected := range map[string]string{"flux": one.flux, "argocd": one.argocd} {
			got, err := chooseRelease(releases, one.required, rule)
			same := got.version == expected
			if !same && expected != "" && got.version != "" {
				// Equal versions have the order of Helm's sort, which is not stable.
				first, _ := semver.NewVersion(got.version)
				second, _ := semver.NewVersion(expected)
				same = first != nil && second != nil && first.Equal(second)
			}
			if (err != nil) != (expected == "") || !same {
				t.Errorf("%s %q: got %q, %v", rule, one.required, got.version, err)
			}
		}
	}
}
