//go:build tools

// Package traefik names the program that is built as it is, so that go.mod pins it.
package traefik

import _ "github.com/traefik/traefik/v3/cmd/traefik"
