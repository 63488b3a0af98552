package fetching

import (
	"context"
	"strings"
)

// Probe reports whether what an entry pins is still what its version or tag leads to. It changes nothing in the store.
func (f *Fetcher) Probe(ctx context.Context, pin Pin) Answer {
	var now Entry
	var err error
	switch {
	case pin.Entry.Manifest != "":
		now, err = f.probeArtifact(ctx, pin)
	case pin.Kind == kindHelm:
		now, err = f.probeRelease(ctx, pin)
	default:
		now, err = f.probeFile(ctx, pin)
	}
	result := answer(now, err)
	result.Moved = err == nil && (now.Digest != pin.Entry.Digest || now.Manifest != pin.Entry.Manifest)
	return result
}

// probeArtifact reads the manifest to which the tag of an entry leads; without a tag it reads the pinned one.
func (f *Fetcher) probeArtifact(ctx context.Context, pin Pin) (Entry, error) {
	address, err := parseAddress(pin.Entry.URL, schemeOCI)
	if err != nil {
		return Entry{}, err
	}
	reference := strings.ReplaceAll(pin.Entry.Version, "+", "_")
	if reference == "" || pin.Digest != "" {
		reference = pin.Entry.Manifest
	}
	found, err := f.openArtifact(ctx, address, reference)
	if err != nil {
		return Entry{}, err
	}
	layer, err := found.findLayer(pin.MediaType, pin.Kind == kindHelm)
	if err != nil {
		return Entry{}, err
	}
	now := pin.Entry
	now.Digest, now.Manifest, now.Size = layer.Digest.String(), found.digest.String(), layer.Size
	return now, nil
}

// probeRelease compares an entry with the index, or with the bytes where the index has no digest.
func (f *Fetcher) probeRelease(ctx context.Context, pin Pin) (Entry, error) {
	repository, err := parseAddress(pin.URL, "https", "http")
	if err != nil {
		return Entry{}, err
	}
	index, err := f.openIndex(ctx, repository, pin.PassCredentials)
	if err != nil {
		return Entry{}, err
	}
	shown := show(indexAddress(repository))
	releases, err := index.findReleases(pin.Chart)
	if err != nil {
		return Entry{}, brokenIndex(shown)
	}
	chosen, found := findExact(releases, pin.Entry.Version)
	if !found || len(chosen.urls) == 0 {
		return Entry{}, newFault("missing", "%s has no version %s of the chart %s any more; choose another version", shown, pin.Entry.Version, pin.Chart)
	}
	now := pin.Entry
	now.Deprecated = chosen.deprecated
	if digest := chosen.digestOfBytes(); digest != "" {
		if digest != now.Digest {
			// An index does not have it.
			now.Size = 0
		}
		now.Digest = digest
		return now, nil
	}
	address, err := resolveChart(repository, chosen.urls[0])
	if err != nil {
		return Entry{}, err
	}
	return f.probeAddress(ctx, now, source{address: address, repository: repository, passes: pin.PassCredentials})
}

func (f *Fetcher) probeFile(ctx context.Context, pin Pin) (Entry, error) {
	address, err := parseAddress(pin.URL, "https", "http")
	if err != nil {
		return Entry{}, err
	}
	return f.probeAddress(ctx, pin.Entry, fileSource(address))
}

// probeAddress reads the bytes of an address, and forgets them.
func (f *Fetcher) probeAddress(ctx context.Context, now Entry, from source) (Entry, error) {
	file, err := f.download(ctx, from, f.settings.MaxFileBytes)
	if err != nil {
		return Entry{}, err
	}
	defer file.discard()
	now.Digest, now.Size = file.digest(), file.size
	return now, nil
}

// brokenIndex is the fault of an index that cannot be parsed.
func brokenIndex(shown string) *Fault {
	return newFault("garbage", "%s is not the index of a chart repository that can be read; report it to its owner", shown)
}
