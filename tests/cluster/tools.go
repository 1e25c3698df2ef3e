//go:build tools

// Package cluster names the programs that are built as they are, so that go.mod pins them.
package cluster

import _ "go.etcd.io/etcd/server/v3"
