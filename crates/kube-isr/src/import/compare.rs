//! How manifests that are kept elsewhere differ from what a build says.
//!
//! Only what is imported is compared: people may add fields to an imported route, and routes of their own.

use isr_api::{IsrRoute, IsrRouteSpec, SecretKeyRef};
use isr_routes::manifest::Manifests;
use isr_routes::{ObjectRef, parse_duration};

use super::Framework;
use super::written::{LABEL, Route};

/// A line for each difference.
pub(super) fn differences(
    framework: Framework,
    routes: &[Route],
    kept: &Manifests,
    named: &str,
) -> Vec<String> {
    let mut found: Vec<String> = kept.fatal.iter().chain(&kept.problems).map(ToString::to_string).collect();
    let of_import = |resource: &&IsrRoute| {
        let label = resource.metadata.labels.as_ref().and_then(|labels| labels.get(LABEL));
        label.is_some_and(|label| label == framework.name())
    };
    let object = |resource: &IsrRoute| {
        let namespace = resource.metadata.namespace.as_deref().unwrap_or("default");
        ObjectRef::route(namespace, resource.metadata.name.as_deref().unwrap_or_default())
    };
    let at = |object: &ObjectRef, field: &str| match kept.locate(object, field) {
        Some((file, line)) => format!("{file}:{line}"),
        None => named.to_owned(),
    };
    for route in routes {
        let wanted = ObjectRef::route(&route.namespace, &route.name);
        let Some(resource) = kept.routes.iter().find(|resource| object(resource) == wanted) else {
            // By hand, or by an import with other arguments.
            let is_alike = |resource: &&IsrRoute| {
                let hostnames = &resource.spec.hostnames;
                resource.spec.path == route.path
                    && hostnames.iter().any(|host| route.hostnames.contains(host))
            };
            let hint = kept.routes.iter().find(is_alike).map_or_else(String::new, |alike| {
                format!(" ({} has that path: were --namespace and --name-prefix the same?)", object(alike))
            });
            found.push(format!("{named}: {wanted}: is missing, and the build has {}{hint}", route.path));
            continue;
        };
        for (field, is, wants) in fields(&resource.spec, route) {
            if is != wants {
                let absent = |value: Option<String>| value.unwrap_or_else(|| "absent".to_owned());
                let (is, wants) = (absent(is), absent(wants));
                found.push(format!(
                    "{}: {wanted}: {field}: is {is}, and the build says {wants}",
                    at(&wanted, field)
                ));
            }
        }
    }
    for resource in kept.routes.iter().filter(of_import) {
        let object = object(resource);
        let is_wanted = routes.iter().any(|route| ObjectRef::route(&route.namespace, &route.name) == object);
        if !is_wanted {
            let path = &resource.spec.path;
            found.push(format!(
                "{}: {object}: is imported, and the build has no {path}",
                at(&object, "spec.path")
            ));
        }
    }
    found
}

/// Each imported field: its name, what it is, and what it should be.
fn fields(spec: &IsrRouteSpec, route: &Route) -> Vec<(&'static str, Option<String>, Option<String>)> {
    let list = |items: &[String]| (!items.is_empty()).then(|| items.join(", "));
    let reference = |secret: &SecretKeyRef| format!("{}/{}", secret.name, secret.key);
    let wanted =
        |secret: &Option<(String, String)>| secret.as_ref().map(|(name, key)| format!("{name}/{key}"));
    let mut fields = vec![
        ("spec.hostnames", list(&spec.hostnames), list(&route.hostnames)),
        ("spec.path", Some(spec.path.clone()), Some(route.path.clone())),
        (
            "spec.framework",
            spec.framework.map(|framework| format!("{framework:?}")),
            Some(route.framework.to_owned()),
        ),
        ("spec.backendRef.name", Some(spec.backend_ref.name.clone()), Some(route.service.clone())),
        ("spec.backendRef.port", Some(spec.backend_ref.port.to_string()), Some(route.port.to_string())),
    ];
    let query = spec.query.as_ref().map_or(&[][..], |query| &query.allow);
    // People may have named others besides.
    let has_header = |name: &&String| {
        let named = spec.vary_by.iter().flat_map(|vary_by| &vary_by.headers);
        named.into_iter().any(|header| header.eq_ignore_ascii_case(name))
    };
    let vary_by: Vec<String> = route.vary_by.iter().filter(has_header).cloned().collect();
    let bypass = spec.bypass_token.as_ref().map(|token| reference(&token.secret_key_ref));
    let origin = spec.origin_token.as_ref().map(|token| reference(&token.secret_key_ref));
    let prerender = spec.prerender.as_ref().map_or(&[][..], |prerender| &prerender.paths);
    // What neither the build nor the command line says is left to people.
    for (field, is, wants) in [
        ("spec.interval", interval(spec, route), route.interval.clone()),
        ("spec.query.allow", list(query), list(&route.query)),
        ("spec.defaultLocale", spec.default_locale.clone(), route.default_locale.clone()),
        ("spec.varyBy.headers", list(&vary_by), list(&route.vary_by)),
        ("spec.bypassToken.secretKeyRef", bypass, wanted(&route.bypass_token)),
        ("spec.originToken.secretKeyRef", origin, wanted(&route.origin_token)),
        ("spec.prerender.paths", list(prerender), list(&route.prerender)),
    ] {
        if wants.is_some() {
            fields.push((field, is, wants));
        }
    }
    fields
}

/// The interval, in the words of the build if it is as long: 60s is 1m.
fn interval(spec: &IsrRouteSpec, route: &Route) -> Option<String> {
    let kept = &spec.interval.as_ref()?.0;
    let same = route
        .interval
        .as_ref()
        .filter(|wanted| parse_duration(wanted).is_some() && parse_duration(wanted) == parse_duration(kept));
    Some(same.unwrap_or(kept).clone())
}
