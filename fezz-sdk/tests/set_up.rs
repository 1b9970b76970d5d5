//! The errors that `app` and `init` may return: each fails the load with all of its causes.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::io;
use std::rc::Rc;

use axum::Router;
use axum::routing::get;
use fezz_sdk::entry::entries;
use fezz_sdk::{FezzError, Function, InitOutcome, IntoInitOutcome};

/// An error with a cause, which is neither `Send` nor `Sync`.
#[derive(Debug)]
struct Unsent(Rc<io::Error>);

impl fmt::Display for Unsent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the pool cannot be opened")
    }
}

impl Error for Unsent {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.0)
    }
}

fn refused() -> io::Error {
    io::Error::other("connection refused")
}

fn prepare<F: Function<M> + Copy, M>(app: F) -> InitOutcome {
    (entries(&app).prepare)()
}

/// An application whose set-up makes this error, plain and async, and an `init` of the same type.
macro_rules! fails {
    ($($error:ty: $make:expr => $text:literal;)*) => {$({
        fn app() -> Result<Router, $error> {
            Err($make)
        }
        async fn app_async() -> Result<Router, $error> {
            tokio::task::yield_now().await;
            app()
        }
        fn init() -> Result<(), $error> {
            app().map(drop)
        }
        let reason = Err(format!("the service cannot be made: {}", $text));
        assert_eq!(prepare(app), reason, stringify!($error));
        assert_eq!(prepare(app_async), reason, stringify!($error));
        assert_eq!(init().into_init_outcome(), Err($text.to_owned()), stringify!($error));
    })*};
}

#[test]
fn any_error_fails_the_load_with_its_causes() {
    fails! {
        io::Error: refused() => "connection refused";
        Unsent: Unsent(Rc::new(refused())) => "the pool cannot be opened: connection refused";
        Box<dyn Error>: Unsent(Rc::new(refused())).into() => "the pool cannot be opened: connection refused";
        Box<dyn Error + Send>: Box::new(refused()) => "connection refused";
        Box<dyn Error + Send + Sync>: refused().into() => "connection refused";
        anyhow::Error: anyhow::Error::new(refused()).context("no database").context("no pool")
            => "no pool: no database: connection refused";
        eyre::Report: eyre::Report::new(refused()).wrap_err("no database") => "no database: connection refused";
        String: "no database".to_owned() => "no database";
        &'static str: "no database" => "no database";
        Cow<'static, str>: "no database".into() => "no database";
        FezzError: FezzError::internal("no database").caused_by(refused()) => "connection refused";
    }
}

/// As `main` in axum's own examples.
#[test]
fn what_succeeds_is_served() {
    async fn app() -> Result<Router, Box<dyn Error>> {
        let port: u16 = "3000".parse()?;
        Ok(Router::new().route("/", get(move || async move { port.to_string() })))
    }

    assert_eq!(prepare(app), Ok(()));
    fezz_sdk::testing::TestRequest::get("/").call(app).assert_text("3000");
}
