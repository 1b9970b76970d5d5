//! The work that the benchmark's servers do for a request. axum's handlers and the functions share this code, so that
//! they differ in the host alone; the JavaScript servers in `bench/peers/` do the same in their language.

pub mod order;
pub mod todos;
pub mod upload;

use std::time::Duration;

/// The answer of `hello`.
pub const HELLO: &str = r#"{"hello":"fezz-123"}"#;
/// The time that `slow` blocks.
pub const SLOW: Duration = Duration::from_millis(20);
