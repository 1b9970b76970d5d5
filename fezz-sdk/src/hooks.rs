//! What the author's own `init` may answer.

use crate::FezzError;

/// Whether a function may be called; a reason for the log where not.
pub type InitOutcome = Result<(), String>;

/// An answer of the function that the attribute's `init` names.
#[diagnostic::on_unimplemented(
    message = "`init` must return `()` or a `Result`, and not `{Self}`",
    note = "write `fn init()`, or `fn init() -> Result<(), FezzError>`"
)]
pub trait IntoInitOutcome {
    /// The outcome.
    ///
    /// # Errors
    /// Why the function cannot be called.
    fn into_init_outcome(self) -> InitOutcome;
}

impl IntoInitOutcome for () {
    fn into_init_outcome(self) -> InitOutcome {
        Ok(())
    }
}

impl<E: Into<FezzError>> IntoInitOutcome for Result<(), E> {
    fn into_init_outcome(self) -> InitOutcome {
        self.map_err(|error| error.into().to_string())
    }
}
