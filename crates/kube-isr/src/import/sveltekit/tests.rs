use super::*;

/// A part of what SvelteKit 3.2 writes into `.svelte-kit/output/server/manifest-full.js`.
const MANIFEST: &str = r#"export const manifest = (() => {
function __memo(fn) {
	let value;
	return () => value ??= (value = fn());
}

return {
	app_dir: "_app",
	app_path: "shop/_app",
	assets: new Set(["favicon.svg"]),
	mime_types: {".svg":"image/svg+xml"},
	client: {start:"_app/immutable/entry/start.js",imports:["_app/a.js"]},
	nodes: [
		__memo(() => import('./nodes/0.js')),
		__memo(() => import('./nodes/1.js')),
		__memo(() => import('./nodes/2.js')),
		__memo(() => import('./nodes/3.js')),
		__memo(() => import('./nodes/4.js')),
		__memo(() => import('./nodes/5.js'))
	],
	remotes: {
		
	},
	routes: [
		{
			id: "/",
			pattern: /^\/$/,
			params: [],
			page: { layouts: [0,], errors: [1,], leaf: 3 },
			endpoint: null
		},
		{
			id: "/(marketing)/about",
			pattern: /^\/about\/?$/,
			params: [],
			page: { layouts: [0,], errors: [1,], leaf: 4 },
			endpoint: null
		},
		{
			id: "/api",
			pattern: /^\/api\/?$/,
			params: [],
			page: null,
			endpoint: __memo(() => import('./entries/endpoints/api/_server.js'))
		},
		{
			id: "/docs/[...rest]",
			pattern: /^\/docs(?:\/([^]*))?\/?$/,
			params: [{"name":"rest","optional":false,"rest":true,"chained":true}],
			page: { layouts: [0,2,], errors: [1,,], leaf: 3 },
			endpoint: null
		},
		{
			id: "/app",
			pattern: /^\/app\/?$/,
			params: [],
			page: { layouts: [0,], errors: [1,], leaf: 5 },
			endpoint: null
		},
		{
			id: "/docs/mine",
			pattern: /^\/docs\/mine\/?$/,
			params: [],
			page: { layouts: [0,,], errors: [1,,], leaf: 3 },
			endpoint: null
		}
	],
	prerendered_routes: new Set(["/about"]),
	matchers: async () => {
		return {};
	},
	server_assets: {}
}
})();
"#;

/// The modules of that build.
fn module(file: &str) -> anyhow::Result<String> {
    let node = |kind: &str, path: &str| {
        format!(
            "import * as {kind} from '../entries/pages/{path}';\n\nexport const index = 0;\nexport {{ {kind} }};\n"
        )
    };
    Ok(match file {
        "nodes/0.js" | "nodes/1.js" | "nodes/3.js" => "export const index = 3;\nlet component_cache;\n".to_owned(),
        "nodes/2.js" => node("universal", "docs/_layout.js") + &node("server", "docs/_layout.server.js"),
        "nodes/5.js" => {
            "export const universal = {\n  \"ssr\": false,\n  \"config\": { \"isr\": { \"expiration\": 5 } }\n};\n".to_owned()
        }
        "nodes/4.js" => node("universal", "(marketing)/about/_page.js"),
        "entries/pages/docs/_layout.js" => {
            "var config = { isr: { expiration: false }, runtime: \"nodejs\" };\nexport { config };\n".to_owned()
        }
        "entries/pages/docs/_layout.server.js" => {
            "import { t } from \"../x.js\";\nvar config$1 = { isr: {\n\texpiration: 60,\n\tbypassToken: t,\n\tallowQuery: [\"page\"]\n} };\nexport { config$1 as config };\n".to_owned()
        }
        "entries/pages/(marketing)/about/_page.js" => {
            "var prerender = true;\nvar config = { isr: { expiration: 10 } };\nexport { config, prerender };\n".to_owned()
        }
        "entries/endpoints/api/_server.js" => {
            "const config = { isr: { expiration: SECONDS } };\nfunction GET() {}\nexport { GET, config };\n".to_owned()
        }
        other => bail!("no {other}"),
    })
}

#[test]
fn routes_become_pages() {
    let build = pages(MANIFEST, &module).expect("a build");
    let found: Vec<(&str, Every)> =
        build.pages.iter().map(|page| (page.path.as_str(), page.interval)).collect();
    assert_eq!(
        found,
        [
            ("/shop/api", Every::Unsaid),
            ("/shop/docs/[[...rest]]", Every::Seconds(60)),
            ("/shop/app", Every::Seconds(5))
        ]
    );
    assert_eq!(build.pages[1].query, ["page"]);
    assert_eq!(build.pages[1].source, "src/routes/docs/[...rest], isr.expiration: 60 (config)");
    let others: Vec<&str> = build.others.iter().map(|other| other.path.as_str()).collect();
    assert_eq!(others, ["/shop", "/shop/docs/mine"], "what has no isr, but not what was prerendered");
    assert_eq!(build.notes, ["The isr.expiration of /api is not said literally: write its interval."]);
}

#[test]
fn ids_become_paths() {
    for (id, expected) in [
        ("/", &["/"][..]),
        ("/(group)/blog-posts/[slug=integer]", &["/blog-posts/[slug]"]),
        ("/[[lang]]/home", &["/home", "/[lang]/home"]),
        ("/[[lang=lang]]", &["/", "/[lang]"]),
        ("/docs/[...path]", &["/docs/[[...path]]"]),
        ("/[x+2e]well-known/caf[u+00e9]", &["/.well-known/caf%C3%A9"]),
    ] {
        assert_eq!(paths(id).expect(id), expected);
    }
    for id in ["/[...rest]/edit", "/[slug].json", "/a-[b]-[c]"] {
        assert_eq!(paths(id), None, "{id}");
    }
}

#[test]
fn what_a_matcher_tells_apart_is_one_route() {
    let page = |path: &str, seconds| Page {
        path: path.to_owned(),
        interval: Every::Seconds(seconds),
        source: path.to_owned(),
        ..Page::default()
    };
    let mut build =
        Build { pages: vec![page("/[id]", 60), page("/[name]", 10), page("/a", 5)], ..Build::default() };
    merge(&mut build);
    assert_eq!(build.pages.len(), 2);
    assert_eq!(build.pages[0].interval, Every::Seconds(10));
    assert_eq!(build.pages[0].source, "/[id]; and /[name]");
    let two = MANIFEST
        .replace("\"/docs/[...rest]\"", "\"/docs/[id=integer]\"")
        .replace("\"/app\"", "\"/docs/[name]\"");
    let build = pages(&two, &module).expect("a build");
    let found: Vec<(&str, Every)> =
        build.pages.iter().map(|page| (page.path.as_str(), page.interval)).collect();
    assert_eq!(found, [("/shop/api", Every::Unsaid), ("/shop/docs/[id]", Every::Seconds(5))]);
}

#[test]
fn what_is_no_build_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let said = format!("{:#}", read(folder.path()).expect_err("nothing was built"));
    assert!(
        said.contains("holds no .svelte-kit/output/server/manifest.js: run vite build there first"),
        "{said}"
    );
    let said = format!("{:#}", pages("export {}", &module).expect_err("something else"));
    assert!(said.contains("it is not what SvelteKit 2 or 3 writes"), "{said}");
    let plain = MANIFEST
        .replace("leaf: 3", "leaf: 1")
        .replace("leaf: 5", "leaf: 1")
        .replace("./entries/endpoints/api/_server.js", "./nodes/1.js");
    let plain = plain.replace("layouts: [0,2,]", "layouts: [0,]");
    let said = format!("{:#}", pages(&plain, &module).expect_err("no page"));
    assert!(
        said.contains("no page has config.isr: write export const config = { isr: { expiration: 60 } }"),
        "{said}"
    );
}
