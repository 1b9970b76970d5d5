//! Second step: whether the host can call the function. All that is wrong is reported at once.

use syn::{Error, FnArg, ItemFn, Result, ReturnType, Safety, Signature};

use crate::parse::SIGNATURE;

/// Checks the shape of the signature; the types themselves are the compiler's to check.
pub(crate) fn signature(function: &ItemFn) -> Result<()> {
    let found: Vec<Error> = [asyncness, generics, arguments, output, qualifiers]
        .iter()
        .filter_map(|check| check(&function.sig))
        .collect();
    found
        .into_iter()
        .reduce(|mut all, next| {
            all.combine(next);
            all
        })
        .map_or(Ok(()), Err)
}

fn asyncness(sig: &Signature) -> Option<Error> {
    let token = sig.asyncness?;
    Some(error(token, "an async fn cannot be served yet; write it as a plain fn"))
}

fn generics(sig: &Signature) -> Option<Error> {
    let generic = !sig.generics.params.is_empty() || sig.generics.where_clause.is_some();
    generic.then(|| error(&sig.generics, "the host calls one concrete function; remove the generics"))
}

fn arguments(sig: &Signature) -> Option<Error> {
    if let Some(FnArg::Receiver(receiver)) = sig.inputs.first() {
        return Some(error(receiver, "a method cannot be served; write a free function"));
    }
    (sig.inputs.len() != 1).then(|| error(&sig.ident, "a function takes exactly one request"))
}

fn output(sig: &Signature) -> Option<Error> {
    matches!(sig.output, ReturnType::Default).then(|| error(&sig.ident, "a function answers with a response"))
}

fn qualifiers(sig: &Signature) -> Option<Error> {
    if let Some(token) = &sig.abi {
        return Some(error(token, "the attribute writes the C interface; write a plain fn"));
    }
    matches!(sig.safety, Safety::Unsafe(_)).then(|| error(&sig.ident, "the host calls safe functions only"))
}

fn error(place: impl quote::ToTokens, what: &str) -> Error {
    Error::new_spanned(place, format!("{what}: `{SIGNATURE}`"))
}
