//go:build !linux

package main

import (
	"context"
	"errors"
	"net"
	"net/http"
)

// forbidConnections makes Go refuse to resolve names and to connect.
func forbidConnections() error {
	refuse := func(context.Context, string, string) (net.Conn, error) {
		return nil, errors.New("connections are forbidden")
	}
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: refuse}
	http.DefaultTransport = &http.Transport{DialContext: refuse}
	return nil
}
