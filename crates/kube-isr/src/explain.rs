//! `kube-isr explain`: why a URL is answered the way it is.

use std::io::Write;
use std::process::ExitCode;

use anyhow::bail;
use isr_routes::{Answer, Backend, Explanation, Page, compile, describe_policy, explain};

use crate::args::ExplainArgs;
use crate::files;

/// Prints which route answers, and why the others do not.
pub(crate) fn run(args: &ExplainArgs, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let manifests = files::read(&args.routes)?;
    let compiled = compile(&manifests.routes, &manifests.references, &args.installation.options());
    let explanation = match explain(&manifests.routes, &compiled, &args.url, &args.headers) {
        Ok(explanation) => explanation,
        Err(wrong) => bail!("{wrong}"),
    };
    print(&explanation, out)?;
    let unread = manifests.fatal.len() + manifests.problems.len();
    if unread > 0 {
        writeln!(out, "\nSome manifests could not be read, see: kube-isr check")?;
    }
    Ok(ExitCode::SUCCESS)
}

fn print(explanation: &Explanation, out: &mut impl Write) -> anyhow::Result<()> {
    match &explanation.answer {
        Answer::Page(page) => print_page(page, &explanation.path, out)?,
        Answer::Pass { backend, why } => {
            writeln!(out, "answer    passed through, uncached: {why}")?;
            print_backend(backend, out)?;
        }
        Answer::NoRoute { hostname, paths } => {
            writeln!(
                out,
                "answer    404: no route of {hostname} matches, and its routes name several backends"
            )?;
            writeln!(out, "paths     {}", paths.join(", "))?;
        }
        Answer::UnknownHost { hostnames } => {
            writeln!(out, "answer    421: no route names the host {}", explanation.host)?;
            writeln!(out, "hosts     {}", hostnames.join(", "))?;
        }
    }
    for (place, other) in explanation.others.iter().enumerate() {
        let label = if place == 0 { "lost" } else { "" };
        writeln!(out, "{label:<9} {} {}: {}", other.object, other.path, other.why)?;
    }
    Ok(())
}

fn print_page(page: &Page, path: &str, out: &mut impl Write) -> anyhow::Result<()> {
    let Page { route, render, .. } = page;
    writeln!(out, "answer    IsrRoute {}: {} {}", route.id, route.hostnames.join(", "), route.path)?;
    if let Some(why) = &page.bypass {
        writeln!(out, "bypass    this request goes past the cache: {why}")?;
    }
    writeln!(out, "policy    {}", describe_policy(&route.policy))?;
    let on_demand = if route.tokens.is_empty() {
        "refused: no bypass token is in force"
    } else {
        "with the header x-prerender-revalidate: <token>"
    };
    writeln!(out, "on demand {on_demand}")?;
    if page.path != path {
        writeln!(out, "page      this is data of the page {}", page.path)?;
    } else if let Some(when) = prerendered(page) {
        writeln!(out, "prerender {when}")?;
    }
    writeln!(out, "key       {}", page.key)?;
    writeln!(out, "group     {}", page.group)?;
    print_backend(&route.backend, out)?;
    writeln!(out, "render    GET {}", render.path_and_query)?;
    for (name, value) in &render.headers {
        writeln!(out, "          {name}: {}", String::from_utf8_lossy(value.as_bytes()))?;
    }
    Ok(())
}

/// Whether somebody has to ask before it is rendered; nothing when that is so.
fn prerendered(page: &Page) -> Option<String> {
    let prerender = page.route.prerender.as_ref()?;
    if prerender.paths.contains(&page.path) {
        return Some("before anybody asks: spec.prerender.paths names it".to_owned());
    }
    Some(match &prerender.sitemap {
        Some(sitemap) => format!("before anybody asks, if {sitemap} lists it"),
        None => "no: spec.prerender.paths does not name it".to_owned(),
    })
}

fn print_backend(backend: &Backend, out: &mut impl Write) -> anyhow::Result<()> {
    match &backend.address {
        Ok(address) => writeln!(out, "backend   {} at {address}", backend.name)?,
        Err(why) => writeln!(out, "backend   {}: {why}", backend.name)?,
    }
    Ok(())
}
