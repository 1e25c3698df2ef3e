// Command values writes the chart's values.yaml, and the table of values in its README, from values.schema.json: what a
// value means and what it is by default stands in one place.
//
//	values CHART          write both
//	values -check CHART   say which of them is not as it would be written, and fail
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"
)

const (
	start  = "<!-- values: written by `make chart` from values.schema.json -->\n"
	end    = "<!-- end of values -->\n"
	header = "# Written by `make chart` from values.schema.json.\n"
	// Characters in a line of a comment, its indentation included.
	width = 118
)

// A value of the chart, as its schema tells of it.
type value struct {
	path        []string
	description string
	// One of both: what it is by default, or what it consists of.
	byDefault *yaml.Node
	fields    []value
}

func main() {
	arguments := os.Args[1:]
	check := len(arguments) == 2 && arguments[0] == "-check"
	if check {
		arguments = arguments[1:]
	}
	if len(arguments) != 1 {
		fail("usage: values [-check] CHART")
	}
	chart := arguments[0]
	var document yaml.Node
	// JSON is YAML, and YAML nodes keep the order.
	if err := yaml.Unmarshal(read(filepath.Join(chart, "values.schema.json")), &document); err != nil {
		fail("values.schema.json: %v", err)
	}
	values := fields(nil, document.Content[0])

	var text bytes.Buffer
	text.WriteString(header)
	for _, value := range values {
		text.WriteByte('\n')
		write(&text, value, 0)
	}
	readme := read(filepath.Join(chart, "README.md"))
	before, rest, found := strings.Cut(string(readme), start)
	_, after, foundEnd := strings.Cut(rest, end)
	if !found || !foundEnd {
		fail("README.md: the lines %q and %q are missing", start, end)
	}
	table := "| value | default | meaning |\n|---|---|---|\n" + rows(values)

	settle(check, filepath.Join(chart, "values.yaml"), text.Bytes())
	settle(check, filepath.Join(chart, "README.md"), []byte(before+start+"\n"+table+"\n"+end+after))
}

// fields reads what an object consists of, and insists on what every schema of ours must say.
func fields(path []string, object *yaml.Node) []value {
	name := strings.Join(path, ".")
	if closed := member(object, "additionalProperties"); closed == nil || closed.Value != "false" {
		fail("values.schema.json: %s: write \"additionalProperties\": false, so that a misspelt name is refused", name)
	}
	var values []value
	properties := member(object, "properties")
	for i := 0; i < len(properties.Content); i += 2 {
		child := properties.Content[i+1]
		field := value{path: append(append([]string{}, path...), properties.Content[i].Value)}
		field.byDefault = member(child, "default")
		if description := member(child, "description"); description != nil {
			field.description = description.Value
		}
		if field.description == "" {
			fail("values.schema.json: %s has no description", strings.Join(field.path, "."))
		}
		if member(child, "properties") != nil {
			field.fields = fields(field.path, child)
		} else if field.byDefault == nil {
			fail("values.schema.json: %s has no default", strings.Join(field.path, "."))
		}
		values = append(values, field)
	}
	return values
}

func write(out *bytes.Buffer, value value, depth int) {
	indent := strings.Repeat("  ", depth)
	line := indent + "#"
	for _, word := range strings.Fields(value.description) {
		if len(line)+1+len(word) > width {
			fmt.Fprintln(out, line)
			line = indent + "#"
		}
		line += " " + word
	}
	fmt.Fprintln(out, line)
	name := indent + value.path[len(value.path)-1] + ":"
	if value.fields != nil {
		fmt.Fprintln(out, name)
		for _, field := range value.fields {
			write(out, field, depth+1)
		}
		return
	}
	if value.byDefault.Kind == yaml.MappingNode && len(value.byDefault.Content) > 0 {
		fmt.Fprintln(out, name)
		block(value.byDefault)
		var text bytes.Buffer
		encoder := yaml.NewEncoder(&text)
		encoder.SetIndent(2)
		if err := encoder.Encode(value.byDefault); err != nil {
			fail("%s: %v", strings.Join(value.path, "."), err)
		}
		for _, line := range strings.Split(strings.TrimSpace(text.String()), "\n") {
			fmt.Fprintln(out, indent+"  "+line)
		}
		return
	}
	fmt.Fprintln(out, name, compact(value.byDefault))
}

// block makes nodes that were read from JSON be written as people write YAML.
func block(node *yaml.Node) {
	node.Style = 0
	if node.Kind == yaml.SequenceNode {
		node.Style = yaml.FlowStyle
	}
	for _, child := range node.Content {
		block(child)
	}
}

func rows(values []value) string {
	var text strings.Builder
	for _, value := range values {
		if value.fields != nil {
			text.WriteString(rows(value.fields))
			continue
		}
		fmt.Fprintf(&text, "| `%s` | `%s` | %s |\n", strings.Join(value.path, "."), compact(value.byDefault),
			strings.ReplaceAll(value.description, "|", `\|`))
	}
	return text.String()
}

// compact is a default in one line. JSON is YAML too.
func compact(node *yaml.Node) string {
	var plain any
	if err := node.Decode(&plain); err != nil {
		fail("a default: %v", err)
	}
	text, err := json.Marshal(plain)
	if err != nil {
		fail("a default: %v", err)
	}
	return string(text)
}

func member(node *yaml.Node, name string) *yaml.Node {
	for i := 0; i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value == name {
			return node.Content[i+1]
		}
	}
	return nil
}

func settle(check bool, path string, text []byte) {
	if !check {
		if err := os.WriteFile(path, text, 0o644); err != nil {
			fail("%v", err)
		}
	} else if !bytes.Equal(read(path), text) {
		fail("%s is not what `make chart` writes from values.schema.json", path)
	}
}

func read(path string) []byte {
	text, err := os.ReadFile(path)
	if err != nil {
		fail("%v", err)
	}
	return text
}

func fail(format string, arguments ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", arguments...)
	os.Exit(1)
}
