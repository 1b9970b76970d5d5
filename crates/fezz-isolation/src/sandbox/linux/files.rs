//! Landlock: which files and TCP ports a worker may use.

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, NetPort, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError, RulesetStatus, Scope, path_beneath_rules,
};

use super::{Confinement, Enforced, Profile};

/// Readable for every worker: libraries, time zones, certificates, locales, and what the C library reads.
const READABLE: &[&str] = &[
    "/usr/lib",
    "/usr/lib64",
    "/usr/share/zoneinfo",
    "/usr/share/ca-certificates",
    "/usr/share/locale",
    "/lib",
    "/lib64",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/ssl",
    "/dev/zero",
    "/dev/urandom",
    "/dev/random",
    "/proc/self",
    "/sys/devices/system/cpu",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/sys/vm/overcommit_memory",
];

/// Readable with the profile `net`, for host names.
const NAME_RESOLUTION: &[&str] = &[
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/nsswitch.conf",
    "/etc/host.conf",
    "/etc/gai.conf",
    "/etc/services",
];

/// Writable for every worker.
const WRITABLE: &[&str] = &["/dev/null"];

/// Landlock's rules for files. Versions before 3 do not cover truncation, so that "read only" would not hold.
const FILES_ABI: ABI = ABI::V3;
/// Landlock's rules for TCP ports.
const PORTS_ABI: ABI = ABI::V4;
/// Landlock's scopes for signals and abstract Unix sockets.
const SCOPES_ABI: ABI = ABI::V6;

pub(super) fn apply(confinement: &Confinement, enforced: &mut Enforced) -> Result<(), RulesetError> {
    let everything = AccessFs::from_all(FILES_ABI);
    if Ruleset::default().set_compatibility(CompatLevel::HardRequirement).handle_access(everything).is_err() {
        enforced.lacks("Landlock's rules for files (Linux 6.2)");
        return Ok(());
    }
    let ports_are_known = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessNet::from_all(PORTS_ABI))
        .is_ok();
    let mut ruleset = Ruleset::default().handle_access(everything)?.scope(Scope::from_all(SCOPES_ABI))?;
    if ports_are_known {
        ruleset = ruleset.handle_access(AccessNet::from_all(PORTS_ABI))?;
    }
    let mut created = ruleset
        .create()?
        .add_rules(path_beneath_rules(READABLE, AccessFs::from_read(FILES_ABI)))?
        .add_rules(path_beneath_rules(WRITABLE, AccessFs::ReadFile | AccessFs::WriteFile))?
        .add_rules(path_beneath_rules(&confinement.readable, AccessFs::from_read(FILES_ABI)))?
        .add_rules(path_beneath_rules(&confinement.writable, data_access()))?;
    if confinement.profile == Profile::Net {
        created = created.add_rules(path_beneath_rules(NAME_RESOLUTION, AccessFs::from_read(FILES_ABI)))?;
        if ports_are_known {
            let ports = confinement.ports.iter();
            created = created.add_rules(
                ports.map(|port| Ok::<_, RulesetError>(NetPort::new(*port, AccessNet::ConnectTcp))),
            )?;
        } else {
            enforced.lacks("Landlock's rules for ports (Linux 6.7)");
        }
    }
    if created.restrict_self()?.ruleset == RulesetStatus::NotEnforced {
        enforced.lacks("Landlock's rules for files (Linux 6.2)");
        return Ok(());
    }
    enforced.holds("rules for files");
    if confinement.profile == Profile::Net && ports_are_known {
        enforced.holds("rules for ports");
    }
    Ok(())
}

/// Everything but execution and device files.
fn data_access() -> landlock::BitFlags<AccessFs> {
    AccessFs::from_all(FILES_ABI) & !(AccessFs::Execute | AccessFs::MakeChar | AccessFs::MakeBlock)
}
