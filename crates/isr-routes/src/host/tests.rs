use super::{check_hostname, covers, normalise};

/// `HTTPRoute`'s hostnames: the syntax of its schema, and no IP addresses.
#[test]
fn hostnames_of_routes() {
    for good in [
        "example.com",
        "shop.example.com",
        "*.example.com",
        "localhost",
        "a",
        "1.example.com",
        "a-b.example.com",
        "xn--bcher-kva.example",
        "*.com",
        "my-service.default.svc.cluster.local",
    ] {
        assert_eq!(check_hostname(good), Ok(()), "{good}");
    }
    let table = [
        ("", "shop.example.com"),
        ("Shop.Example.com", "write shop.example.com"),
        ("https://shop.example.com/x", "write shop.example.com"),
        ("shop.example.com:8080", "write shop.example.com"),
        ("shop.example.com.", "write shop.example.com"),
        ("*", "*.example.com"),
        ("*.*.example.com", "*.example.com"),
        ("shop.*.com", "*.example.com"),
        ("*shop.example.com", "*.example.com"),
        ("127.0.0.1", "DNS name"),
        ("127.1", "DNS name"),
        ("2130706433", "DNS name"),
        ("[::1]", "DNS name"),
        ("::1", "DNS name"),
        ("-a.example.com", "label `-a`"),
        ("a-.example.com", "label `a-`"),
        ("a..example.com", "label ``"),
        (".example.com", "label ``"),
        ("my_shop.example.com", "label `my_shop`"),
        ("bücher.example", "label `bücher`"),
        ("shop example.com", "label"),
    ];
    for (bad, fix) in table {
        let message = check_hostname(bad).expect_err(bad);
        assert!(message.contains(fix), "{bad}: {message}");
    }
    assert!(check_hostname(&["a".repeat(63).as_str(); 4].join(".")).is_err(), "255 bytes");
    assert!(check_hostname(&"a".repeat(64)).is_err(), "a label of 64 bytes");
}

#[test]
fn wildcards_cover_one_or_more_labels() {
    for (hostname, host, expected) in [
        ("shop.example.com", "shop.example.com", true),
        ("shop.example.com", "a.shop.example.com", false),
        ("*.example.com", "shop.example.com", true),
        ("*.example.com", "a.b.example.com", true),
        ("*.example.com", "example.com", false),
        ("*.example.com", "badexample.com", false),
        ("*.example.com", "*.example.com", false),
        ("*.example.com", "*.shop.example.com", true),
    ] {
        assert_eq!(covers(hostname, host), expected, "{hostname} covers {host}");
    }
}

#[test]
fn a_host_in_its_normal_form_stays_within_the_bounds_of_names() {
    let label = "a".repeat(63);
    let longest = [&*label, &label, &label, &"a".repeat(61)].join(".");
    for host in ["a", "a.b-c.1_d", &label, &longest] {
        assert_eq!(normalise(host).as_deref(), Ok(host));
    }
    for host in
        ["", ".", "a..b", ".a", "a..", &format!("{label}a"), &format!("a.{label}a.b"), &format!("{longest}a")]
    {
        assert!(normalise(host).is_err(), "{host}");
    }
}
