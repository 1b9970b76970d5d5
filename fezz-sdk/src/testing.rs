//! Tests of functions: in-process with [`TestRequest`], and on the real host with [`TestHost`].
//!
//! Both need the feature `testing`, which belongs in `[dev-dependencies]`:
//!
//! ```toml
//! [dev-dependencies]
//! fezz-sdk = { version = "0.1", features = ["testing"] }
//! ```

mod host;
mod request;

pub use crate::entry::mock::CallError;
pub use fezz_testkit::Response as TestResponse;
pub use host::{RunningTestHost, TestHost};
pub use request::TestRequest;
