// Command schemas writes what kubeconform judges manifests by: one JSON Schema for each kind, from the OpenAPI document of
// a Kubernetes release, or from CustomResourceDefinitions. Unknown fields are refused.
//
//	schemas OUT swagger.json     the kinds of Kubernetes
//	schemas OUT crd.yaml…        the kinds of these definitions
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"
)

type object = map[string]any

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: schemas OUT swagger.json|crd.yaml…")
		os.Exit(64)
	}
	out := os.Args[1]
	err := os.MkdirAll(out, 0o755)
	for _, file := range os.Args[2:] {
		if err == nil {
			err = convert(out, file)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func convert(out, file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if filepath.Ext(file) == ".json" {
		var swagger struct{ Definitions map[string]object }
		if err := json.Unmarshal(text, &swagger); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		return kubernetes(out, swagger.Definitions)
	}
	documents := yaml.NewDecoder(bytes.NewReader(text))
	for {
		var document object
		if err := documents.Decode(&document); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		if document["kind"] == "CustomResourceDefinition" {
			if err := custom(out, document["spec"].(object)); err != nil {
				return err
			}
		}
	}
}

// kubernetes writes all definitions into one file, and for each kind one that refers to it.
func kubernetes(out string, definitions map[string]object) error {
	for name, definition := range definitions {
		if strings.HasSuffix(name, ".resource.Quantity") {
			definition["type"] = []any{"string", "number"}
		}
		closed(definition)
	}
	if err := write(out, "_definitions.json", object{"definitions": definitions}); err != nil {
		return err
	}
	for name, definition := range definitions {
		kinds, _ := definition["x-kubernetes-group-version-kind"].([]any)
		// Types such as DeleteOptions belong to every group; none of them is applied.
		if len(kinds) != 1 {
			continue
		}
		kind := kinds[0].(object)
		file := fileName(kind["group"].(string), kind["version"].(string), kind["kind"].(string))
		if err := write(out, file, object{"$ref": "_definitions.json#/definitions/" + name}); err != nil {
			return err
		}
	}
	return nil
}

func custom(out string, spec object) error {
	kind := spec["names"].(object)["kind"].(string)
	for _, version := range spec["versions"].([]any) {
		version := version.(object)
		schema := version["schema"].(object)["openAPIV3Schema"].(object)
		// These are true of every resource and stand in no definition.
		fields := schema["properties"].(object)
		for _, name := range []string{"apiVersion", "kind"} {
			fields[name] = object{"type": "string"}
		}
		fields["metadata"] = object{"type": "object"}
		closed(schema)
		if err := write(out, fileName(spec["group"].(string), version["name"].(string), kind), schema); err != nil {
			return err
		}
	}
	return nil
}

// closed refuses fields that a schema does not name, in all of its depth, and says in JSON Schema what OpenAPI says in
// extensions.
func closed(node any) {
	switch node := node.(type) {
	case []any:
		for _, child := range node {
			closed(child)
		}
	case object:
		if node["format"] == "int-or-string" || node["x-kubernetes-int-or-string"] == true {
			node["type"] = []any{"string", "integer"}
			delete(node, "format")
		}
		_, has := node["properties"].(object)
		_, open := node["additionalProperties"]
		if has && !open && node["x-kubernetes-preserve-unknown-fields"] != true {
			node["additionalProperties"] = false
		}
		for _, child := range node {
			closed(child)
		}
	}
}

// fileName is what kubeconform's template {{.Group}}_{{.ResourceKind}}_{{.ResourceAPIVersion}} comes to. Its name for the
// group that has none is the version.
func fileName(group, version, kind string) string {
	if group == "" {
		group = version
	}
	return fmt.Sprintf("%s_%s_%s.json", group, strings.ToLower(kind), version)
}

func write(out, file string, content any) error {
	text, err := json.Marshal(content)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(out, file), text, 0o644)
}
