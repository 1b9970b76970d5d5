//! Function libraries and system calls: the only crate of the fezz host with unsafe code.
//!
//! [`Allocator`] is the memory allocator. [`ffi`] is the C boundary: it opens libraries, calls them, and owns the memory that crosses. [`sys`] has system calls
//! that need `unsafe`, and those that only Linux has; on other systems they fail with a clear error. [`Digest`] identifies
//! a build of a library, [`Variables`] is its configuration.

mod allocator;
mod digest;
pub mod ffi;
pub mod sys;
mod variables;

pub use allocator::Allocator;
pub use digest::{Digest, DigestError};
pub use variables::Variables;
