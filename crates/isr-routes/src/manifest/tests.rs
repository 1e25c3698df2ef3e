use std::sync::Arc;

use proptest::prelude::*;

use super::{Body, File, Manifests, is_manifest, read};
use crate::report::ObjectRef;
use crate::{Backends, Options, compile};

const ROUTE: &str = "\
apiVersion: kube-isr.dev/v1alpha1
kind: IsrRoute
metadata: { name: blog, namespace: shop }
spec:
  hostnames: [shop.example.com]
  path: /blog/[slug]
  interval: 10s
  backendRef: { name: web, port: 3000 }
";

/// The problems as text, the fatal one first.
fn said(file: &File) -> Vec<String> {
    file.fatal.iter().chain(&file.problems).map(ToString::to_string).collect()
}

fn names(file: &File) -> Vec<String> {
    file.objects.iter().map(|object| object.object.to_string()).collect()
}

#[test]
fn objects_of_three_kinds_are_read() {
    let text = format!(
        "# a comment\n---\n{ROUTE}---\n\
apiVersion: v1
kind: Secret
metadata: {{ name: isr }}
type: Opaque
stringData: {{ token: plain, both: string }}
data: {{ encoded: cGxhaW4=, both: ZGF0YQ== }}
--- # the Service
apiVersion: v1
kind: Service
metadata: {{ name: web, namespace: shop }}
spec:
  type: ExternalName
  externalName: 127.0.0.1
  ports:
    - {{ name: http, port: 3000, targetPort: http, protocol: TCP }}
...
---
"
    );
    let file = read("a.yaml", &text);
    assert_eq!(said(&file), [""; 0]);
    assert_eq!(names(&file), ["IsrRoute shop/blog", "Secret default/isr", "Service shop/web"]);
    let [Body::Route(route), Body::Secret(secret), Body::Service(service)] =
        [0, 1, 2].map(|place: usize| file.objects[place].body.clone())
    else {
        panic!("three kinds");
    };
    assert_eq!(route.spec.path, "/blog/[slug]");
    assert_eq!(secret.data["token"], b"plain");
    assert_eq!(secret.data["encoded"], b"plain");
    assert_eq!(secret.data["both"], b"string", "stringData goes before data, as in a cluster");
    assert_eq!((service.external_name.as_deref(), &*service.ports), (Some("127.0.0.1"), &[3000][..]));
    assert!(!format!("{:?}", file.objects).contains("112, 108"), "a Secret's bytes are not printed");
}

#[test]
fn lists_json_and_windows_line_ends_are_read() {
    let item = format!("    {}\n", ROUTE.trim_end().replace('\n', "\n    "));
    let list = format!("apiVersion: v1\nkind: List\nitems:\n  -\n{item}");
    assert_eq!(names(&read("l.yaml", &list)), ["IsrRoute shop/blog"]);
    assert_eq!(
        names(&read("w.yaml", &format!("\u{feff}---\n{ROUTE}").replace('\n', "\r\n"))),
        ["IsrRoute shop/blog"]
    );
    let json =
        r#"{"apiVersion":"v1","kind":"Service","metadata":{"name":"web"},"spec":{"ports":[{"port":80}]}}"#;
    assert_eq!(names(&read("s.json", json)), ["Service default/web"]);
}

/// What `kubectl get -o yaml` prints is read as it is.
#[test]
fn what_a_cluster_prints_is_read() {
    let text = "\
apiVersion: kube-isr.dev/v1alpha1
kind: IsrRoute
metadata:
  annotations: { a: b }
  creationTimestamp: \"2026-01-01T00:00:00Z\"
  generation: 1
  managedFields: [{ manager: kubectl, operation: Apply, time: \"2026-01-01T00:00:00Z\" }]
  name: blog
  namespace: shop
  resourceVersion: \"1\"
  uid: 6c1e8f8a-0000-0000-0000-000000000000
spec:
  hostnames: [shop.example.com]
  path: /
  backendRef: { name: web, port: 3000 }
status:
  observedGeneration: -1
  conditions:
    - { type: Ready, status: Unknown, reason: Pending, message: \"\", lastTransitionTime: \"1970-01-01T00:00:00Z\" }
";
    let file = read("a.yaml", text);
    assert_eq!((said(&file), names(&file)), (vec![], vec!["IsrRoute shop/blog".to_owned()]));
}

/// Each row: what to change in a good route, and what must be said about it.
#[test]
fn mistakes_are_named_where_they_stand() {
    let table = [
        (
            "  interval: 10s",
            "  intervall: 10s",
            "a.yaml:7: error: IsrRoute shop/blog: spec.intervall: is not a known field: did you mean interval?",
        ),
        (
            "  interval: 10s",
            "  revalidate: 10s",
            "a.yaml:7: error: IsrRoute shop/blog: spec.revalidate: is not a known field: remove it, or write one of backendRef, bypass",
        ),
        (
            "port: 3000 }",
            "port: 3000, prot: 1 }",
            "a.yaml:8: error: IsrRoute shop/blog: spec.backendRef.prot: is not a known field: did you mean port?",
        ),
        (
            "  interval: 10s",
            "  bypass: [{ cokie: a }]",
            "spec.bypass[0].cokie: is not a known field: did you mean cookie?",
        ),
        (
            "  interval: 10s",
            "  bypassToken:\n    secretRef: {}",
            "a.yaml:7: error: IsrRoute shop/blog: spec.bypassToken.secretKeyRef: is missing: write secretKeyRef: {name: blog-isr, key: token}",
        ),
        (
            "kind: IsrRoute",
            "kind: IsrRoute\nhost: a",
            "a.yaml:3: error: IsrRoute shop/blog: host: is not a known field: remove it",
        ),
        (
            "metadata: { name: blog, namespace: shop }",
            "metadata: { name: blog, namespace: shop, lables: {} }",
            "metadata.lables: is not a known field: did you mean labels?",
        ),
        (
            "  path: /blog/[slug]\n",
            "",
            "a.yaml:4: error: IsrRoute shop/blog: spec.path: is missing: write path: /blog-posts/[slug]",
        ),
        (
            "[shop.example.com]",
            "shop.example.com",
            "a.yaml:5: error: IsrRoute shop/blog: spec.hostnames: holds the text \"shop.example.com\" where a list is expected",
        ),
        (
            "[shop.example.com]",
            "[1]",
            "spec.hostnames[0]: holds integer `1` where text is expected: put it in quotes",
        ),
        (
            "  path: /blog/[slug]",
            "  path: [blog]",
            "a.yaml:6: error: IsrRoute shop/blog: spec.path: holds a list where a string is expected",
        ),
        (
            "port: 3000",
            "port: http",
            "spec.backendRef.port: holds the text \"http\" where a whole number is expected",
        ),
        (
            "{ name: web, port: 3000 }",
            "web:3000",
            "spec.backendRef: holds the text \"web:3000\" where a mapping is expected",
        ),
        (
            "  interval: 10s",
            "  framework: Nextjs",
            "a.yaml:7: error: IsrRoute shop/blog: spec.framework: `Nextjs` is not known: write NextJs",
        ),
        (
            "  interval: 10s",
            "  framework: Rails",
            "spec.framework: `Rails` is not known: write NextJs, SvelteKit, Nuxt",
        ),
        (
            "v1alpha1",
            "v1",
            "a.yaml:1: error: apiVersion: `kube-isr.dev/v1` is not known: write kube-isr.dev/v1alpha1",
        ),
        (
            "kind: IsrRoute\n",
            "",
            "kind: is missing: write apiVersion: kube-isr.dev/v1alpha1 and kind: IsrRoute",
        ),
        ("name: blog, ", "", "a.yaml:3: error: metadata.name: of this IsrRoute is missing"),
        ("name: blog,", "name: Blog_1,", "metadata.name: `Blog_1` is not a name"),
        ("kind: IsrRoute", "kind: Deployment", "a.yaml:1: note: kind: Deployment is not read by kube-isr"),
    ];
    for (good, bad, expected) in table {
        assert!(ROUTE.contains(good), "{good}");
        let file = read("a.yaml", &ROUTE.replacen(good, bad, 1));
        let said = said(&file).join("\n");
        assert!(said.contains(expected), "{bad}:\n{said}\ninstead of\n{expected}");
        assert!(
            file.objects.is_empty() && file.fatal.is_none(),
            "{bad}: the object is left out, the file is not"
        );
    }
}

#[test]
fn secrets_are_never_quoted() {
    let secret = |body: &str| format!("apiVersion: v1\nkind: Secret\nmetadata: {{ name: isr }}\n{body}\n");
    for (body, expected) in [
        (
            "stringData: { token: 5551234 }",
            "a.yaml:4: error: Secret default/isr: stringData.token: must be text: put the value in quotes",
        ),
        ("data: { token: '5551234!' }", "a.yaml:4: error: Secret default/isr: data.token: is not base64"),
        ("data: { token: [5551234] }", "data.token: must be text"),
        ("data: 5551234", "data: must be a mapping"),
        ("stringdata: { token: '5551234' }", "stringdata: is not a known field: did you mean stringData?"),
        ("immutable: 5551234", "immutable: must hold a boolean"),
        ("type: [5551234]", "type: must hold a string"),
    ] {
        let file = read("a.yaml", &secret(body));
        let said = said(&file).join("\n");
        assert!(said.contains(expected), "{body}: {said}");
        assert!(!said.contains("5551234"), "{said}");
        assert!(file.objects.is_empty(), "{body}");
    }
    let broken = read("a.yaml", &secret("stringData: { token: \"5551234, more: 'x }"));
    assert!(broken.fatal.is_some() && !said(&broken).join("\n").contains("5551234"), "{:?}", said(&broken));
}

#[test]
fn services_without_what_they_need_are_named() {
    let service =
        |spec: &str| format!("apiVersion: v1\nkind: Service\nmetadata: {{ name: web }}\nspec: {spec}\n");
    for (spec, expected) in [
        ("{ type: ExternalName, ports: [{ port: 80 }] }", "spec.externalName: is missing"),
        ("{ externalname: a }", "spec.externalname: is not a known field: did you mean externalName?"),
        (
            "{ ports: [{ port: http }] }",
            "spec.ports[0].port: holds the text \"http\" where a whole number is expected",
        ),
    ] {
        let said = said(&read("a.yaml", &service(spec))).join("\n");
        assert!(said.contains(expected), "{spec}: {said}");
    }
}

#[test]
fn text_that_is_not_yaml_is_fatal_and_leaves_the_other_documents() {
    for (broken, line, hint) in [
        ("a: [1, 2\nb: }", 12, "check indentation"),
        ("hostnames: [*.example.com]", 11, "write \"*.example.com\""),
        ("a:\n\tb: 1", 12, "indent with spaces"),
        ("just some prose", 10, "not a Kubernetes object"),
        ("- a\n- b", 11, "not a Kubernetes object"),
        ("a: 1\na: 2", 12, "not YAML"),
    ] {
        let file = read(
            "a.yaml",
            &format!("\n{ROUTE}---\n{broken}\n---\n{}", ROUTE.replace("name: blog", "name: home")),
        );
        assert_eq!(names(&file), ["IsrRoute shop/blog", "IsrRoute shop/home"], "{broken}");
        let fatal = file.fatal.expect(broken);
        assert!(fatal.message.contains(hint), "{broken}: {fatal}");
        assert!(fatal.line.abs_diff(line) <= 1, "{broken}: {fatal}");
    }
}

#[test]
fn nothing_is_no_mistake() {
    for text in
        ["", "\n", "---\n", "# only a comment\n", "---\n# a\n---\n\n...\n", "null", "%YAML 1.2\n---\n"]
    {
        let file = read("a.yaml", text);
        assert_eq!((said(&file).len(), file.objects.len()), (0, 0), "{text:?}: {:?}", said(&file));
    }
}

#[test]
fn the_first_of_two_stands() {
    let changed = ROUTE.replace("10s", "20s");
    let manifests = Manifests::from_files([read("a.yaml", ROUTE), read("b.yaml", &format!("\n{changed}"))]);
    assert_eq!(manifests.routes.len(), 1);
    assert_eq!(manifests.routes[0].spec.interval.as_ref().map(ToString::to_string).as_deref(), Some("10s"));
    assert_eq!(
        manifests.problems.iter().map(ToString::to_string).collect::<Vec<_>>(),
        [
            "b.yaml:4: error: IsrRoute shop/blog: metadata.name: is defined a second time and ignored here; a.yaml:1 stands: remove one of the two, or give this IsrRoute another name"
        ]
    );
}

#[test]
fn fields_are_located() {
    let manifests = Manifests::from_files([read("a.yaml", &format!("---\n\n{ROUTE}"))]);
    let blog = ObjectRef::route("shop", "blog");
    for (field, line) in [
        ("spec.path", 8),
        ("spec.hostnames[0]", 7),
        ("spec.backendRef.port", 10),
        ("spec.bypassToken.secretKeyRef.name", 6),
        ("", 3),
        ("nonsense", 3),
    ] {
        assert_eq!(manifests.locate(&blog, field), Some(("a.yaml", line)), "{field}");
    }
    assert_eq!(manifests.locate(&ObjectRef::route("shop", "other"), ""), None);

    let options = Options { backends: Backends::Standalone, shared_hosts: false };
    let compiled = compile(&manifests.routes, &manifests.references, &options);
    let said: Vec<String> = manifests.diagnose(&compiled.reports).iter().map(ToString::to_string).collect();
    assert_eq!(said.len(), 1);
    assert!(
        said[0].starts_with(
            "a.yaml:10: error: IsrRoute shop/blog: spec.backendRef.name: Service shop/web does not"
        ),
        "{said:?}"
    );
}

#[test]
fn names_of_manifests() {
    for (name, expected) in [
        ("a.yaml", true),
        ("a.b.yml", true),
        ("a.json", true),
        (".a.yaml", false),
        ("..data", false),
        ("a.yaml~", false),
        ("a.yaml.swp", false),
        ("README.md", false),
        ("yaml", false),
    ] {
        assert_eq!(is_manifest(name), expected, "{name}");
    }
}

proptest! {
    /// Damage anywhere in a file never panics and never loses the documents beside it.
    #[test]
    fn damage_stays_within_its_document(at in any::<prop::sample::Index>(), junk in "[-:{}\\[\\]'\"#&*!|>% \\t\\na0]{1,6}") {
        let mut damaged = ROUTE.to_owned();
        damaged.insert_str(at.index(ROUTE.len()), &junk);
        let file = read("a.yaml", &format!("{damaged}\n---\n{}", ROUTE.replace("name: blog", "name: home")));
        let home = ObjectRef::route("shop", "home");
        prop_assert!(file.objects.iter().any(|object| object.object == home && object.file == Arc::from("a.yaml")));
        let lines = damaged.lines().count() + 1;
        for diagnostic in file.problems.iter().chain(&file.fatal) {
            prop_assert!((1..=lines + 1).contains(&diagnostic.line), "{}", diagnostic);
        }
    }
}
