//! What each of the benchmark's servers does for a request. Bare axum and the functions share this code, so that what
//! is between them is the host alone; the JavaScript servers in `bench/peers/` do the same in their language.

pub mod order;
pub mod todos;
pub mod upload;

use std::time::Duration;

/// What `hello` answers.
pub const HELLO: &str = r#"{"hello":"fezz-123"}"#;
/// How long `slow` blocks.
pub const SLOW: Duration = Duration::from_millis(20);
