package main

import (
	"context"

	"gatekeeper/upstream/helm"
)

// chartRequest contains the files of a chart, or its archive.
type chartRequest struct {
	Digest  string      `json:"digest"`
	Files   []helm.File `json:"files"`
	Archive []byte      `json:"archive"`
}

// addChart keeps a chart. A chart that Helm refuses to read is a fault of the chart, and no error of the call.
func (c *calls) addChart(_ context.Context, request chartRequest) (any, error) {
	add := func() error { return c.charts.Add(request.Digest, request.Files) }
	if len(request.Archive) > 0 {
		add = func() error { return c.charts.AddArchive(request.Digest, request.Archive) }
	}
	if err := add(); err != nil {
		return helm.Rendering{Fault: err.Error()}, nil
	}
	return helm.Rendering{}, nil
}

func (c *calls) renderChart(_ context.Context, request helm.Release) (any, error) {
	return c.charts.Render(request), nil
}
