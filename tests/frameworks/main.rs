//! The quickstart's blog in each framework, built and started as its users would, behind the proxy.
//!
//! What is promised is promised for every framework alike, so every test here is written once and runs for SvelteKit, Nuxt and
//! both routers of Next.js: `e2e_framework_sveltekit::interval_refresh` and so on. A [`Framework`](framework::Framework) says
//! what differs. Each test has its own data service, its own server of the application and its own proxy. What Next.js has beside
//! this (segments, redirects, its own cache, replicas) is the subject of the suite `nextjs`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(unreachable_pub, reason = "the kit says `pub` for what it offers to the suites")]

#[path = "../support/support.rs"]
#[allow(dead_code, unused_imports, reason = "the kit offers more than this suite needs")]
mod support;

// What starts programs, builds Next.js, reads its pages and listens on the wire is that suite's.
#[path = "../nextjs/application.rs"]
#[allow(dead_code, reason = "its suite needs more of it")]
mod application;
#[path = "../nextjs/page.rs"]
#[allow(dead_code, reason = "its suite needs more of it")]
mod page;
#[path = "../nextjs/process.rs"]
#[allow(dead_code, reason = "its suite needs more of it")]
mod process;
#[path = "../nextjs/tap.rs"]
#[allow(dead_code, reason = "its suite needs more of it")]
mod tap;

mod browser;
mod build;
mod framework;
mod site;

mod deploy;
mod failure;
mod freshness;
mod generations;
mod navigation;
mod privacy;

/// Every test, for every framework.
macro_rules! for_each_framework {
    ($($framework:ident: $value:ident),*) => { $(
        mod $framework {
            use crate::framework::$value as FRAMEWORK;

            #[tokio::test]
            async fn interval_refresh() {
                crate::freshness::interval_refresh(&FRAMEWORK).await;
            }

            #[tokio::test]
            async fn on_demand() {
                crate::freshness::on_demand(&FRAMEWORK).await;
            }

            #[tokio::test]
            async fn one_generation() {
                crate::generations::one_generation(&FRAMEWORK).await;
            }

            #[tokio::test]
            async fn one_generation_by_interval() {
                crate::generations::one_generation_by_interval(&FRAMEWORK).await;
            }

            #[tokio::test]
            async fn navigation() {
                crate::navigation::navigation(&FRAMEWORK).await;
            }

            #[tokio::test]
            async fn without_its_data() {
                crate::failure::without_its_data(&FRAMEWORK).await;
            }

            #[tokio::test]
            async fn without_the_application() {
                crate::failure::without_the_application(&FRAMEWORK).await;
            }

            #[tokio::test]
            async fn another_build() {
                crate::deploy::another_build(&FRAMEWORK).await;
            }

            #[tokio::test]
            async fn an_open_page_of_the_old_build() {
                crate::deploy::an_open_page_of_the_old_build(&FRAMEWORK).await;
            }

            #[tokio::test]
            async fn privacy() {
                crate::privacy::privacy(&FRAMEWORK).await;
            }

            #[tokio::test]
            async fn drafts() {
                crate::privacy::drafts(&FRAMEWORK).await;
            }
        }
    )* };
}

for_each_framework!(
    e2e_framework_sveltekit: SVELTE_KIT,
    e2e_framework_nuxt: NUXT,
    e2e_framework_nextjs_pages: NEXT_PAGES,
    e2e_framework_nextjs_app: NEXT_APP
);
