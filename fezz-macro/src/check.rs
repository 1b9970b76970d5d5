//! Second step: checks the keys and the signature. All errors are reported at once.

use syn::{Error, FnArg, ItemFn, Result, ReturnType, Safety, Signature};

use crate::parse::{Keys, SIGNATURE};

/// A sanity limit: each library has a runtime of its own.
const MAX_THREADS: u16 = 1024;
/// The SDK implements `Function` for up to this many arguments.
const MAX_ARGUMENTS: usize = 8;

/// Checks the keys and the shape of the signature; the types themselves are the compiler's to check.
pub(crate) fn function(keys: &Keys, function: &ItemFn) -> Result<()> {
    let checks = [generics, receiver, arguments, output, qualifiers, variadic];
    let errors = checks.iter().filter_map(|check| check(&function.sig));
    errors
        .chain(threads(keys))
        .reduce(|mut all, next| {
            all.combine(next);
            all
        })
        .map_or(Ok(()), Err)
}

fn threads(keys: &Keys) -> Option<Error> {
    let threads = keys.threads.as_ref()?;
    let is_valid = threads.base10_parse::<u16>().is_ok_and(|count| (1..=MAX_THREADS).contains(&count));
    (!is_valid).then(|| Error::new(threads.span(), format!("`threads` is a number from 1 to {MAX_THREADS}")))
}

fn generics(sig: &Signature) -> Option<Error> {
    let generic = !sig.generics.params.is_empty() || sig.generics.where_clause.is_some();
    generic.then(|| {
        let what = "the host calls one concrete function; remove the generics";
        if sig.generics.params.is_empty() {
            error(&sig.generics.where_clause, what)
        } else {
            error(&sig.generics.params, what)
        }
    })
}

fn receiver(sig: &Signature) -> Option<Error> {
    let Some(FnArg::Receiver(receiver)) = sig.inputs.first() else { return None };
    Some(error(receiver, "a method cannot be served; write a free function"))
}

fn arguments(sig: &Signature) -> Option<Error> {
    let surplus = sig.inputs.iter().nth(MAX_ARGUMENTS)?;
    Some(error(surplus, &format!("a function takes at most {MAX_ARGUMENTS} arguments")))
}

fn output(sig: &Signature) -> Option<Error> {
    matches!(sig.output, ReturnType::Default).then(|| error(&sig.ident, "a function answers with a response"))
}

fn qualifiers(sig: &Signature) -> Option<Error> {
    if let Some(token) = &sig.abi {
        return Some(error(token, "the attribute writes the C interface; write a plain fn"));
    }
    if let Some(token) = &sig.constness {
        return Some(error(token, "a const fn cannot answer requests; write a plain fn"));
    }
    matches!(sig.safety, Safety::Unsafe(_)).then(|| error(&sig.safety, "the host calls safe functions only"))
}

fn variadic(sig: &Signature) -> Option<Error> {
    Some(error(sig.variadic.as_ref()?, "a function takes a fixed number of arguments"))
}

fn error(place: impl quote::ToTokens, what: &str) -> Error {
    Error::new_spanned(place, format!("{what}: `{SIGNATURE}`"))
}
