//! What a person sees in a browser: following a link shows what loading the page shows.

use crate::browser::visit;
use crate::framework::Framework;
use crate::site::Site;

/// From the list to a post and back, by links and by full loads.
pub async fn navigation(framework: &Framework) {
    let site = Site::start(framework, "1h").await;
    let path = framework.post("1");
    // Twice: with nothing stored, and with everything stored.
    for round in ["cold", "warm"] {
        let why = format!("{}, {round}", framework.name);
        let seen = visit(site.proxy.address(), framework.list, &path).await;
        assert_eq!(seen.complaints, [""; 0], "{why}: neither errors nor failed hydration");
        assert_eq!(seen.documents, [framework.list], "{why}: the link is followed without a reload");
        assert_eq!(seen.by_link, seen.by_load, "{why}: the same content by link and by load");
        assert_eq!(seen.list_by_link, seen.list, "{why}: and back");
        assert!(seen.by_link.contains("Pages that are never rebuilt"), "{why}: the post: {:?}", seen.by_link);
    }
    // A new generation reaches who follows a link as well as who loads the page.
    site.edit(1, "As a browser sees it").await;
    for path in [framework.list, &path] {
        let demand = crate::support::get(path).revalidate(crate::support::TOKEN);
        site.send(&demand).await.is_revalidated(200, framework.name);
    }
    let seen = visit(site.proxy.address(), framework.list, &path).await;
    assert_eq!(seen.complaints, [""; 0], "{}", framework.name);
    assert_eq!(seen.by_link, seen.by_load, "{}: the same content by link and by load", framework.name);
    assert!(
        seen.by_link.contains("As a browser sees it"),
        "{}: the new title: {:?}",
        framework.name,
        seen.by_link
    );
}
