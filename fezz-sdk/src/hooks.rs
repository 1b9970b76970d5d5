//! The set-up of a function: the result types of an `init` hook, and the errors that fail a load.

use std::error::Error;

use crate::FezzError;

/// Success, or the reason for the log why the load fails.
pub type InitOutcome = Result<(), String>;

/// The result of the function named by the attribute's `init`. `M` is inferred.
#[diagnostic::on_unimplemented(
    message = "`init` must return `()` or a `Result`, and not `{Self}`",
    note = "write `fn init()`, or `fn init() -> Result<(), E>` with any error that `Box<dyn Error>` can be made from"
)]
pub trait IntoInitOutcome<M> {
    /// Converts the result.
    ///
    /// # Errors
    /// Why the load fails.
    fn into_init_outcome(self) -> InitOutcome;
}

impl IntoInitOutcome<()> for () {
    fn into_init_outcome(self) -> InitOutcome {
        Ok(())
    }
}

impl<E: SetUpError<M>, M> IntoInitOutcome<M> for Result<(), E> {
    fn into_init_outcome(self) -> InitOutcome {
        self.map_err(|error| error.into_fezz_error().to_string())
    }
}

/// An error of a function's set-up: whatever `Box<dyn Error>` can be made from, which are all errors, texts,
/// `anyhow::Error` and `eyre::Report`; the boxes of errors themselves, `Send` and `Sync` or not; and [`FezzError`].
///
/// `M` is inferred. It keeps the implementations apart, since no bound covers all of these types.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no error of a set-up",
    note = "return a type that `Box<dyn std::error::Error>` can be made from, such as any `Error`, or a text"
)]
pub trait SetUpError<M> {
    /// The error with all of its causes.
    fn into_fezz_error(self) -> FezzError;
}

/// Marks what `Box<dyn Error>` can be made from.
#[derive(Debug)]
pub enum AnyError {}
/// Marks a box that is `Send`.
#[derive(Debug)]
pub enum SendError {}
/// Marks a box that is `Send` and `Sync`.
#[derive(Debug)]
pub enum SyncError {}
/// Marks [`FezzError`].
#[derive(Debug)]
pub enum OwnError {}

impl<E: Into<Box<dyn Error>>> SetUpError<AnyError> for E {
    fn into_fezz_error(self) -> FezzError {
        described(&*self.into())
    }
}

impl SetUpError<SendError> for Box<dyn Error + Send> {
    fn into_fezz_error(self) -> FezzError {
        described(&*self)
    }
}

impl SetUpError<SyncError> for Box<dyn Error + Send + Sync> {
    fn into_fezz_error(self) -> FezzError {
        described(&*self)
    }
}

impl SetUpError<OwnError> for FezzError {
    fn into_fezz_error(self) -> FezzError {
        self
    }
}

/// Its text, since an error need not be `Send`.
fn described(error: &dyn Error) -> FezzError {
    FezzError::internal(crate::error::chain(error))
}
