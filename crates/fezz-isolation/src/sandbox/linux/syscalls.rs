//! seccomp: the filter of a worker's system calls.
//!
//! It is an allow list, of calls and of their arguments where those matter, so that what later kernels add is refused
//! too. What is not listed fails with EPERM. A few fail with ENOSYS, on which libraries fall back to other calls. A call
//! through another architecture's door (`int 0x80` on x86-64) ends the process; the numbers of x32 are not listed.

use std::collections::BTreeMap;

use seccompiler::{BpfProgram, Error, SeccompAction, SeccompFilter, SeccompRule, TargetArch, apply_filter};

use super::Confinement;
use super::syscall_arguments::conditional;
use super::syscall_table::{ALLOWED, ALLOWED_LEGACY, ANSWER_ENOSYS};

pub(super) type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Installs the filter. Must come last: it forbids the system calls of the other restrictions.
pub(super) fn apply(confinement: &Confinement) -> Result<(), Error> {
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    let errno = |code: i32| SeccompAction::Errno(code.unsigned_abs());
    let allowed = SeccompFilter::new(rules(confinement)?, errno(libc::EPERM), SeccompAction::Allow, arch)?;
    let unknown: Rules = ANSWER_ENOSYS.iter().map(|call| (*call, Vec::new())).collect();
    let unknown = SeccompFilter::new(unknown, SeccompAction::Allow, errno(libc::ENOSYS), arch)?;
    let (allowed, unknown) = (BpfProgram::try_from(allowed)?, BpfProgram::try_from(unknown)?);
    // In this order: the allow list forbids installing another filter.
    apply_filter(&unknown)?;
    apply_filter(&allowed)
}

fn rules(confinement: &Confinement) -> Result<Rules, Error> {
    // Allowed here, so that the other filter's ENOSYS takes effect.
    let calls = ALLOWED.iter().chain(ALLOWED_LEGACY).chain(ANSWER_ENOSYS);
    let mut rules: Rules = calls.map(|call| (*call, Vec::new())).collect();
    rules.extend(conditional(confinement)?);
    Ok(rules)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_call_is_both_always_and_sometimes_allowed() {
        let confinement = super::super::tests::confinement();
        let always: Vec<_> = ALLOWED.iter().chain(ALLOWED_LEGACY).chain(ANSWER_ENOSYS).collect();
        let sometimes = conditional(&confinement).unwrap();
        assert!(always.iter().all(|call| !sometimes.contains_key(call)));
    }
}
