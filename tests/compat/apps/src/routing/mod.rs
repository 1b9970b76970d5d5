//! Applications that route in every way.

pub(crate) mod extra;
pub(crate) mod nesting;
pub(crate) mod old_syntax;
pub(crate) mod paths;
