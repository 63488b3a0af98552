package fetching

import (
	"fmt"
	"sort"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"
)

// release is a version of a chart, as an index describes it.
type release struct {
	version    string
	urls       []string
	digest     string
	created    time.Time
	deprecated bool
}

// digestOfBytes is the digest of a release in the form of the store; empty if the index has none.
func (r release) digestOfBytes() string {
	digest := strings.ToLower(strings.TrimSpace(r.digest))
	if digest == "" {
		return ""
	}
	return digestPrefix + strings.TrimPrefix(digest, digestPrefix)
}

// errNoVersion and errNoRange are without context, which the caller adds.
var (
	errNoVersion = fmt.Errorf("no version satisfies the range")
	errNoRange   = fmt.Errorf("the range cannot be parsed")
)

// chooseRelease is the release that the owner of a reference would take. The releases are in the order of Helm.
func chooseRelease(releases []release, required, rule string) (release, error) {
	switch rule {
	case "helm":
		return chooseAsHelm(releases, required)
	case "argocd":
		return chooseAsArgoCD(releases, required)
	}
	return chooseAsFlux(releases, required)
}

// findExact is the release with a version, as a text.
func findExact(releases []release, version string) (release, bool) {
	for _, one := range releases {
		if version != "" && one.version == version {
			return one, true
		}
	}
	return release{}, false
}

// parseRange parses a range; an empty one allows all stable versions.
func parseRange(text string) (*semver.Constraints, error) {
	if text == "" {
		text = "*"
	}
	constraint, err := semver.NewConstraint(text)
	if err != nil {
		return nil, errNoRange
	}
	return constraint, nil
}

// parseStrictly parses a version as Flux does: three numbers, after a `v` or without it.
//
// Source: `ParseVersion` of github.com/fluxcd/pkg/version.
func parseStrictly(text string) (*semver.Version, error) {
	if _, err := semver.StrictNewVersion(strings.TrimPrefix(text, "v")); err != nil {
		return nil, err
	}
	return semver.NewVersion(text)
}

// chooseAsFlux takes the exact version, or else the highest; of equal ones that which was created last.
//
// Source: `ChartRepository.getChartVersion` of source-controller.
func chooseAsFlux(releases []release, required string) (release, error) {
	if one, found := findExact(releases, required); found {
		return one, nil
	}
	constraint, err := parseRange(required)
	if err != nil {
		return release{}, err
	}
	isNewer := func(one, chosen release) bool { return chosen.created.Before(one.created) }
	return chooseHighest(releases, constraint, parseStrictly, isNewer)
}

// chooseHighest takes the highest version that satisfies a range; of equal ones the first, unless a later one wins.
func chooseHighest(
	releases []release, constraint *semver.Constraints, parse func(string) (*semver.Version, error),
	wins func(one, chosen release) bool,
) (release, error) {
	var best *semver.Version
	var chosen release
	for _, one := range releases {
		version, err := parse(one.version)
		if err != nil || !constraint.Check(version) {
			continue
		}
		if best == nil || best.LessThan(version) || best.Equal(version) && wins(one, chosen) {
			best, chosen = version, one
		}
	}
	if best == nil {
		return release{}, errNoVersion
	}
	return chosen, nil
}

// chooseAsHelm takes the exact version, or else the first that satisfies the range.
//
// Source: `IndexFile.Get` of helm.sh/helm/v3/pkg/repo.
func chooseAsHelm(releases []release, required string) (release, error) {
	constraint, err := parseRange(required)
	if err != nil {
		return release{}, err
	}
	if one, found := findExact(releases, required); found {
		return one, nil
	}
	for _, one := range releases {
		if version, err := semver.NewVersion(one.version); err == nil && constraint.Check(version) {
			return one, nil
		}
	}
	return release{}, errNoVersion
}

// chooseAsArgoCD takes a version as a pin, which Helm finds then, and all else as a range, of which it takes the highest.
//
// Source: `MaxVersion` of github.com/argoproj/argo-cd/v3/util/versions.
func chooseAsArgoCD(releases []release, required string) (release, error) {
	if _, err := semver.NewVersion(required); err == nil {
		return chooseAsHelm(releases, required)
	}
	if one, found := findExact(releases, required); found {
		return one, nil
	}
	constraint, err := parseRange(required)
	if err != nil {
		return release{}, err
	}
	isFirst := func(release, release) bool { return false }
	return chooseHighest(releases, constraint, semver.NewVersion, isFirst)
}

// helmOrder sorts releases as Helm sorts those of an index, once it is reversed: the same calls lead to the same order
// of equal versions.
//
// Source: `ChartVersions.Less` of helm.sh/helm/v3/pkg/repo.
type helmOrder []release

func (h helmOrder) Len() int      { return len(h) }
func (h helmOrder) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h helmOrder) Less(i, j int) bool {
	first, err := semver.NewVersion(h[i].version)
	if err != nil {
		return true
	}
	second, err := semver.NewVersion(h[j].version)
	return err == nil && first.LessThan(second)
}

// sortAsHelm sorts releases, the highest version first.
func sortAsHelm(releases []release) { sort.Sort(sort.Reverse(helmOrder(releases))) }
