//! The Service and the Secrets of a route.
//!
//! Nothing here takes a route out of force: without a backend its stored pages are still served, and without a token
//! only revalidation on demand is refused.

use std::sync::Arc;

use isr_api::{IsrRoute, MIN_TOKEN_CHARACTERS, SecretKeyRef, reason};

use super::Backends;
use crate::host;
use crate::references::{References, Service};
use crate::report::Report;
use crate::route::{Backend, Route};
use crate::token::{OriginToken, Tokens, digest};

/// Fills in where the backend is and what the tokens are.
pub(super) fn resolve(
    route: &mut Route,
    resource: &IsrRoute,
    references: &References,
    backends: &Backends,
    report: &mut Report,
) {
    let spec = &resource.spec;
    let namespace = report.object.namespace.clone();

    let reference = &spec.backend_ref;
    let service = references.services.get(&(namespace.clone(), reference.name.clone()));
    let address = address(&namespace, &reference.name, reference.port, service, backends);
    if let Err((field, wrong)) = &address {
        report.unresolved(reason::BACKEND_NOT_FOUND, *field, wrong.as_str());
    }
    route.backend =
        Arc::new(Backend { name: route.backend.name.clone(), address: address.map_err(|(_, wrong)| wrong) });

    if let Some(token) = &spec.bypass_token {
        let mut digests = Vec::with_capacity(2);
        match bypass_token(&namespace, &token.secret_key_ref, references) {
            Ok(value) => digests.push(digest(value.as_bytes())),
            Err((reason, part, wrong)) => {
                report.unresolved(reason, format!("spec.bypassToken.secretKeyRef{part}"), wrong);
            }
        }
        if let Some(previous) = &token.previous_secret_key_ref {
            match bypass_token(&namespace, previous, references) {
                Ok(value) => digests.push(digest(value.as_bytes())),
                // Before the first rotation there is no previous token; the one in use works without it.
                Err((_, part, wrong)) => {
                    report.warn(format!("spec.bypassToken.previousSecretKeyRef{part}"), wrong);
                }
            }
        }
        digests.dedup();
        route.tokens = Tokens::from_digests(digests);
    }

    if let Some(token) = &spec.origin_token {
        match secret_value(&namespace, &token.secret_key_ref, references) {
            Ok(value) => route.origin_token = OriginToken::new(value),
            Err((reason, part, wrong)) => {
                report.unresolved(reason, format!("spec.originToken.secretKeyRef{part}"), wrong);
            }
        }
    }
}

/// `host:port` of a Service, or the field that is wrong and a phrase about it.
fn address(
    namespace: &str,
    name: &str,
    port: i32,
    service: Option<&Service>,
    backends: &Backends,
) -> Result<String, (&'static str, String)> {
    const NAME: &str = "spec.backendRef.name";
    let Some(service) = service else {
        return Err((
            NAME,
            match backends {
                Backends::Standalone => format!(
                    "Service {namespace}/{name} does not exist: add a manifest of it with type: ExternalName, or correct the name"
                ),
                Backends::Cluster { .. } => {
                    format!("Service {namespace}/{name} does not exist: create it, or correct the name")
                }
            },
        ));
    };
    if !service.ports.contains(&port) {
        let ports: Vec<String> = service.ports.iter().map(ToString::to_string).collect();
        let fix = if ports.is_empty() {
            format!("has no ports: write ports: [{{port: {port}}}] in the Service")
        } else {
            format!(
                "has no port {port}: write one of its ports ({}), or add it to the Service",
                ports.join(", ")
            )
        };
        return Err(("spec.backendRef.port", format!("Service {namespace}/{name} {fix}")));
    }
    match (backends, &service.external_name) {
        (Backends::Cluster { domain }, None) => Ok(format!("{name}.{namespace}.svc.{domain}:{port}")),
        (Backends::Cluster { .. }, Some(_)) => Err((
            NAME,
            format!(
                "Service {namespace}/{name} is of type ExternalName, which could point anywhere and is refused in a cluster: use a Service with a selector, or one with EndpointSlices of your own"
            ),
        )),
        (Backends::Standalone, Some(external)) => {
            let shown = if external.contains(':') { format!("[{external}]") } else { external.clone() };
            match host::normalise(&shown) {
                Ok(host) => Ok(format!("{host}:{port}")),
                Err(_) => Err((
                    NAME,
                    format!(
                        "Service {namespace}/{name} has the externalName `{external}`, which is neither a DNS name nor an IP address: write one such as 127.0.0.1, without scheme and port"
                    ),
                )),
            }
        }
        (Backends::Standalone, None) => Err((
            NAME,
            format!(
                "Service {namespace}/{name} has no address outside a cluster: write type: ExternalName and externalName: 127.0.0.1 (or another host) in the Service"
            ),
        )),
    }
}

/// Why a token cannot be used: the condition's reason, which part of the reference it is about, and a phrase.
type Unusable = (&'static str, &'static str, String);

fn bypass_token(namespace: &str, at: &SecretKeyRef, references: &References) -> Result<String, Unusable> {
    let value = secret_value(namespace, at, references)?;
    let characters = value.len();
    if characters < MIN_TOKEN_CHARACTERS {
        let wrong = format!(
            "key {} of Secret {namespace}/{} has {characters} characters: write a random value of {MIN_TOKEN_CHARACTERS} or more, such as the output of `openssl rand -hex 32`",
            at.key, at.name
        );
        return Err((reason::INVALID_TOKEN, ".key", wrong));
    }
    Ok(value)
}

/// The value of a key, without the line end that editors and `echo` leave behind.
fn secret_value(namespace: &str, at: &SecretKeyRef, references: &References) -> Result<String, Unusable> {
    let name = (namespace.to_owned(), at.name.clone());
    if let Some(why) = references.unreadable.get(&name) {
        let wrong = format!("Secret {namespace}/{} cannot be read: {why}", at.name);
        return Err((reason::SECRET_NOT_READABLE, ".name", wrong));
    }
    let Some(secret) = references.secrets.get(&name) else {
        let wrong = format!("Secret {namespace}/{} does not exist: create it, or correct the name", at.name);
        return Err((reason::SECRET_NOT_FOUND, ".name", wrong));
    };
    let Some(value) = secret.data.get(&at.key) else {
        let keys: Vec<&str> = secret.data.keys().map(String::as_str).collect();
        let has = if keys.is_empty() { "no keys".into() } else { format!("only {}", keys.join(", ")) };
        let wrong = format!(
            "Secret {namespace}/{} has no key `{}` ({has}): add the key, or write one that exists",
            at.name, at.key
        );
        return Err((reason::SECRET_NOT_FOUND, ".key", wrong));
    };
    let value = value.trim_ascii();
    if value.is_empty() || !value.iter().all(u8::is_ascii_graphic) {
        let wrong = format!(
            "key {} of Secret {namespace}/{} cannot be sent in a header: write printable ASCII without spaces, such as the output of `openssl rand -hex 32`",
            at.key, at.name
        );
        return Err((reason::INVALID_TOKEN, ".key", wrong));
    }
    Ok(String::from_utf8_lossy(value).into_owned())
}
