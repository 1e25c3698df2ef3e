//! What is under way when something is invalidated is of before: a render that Next.js gives to all who ask meanwhile, and data
//! that the application keeps.

use std::net::SocketAddr;

use crate::application::Application;
use crate::page::generation;
use crate::process::Process;
use crate::support::{Answer, Client, Gate, Origin, PATIENCE, Request, TOKEN, eventually, get};

/// What a proxy of that identity asks for when its last invalidation has this number.
fn render(path: &str, number: u64) -> Request {
    get(path).header("x-isr-since", format!("00000000000000aa.{number:016x}"))
}

/// The post as the data service gives it, of this version of its data.
fn post(version: &str) -> Answer {
    Answer::page(r#"{ "id": 1, "title": "A post" }"#).header("x-data-version", version)
}

/// The fixture, whose data comes from there and whose kube-isr is away.
async fn start(application: &Application, data: &Origin) -> (Process, SocketAddr) {
    let mut next = application.server(&[
        ("DATA_URL", &format!("http://{}", data.address())),
        ("KUBE_ISR_URL", "http://127.0.0.1:1"),
        ("KUBE_ISR_TOKEN", TOKEN),
    ]);
    let address = next.listening("Ready").await;
    (next, address)
}

#[tokio::test]
async fn a_render_that_began_before_an_invalidation_is_not_given_for_a_new_one() {
    let gate = Gate::new();
    let door = gate.clone();
    let data = Origin::start(|_| Answer::status(404)).await;
    data.answer(move |request| if request.nth == 1 { post("1").when(&door) } else { post("2") });
    let application = Application::fixture().await;
    let (_next, address) = start(&application, &data).await;
    let mut older = Client::connect(address).await;
    older.write(&render("/docs/posts/1", 1).bytes()).await;
    data.received(1).await;

    // The data has changed by now, and the page is invalidated.
    let mut newer = Client::connect(address).await;
    newer.write(&render("/docs/posts/1", 2).bytes()).await;
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
    let again = Client::connect(address).await.send(&render("/docs/posts/1", 2)).await;
    assert_eq!(
        (again.header("x-nextjs-cache"), generation(&again).version),
        ("MISS", 2),
        "who asks again gets it"
    );
}

#[tokio::test]
async fn data_is_as_old_as_the_request_that_read_it() {
    let gate = Gate::new();
    let door = gate.clone();
    let data = Origin::start(|_| Answer::status(404)).await;
    data.answer(move |request| match (&*request.target, request.nth) {
        ("/blog/1", 1) => post("1").when(&door),
        ("/blog/1", _) => post("2"),
        _ => Answer::status(404),
    });
    let application = Application::fixture().await;
    let (_next, address) = start(&application, &data).await;
    let hear_of = async |number| {
        let other = Client::connect(address).await.send(&render("/docs/posts/2", number)).await;
        assert_eq!(other.status, 404, "{}", other.text());
    };
    hear_of(1).await;
    let mut visitor = Client::connect(address).await;
    visitor.write(&get("/docs/blog/1").bytes()).await;
    eventually("the data is asked for", PATIENCE, async || (data.count_of("/blog/1") == 1).then_some(()))
        .await;
    hear_of(2).await;
    gate.open();
    assert_eq!(generation(&visitor.read().await).version, 1);

    let of = async |number| {
        let page = Client::connect(address).await.send(&render("/docs/blog/1", number)).await;
        assert_eq!(page.status, 200, "{}", page.text());
        generation(&page).version
    };
    assert_eq!(of(1).await, 1, "it was read after the first invalidation, and is kept");
    assert_eq!(of(2).await, 2, "but not after the second, although its answer came then");
}
