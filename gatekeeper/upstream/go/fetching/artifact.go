package fetching

import (
	"context"
	"net/url"
	"regexp"
	"sort"
	"strings"

	"github.com/Masterminds/semver/v3"
)

// fetchRegistryChart fetches a chart of a HelmRepository of the type `oci`, or of a dependency with an OCI address.
func (f *Fetcher) fetchRegistryChart(ctx context.Context, repository *url.URL, request Request) (Entry, error) {
	address := *repository
	if request.Chart != "" {
		address.Path = strings.TrimSuffix(address.Path, "/") + "/" + request.Chart
	}
	version, err := f.chooseChartVersion(ctx, &address, request)
	if err != nil {
		return Entry{}, err
	}
	return f.fetchTaggedChart(ctx, &address, version)
}

// fetchTaggedChart fetches the chart with a version, which is its tag.
func (f *Fetcher) fetchTaggedChart(ctx context.Context, address *url.URL, version string) (Entry, error) {
	found, err := f.openArtifact(ctx, address, strings.ReplaceAll(version, "+", "_"))
	if err != nil {
		return Entry{}, err
	}
	layer, err := found.findLayer("", true)
	if err != nil {
		return Entry{}, err
	}
	entry, err := f.keepLayer(ctx, found, layer)
	entry.Version, entry.URL = version, show(address)
	return entry, err
}

// fetchReleaseFromRegistry fetches a release whose address in an index is that of a registry, with a tag or without.
func (f *Fetcher) fetchReleaseFromRegistry(ctx context.Context, address *url.URL, chosen release) (Entry, error) {
	without := *address
	path, tag, found := strings.Cut(address.Path, ":")
	if without.Path = path; !found {
		tag = chosen.version
	}
	entry, err := f.fetchTaggedChart(ctx, &without, tag)
	entry.Version, entry.Deprecated = chosen.version, chosen.deprecated
	return entry, err
}

// chooseChartVersion is the version of a chart in a registry. An exact version needs no list of tags.
//
// Source: `OCIChartRepository.GetChartVersion` of source-controller, `Client.ValidateReference` and `Client.Tags` of
// helm.sh/helm/v3/pkg/registry, and the use of `MaxVersion` in Argo CD.
func (f *Fetcher) chooseChartVersion(ctx context.Context, address *url.URL, request Request) (string, error) {
	parse := semver.NewVersion
	if request.Rule == "flux" || request.Rule == "" {
		parse = parseStrictly
	}
	if _, err := parse(request.Range); err == nil {
		return request.Range, nil
	}
	if _, err := parseRange(request.Range); err != nil {
		return "", versionFault(err, show(address), "chart", request.Range)
	}
	tags, err := f.listTags(ctx, address)
	if err != nil {
		return "", err
	}
	releases := []release{}
	for _, tag := range tags {
		version := strings.ReplaceAll(tag, "_", "+")
		if _, err := semver.StrictNewVersion(version); err == nil || request.Rule == "argocd" {
			releases = append(releases, release{version: version})
		}
	}
	sortVersions(releases)
	chosen, err := chooseRelease(releases, request.Range, request.Rule)
	if err != nil {
		return "", versionFault(err, show(address), "chart", request.Range)
	}
	return chosen.version, nil
}

// sortVersions sorts the highest version first, and those that are none last.
func sortVersions(releases []release) {
	parsed := map[string]*semver.Version{}
	for _, one := range releases {
		if version, err := semver.NewVersion(one.version); err == nil {
			parsed[one.version] = version
		}
	}
	sort.SliceStable(releases, func(i, j int) bool {
		first, second := parsed[releases[i].version], parsed[releases[j].version]
		if first == nil || second == nil {
			return first != nil
		}
		return first.GreaterThan(second)
	})
}

// fetchArtifact fetches what an OCIRepository refers to.
func (f *Fetcher) fetchArtifact(ctx context.Context, request Request) (Entry, error) {
	address, err := parseAddress(request.URL, schemeOCI)
	if err != nil {
		return Entry{}, err
	}
	reference, version, err := f.chooseReference(ctx, address, request)
	if err != nil {
		return Entry{}, err
	}
	found, err := f.openArtifact(ctx, address, reference)
	if err != nil {
		return Entry{}, err
	}
	layer, err := found.findLayer(request.MediaType, false)
	if err != nil {
		return Entry{}, err
	}
	entry, err := f.keepLayer(ctx, found, layer)
	if entry.Version = version; found.isChart() {
		entry.Version = strings.ReplaceAll(version, "_", "+")
	}
	entry.URL = show(address)
	if err == nil && request.Digest != "" && request.Tag != "" {
		entry.MovedTag = f.hasTagMoved(ctx, address, request)
	}
	return entry, err
}

// hasTagMoved reports whether a tag leads to another manifest than the digest beside it; a tag that cannot be read has not moved.
func (f *Fetcher) hasTagMoved(ctx context.Context, address *url.URL, request Request) bool {
	repositories, err := f.openRepositories(address)
	if err != nil {
		return false
	}
	described, err := repositories[len(repositories)-1].Resolve(ctx, request.Tag)
	return err == nil && described.Digest.String() != request.Digest
}

// chooseReference is the digest, or else the highest tag in a range, or else the tag, or else `latest`; and the tag.
//
// Source: `OCIRepositoryReconciler.getArtifactRef` of source-controller.
func (f *Fetcher) chooseReference(ctx context.Context, address *url.URL, request Request) (string, string, error) {
	switch {
	case request.Digest != "" && !isDigest(request.Digest):
		return "", "", newFault("refused-address", "the digest of %s is not sha256: and 64 digits; correct it", show(address))
	case request.Digest != "":
		return request.Digest, request.Tag, nil
	case request.Semver != "":
		tag, err := f.chooseTag(ctx, address, request)
		return tag, tag, err
	case strings.Contains(request.Tag, "@"):
		return "", "", newFault("refused-address", "the tag of %s contains a digest, which Flux refuses; write the digest into ref.digest", show(address))
	case request.Tag != "":
		return request.Tag, request.Tag, nil
	}
	return "latest", "latest", nil
}

// chooseTag is the highest tag in a range, among those that a filter lets pass.
//
// Source: `OCIRepositoryReconciler.getTagBySemver` of source-controller.
func (f *Fetcher) chooseTag(ctx context.Context, address *url.URL, request Request) (string, error) {
	constraint, err := semver.NewConstraint(request.Semver)
	if err != nil {
		return "", versionFault(errNoRange, show(address), "artifact", request.Semver)
	}
	filter, err := regexp.Compile(request.SemverFilter)
	if err != nil {
		return "", newFault("no-version", "the filter of tags of %s is no regular expression; correct semverFilter", show(address))
	}
	tags, err := f.listTags(ctx, address)
	if err != nil {
		return "", err
	}
	matching := semver.Collection{}
	for _, tag := range tags {
		version, err := parseStrictly(tag)
		if err == nil && filter.MatchString(tag) && constraint.Check(version) {
			matching = append(matching, version)
		}
	}
	if len(matching) == 0 {
		return "", versionFault(errNoVersion, show(address), "artifact", request.Semver)
	}
	sort.Sort(sort.Reverse(matching))
	return matching[0].Original(), nil
}

// fetchPinnedArtifact downloads the layer with the digest of an entry from the manifest that it pins.
func (f *Fetcher) fetchPinnedArtifact(ctx context.Context, pin Pin) (int64, error) {
	address, err := parseAddress(pin.Entry.URL, schemeOCI)
	if err != nil {
		return 0, err
	}
	if !isDigest(pin.Entry.Manifest) {
		return 0, newFault("garbage", "the entry of %s in the lock has a manifest without a sha256 digest; fetch it again", show(address))
	}
	found, err := f.openArtifact(ctx, address, pin.Entry.Manifest)
	if err != nil {
		return 0, err
	}
	for _, layer := range found.manifest.Layers {
		if layer.Digest.String() == pin.Entry.Digest {
			entry, err := f.keepLayer(ctx, found, layer)
			return entry.Size, err
		}
	}
	return 0, newFault("digest-mismatch", "%s has no layer with the digest that the lock names (%s); fetch it again", found.shown, pin.Entry.Digest)
}
