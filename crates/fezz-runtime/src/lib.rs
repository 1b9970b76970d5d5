//! Function libraries and system calls: the only crate of the fezz host with unsafe code.
//!
//! [`ffi`] is the C boundary: it opens a library, calls it, and owns all that crosses. [`sys`] holds system calls that
//! need `unsafe`, and those that only Linux has, with clear errors elsewhere. [`Digest`] and [`Variables`] are what both
//! sides of a call agree on.

mod digest;
pub mod ffi;
pub mod sys;
mod variables;

pub use digest::Digest;
pub use variables::Variables;
