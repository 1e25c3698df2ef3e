use proptest::prelude::*;

use super::*;

fn text(text: &str) -> Literal {
    Literal::Text(text.to_owned())
}

fn unknown(source: &str) -> Literal {
    Literal::Unknown(source.to_owned())
}

#[test]
fn what_builds_write_is_read() {
    let source = r#"{ isr: /* ten */ { expiration: 10, 'bypassToken': TOKEN, allowQuery: ["page", 'q'], }, // more
        a: `t`, b: `t${x}`, c: 1e3, d: 31_536, e: !0, f: void 0, g: x ? 1 : 2, h: 60 * 60, i: call({ a: 1 }), j, ...k,
        l() { return "}" }, "m-n": null, q: /^\/[^/'"]+?\/?$/i, o: "\u00e9\n\"", p: -1 } rest"#;
    let read = read(source).expect("a value");
    let isr = read.get("isr");
    assert_eq!(isr.get("expiration").seconds(), Some(10));
    assert_eq!(isr.get("bypassToken"), &unknown("TOKEN"));
    assert_eq!(isr.get("allowQuery").texts(), ["page", "q"]);
    for (field, value) in [
        ("a", text("t")),
        ("b", unknown("`t${x}`")),
        ("c", Literal::Number(1000.0)),
        ("d", Literal::Number(31536.0)),
        ("e", Literal::Flag(true)),
        ("f", Literal::Nothing),
        ("g", unknown("x ? 1 : 2")),
        ("h", unknown("60 * 60")),
        ("i", unknown("call({ a: 1 })")),
        ("j", unknown("")),
        ("l", unknown("")),
        ("m-n", Literal::Nothing),
        ("o", text("é\n\"")),
        ("p", Literal::Number(-1.0)),
        ("q", unknown(r#"/^\/[^/'"]+?\/?$/i"#)),
        ("absent", Literal::Nothing),
    ] {
        assert_eq!(read.get(field), &value, "{field}");
    }
    assert_eq!(Literal::Number(-1.0).seconds(), None);
    assert_eq!(text("60").seconds(), Some(60));
}

#[test]
fn a_value_is_found_after_what_names_it() {
    let source = "const reconfig = 1; const config = { a: 1 }; x.config = 2;";
    assert_eq!(after(source, "config ="), [read("{a:1}").expect("a value")]);
}

fn any_value() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Into::into),
        (0_u32..1_000_000).prop_map(Into::into),
        ".{0,10}".prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 20, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            prop::collection::btree_map(".{1,6}", inner, 0..4)
                .prop_map(|fields| serde_json::Value::Object(fields.into_iter().collect())),
        ]
    })
}

fn of_json(value: &serde_json::Value) -> Literal {
    match value {
        serde_json::Value::Null => Literal::Nothing,
        serde_json::Value::Bool(flag) => Literal::Flag(*flag),
        serde_json::Value::Number(number) => Literal::Number(number.as_f64().expect("small")),
        serde_json::Value::String(text) => Literal::Text(text.clone()),
        serde_json::Value::Array(items) => Literal::List(items.iter().map(of_json).collect()),
        serde_json::Value::Object(fields) => {
            Literal::Object(fields.iter().map(|(name, value)| (name.clone(), of_json(value))).collect())
        }
    }
}

proptest! {
    #[test]
    fn json_is_read(value in any_value()) {
        prop_assert_eq!(read(&value.to_string()), Some(of_json(&value)));
        prop_assert_eq!(read(&format!("{value:#}")), Some(of_json(&value)));
    }

    #[test]
    fn any_text_is_read_without_a_fall(source in "[{}\\[\\]()'\"`:,;/*a0\\\\ \n.-]{0,60}") {
        let _ = read(&source);
    }
}
