//! [`IntoInitOutcome`]: the result types of an `init` hook.

use crate::FezzError;

/// Success, or the reason for the log why the load fails.
pub type InitOutcome = Result<(), String>;

/// The result of the function named by the attribute's `init`.
#[diagnostic::on_unimplemented(
    message = "`init` must return `()` or a `Result`, and not `{Self}`",
    note = "write `fn init()`, or `fn init() -> Result<(), FezzError>`"
)]
pub trait IntoInitOutcome {
    /// Converts the result.
    ///
    /// # Errors
    /// Why the load fails.
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
