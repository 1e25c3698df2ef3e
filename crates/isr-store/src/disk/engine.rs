//! The engine's handle of an open file, which cannot take the process with it.

use std::ops::Deref;
use std::panic::AssertUnwindSafe;

use redb::Database;

/// An open file. The engine panics over some damaged ones, and again when it is let go of after that: out of a destructor, which
/// would end the process. That second panic ends here.
pub(super) struct Engine(Option<Database>);

impl Engine {
    pub(super) fn new(database: Database) -> Self {
        Self(Some(database))
    }
}

impl Deref for Engine {
    type Target = Database;

    #[allow(clippy::expect_used, reason = "only its end takes it")]
    fn deref(&self) -> &Database {
        self.0.as_ref().expect("it is open until its end")
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let database = self.0.take();
        // What is in the file is what the last whole transaction has written.
        let _ = std::panic::catch_unwind(AssertUnwindSafe(|| drop(database)));
    }
}
