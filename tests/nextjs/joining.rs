//! Next.js has one render answer all who ask for the same page meanwhile.

use crate::application::Application;
use crate::page::generation;
use crate::support::{Answer, Client, Gate, Origin, Request, TOKEN, get};

/// What a proxy of that identity asks for when its last invalidation has this number.
fn render(number: u64) -> Request {
    get("/docs/posts/1").header("x-isr-since", format!("00000000000000aa.{number:016x}"))
}

#[tokio::test]
async fn a_render_that_began_before_an_invalidation_is_not_given_for_a_new_one() {
    let gate = Gate::new();
    let door = gate.clone();
    let post =
        |version: &str| Answer::page(r#"{ "id": 1, "title": "A post" }"#).header("x-data-version", version);
    let data = Origin::start(|_| Answer::status(404)).await;
    data.answer(move |request| if request.nth == 1 { post("1").when(&door) } else { post("2") });
    let application = Application::fixture().await;
    let mut next = application.server(&[
        ("DATA_URL", &format!("http://{}", data.address())),
        ("KUBE_ISR_URL", "http://127.0.0.1:1"),
        ("KUBE_ISR_TOKEN", TOKEN),
    ]);
    let address = next.listening("Ready").await;
    let mut older = Client::connect(address).await;
    older.write(&render(1).bytes()).await;
    data.received(1).await;

    // The data has changed by now, and the page is invalidated.
    let mut newer = Client::connect(address).await;
    newer.write(&render(2).bytes()).await;
    // By the time that this is answered, it waits for the older one or for data of its own.
    assert_eq!(Client::connect(address).await.get("/docs/edit").await.status, 200);
    gate.open();
    let (older, newer) = (older.read().await, newer.read().await);
    assert_eq!((older.status, older.header("x-nextjs-cache"), generation(&older).version), (200, "MISS", 1));
    assert!(
        generation(&newer).version == 2 || newer.header("x-nextjs-cache") == "STALE",
        "it is new, or says that it is not: {:?}",
        newer.headers
    );
    let again = Client::connect(address).await.send(&render(2)).await;
    assert_eq!(
        (again.header("x-nextjs-cache"), generation(&again).version),
        ("MISS", 2),
        "who asks again gets it"
    );
}
