//! Landlock: which files and TCP ports a worker may use.

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, NetPort, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError, RulesetStatus, Scope, path_beneath_rules,
};

use super::{Confinement, DNS_PORT, Enforced, Profile, SandboxError, library_paths};

/// Folders that are readable for every worker: libraries, time zones, certificates, locales, and what the C library reads.
/// None that has private keys as well, such as `/etc/ssl`: a host that runs as root could read them.
const READABLE: &[&str] = &[
    "/usr/lib",
    "/usr/lib64",
    "/usr/share/zoneinfo",
    "/usr/share/ca-certificates",
    "/usr/local/share/ca-certificates",
    "/usr/share/locale",
    "/lib",
    "/lib64",
    "/etc/ssl/certs",
    "/etc/pki/tls/certs",
    "/etc/pki/ca-trust/extracted",
    "/var/lib/ca-certificates",
    "/dev/zero",
    "/dev/urandom",
    "/dev/random",
    "/proc/self",
    "/sys/devices/system/cpu",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/sys/vm/overcommit_memory",
];

/// Files that are readable for every worker, and that are replaced at times.
const READABLE_FILES: &[&str] = &[
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/ssl/cert.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/openssl.cnf",
    "/etc/pki/tls/cert.pem",
    "/etc/pki/tls/openssl.cnf",
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

/// What a strict sandbox cannot be without.
const FILE_RULES: &str = "Landlock's rules for files (Linux 6.2)";

pub(super) fn apply(confinement: &Confinement, enforced: &mut Enforced) -> Result<(), SandboxError> {
    let everything = AccessFs::from_all(FILES_ABI);
    if required().handle_access(everything).is_err() {
        return confinement.lacks(enforced, FILE_RULES);
    }
    let has_ports = required().handle_access(AccessNet::from_all(PORTS_ABI)).is_ok();
    let has_scopes = required().scope(Scope::from_all(SCOPES_ABI)).is_ok();
    let mut ruleset = Ruleset::default().handle_access(everything)?;
    if has_ports {
        ruleset = ruleset.handle_access(AccessNet::from_all(PORTS_ABI))?;
    }
    if has_scopes {
        ruleset = ruleset.scope(Scope::from_all(SCOPES_ABI))?;
    }
    let readable = AccessFs::from_read(FILES_ABI);
    let mut created = ruleset
        .create()?
        .add_rules(path_beneath_rules(READABLE, readable))?
        .add_rules(path_beneath_rules(files_by_name(confinement.profile), readable))?
        .add_rules(path_beneath_rules(library_paths::configured(), readable))?
        .add_rules(path_beneath_rules(WRITABLE, AccessFs::ReadFile | AccessFs::WriteFile))?
        .add_rules(path_beneath_rules(&confinement.readable, readable))?
        .add_rules(path_beneath_rules(&confinement.writable, data_access()))?;
    if confinement.profile == Profile::Net && has_ports {
        let ports = confinement.ports.iter();
        created = created
            .add_rules(ports.map(|port| Ok::<_, RulesetError>(NetPort::new(*port, AccessNet::ConnectTcp))))?;
    }
    if created.restrict_self()?.ruleset == RulesetStatus::NotEnforced {
        return confinement.lacks(enforced, FILE_RULES);
    }
    enforced.holds("rules for files");
    list_scopes(has_scopes, enforced);
    if confinement.profile == Profile::Net {
        list_ports(confinement, has_ports, enforced);
    }
    Ok(())
}

/// The files that workers with this profile may read by their names, whichever files have them when a worker starts.
pub fn files_by_name(profile: Profile) -> impl Iterator<Item = &'static str> {
    let (files, names): (&[&str], &[&str]) = match profile {
        Profile::Strict => (READABLE_FILES, &[]),
        Profile::Net => (READABLE_FILES, NAME_RESOLUTION),
        Profile::Off => (&[], &[]),
    };
    files.iter().chain(names).copied()
}

/// A rule set that takes nothing that this kernel does not know.
fn required() -> Ruleset {
    Ruleset::default().set_compatibility(CompatLevel::HardRequirement)
}

fn list_scopes(known: bool, enforced: &mut Enforced) {
    if known {
        enforced.holds("scopes of signals and abstract Unix sockets");
    } else {
        enforced.lacks(
            "Landlock's scopes of signals and abstract Unix sockets (Linux 6.12); the filter of system calls \
             alone refuses both",
        );
    }
}

fn list_ports(confinement: &Confinement, known: bool, enforced: &mut Enforced) {
    if known {
        enforced.holds("rules for TCP ports");
    } else {
        enforced.lacks("Landlock's rules for ports (Linux 6.7)");
    }
    if confinement.ports.contains(&DNS_PORT) {
        enforced.lacks("rules for UDP: with port 53, every address and port can be reached");
    }
}

/// Everything but execution and device files.
fn data_access() -> landlock::BitFlags<AccessFs> {
    AccessFs::from_all(FILES_ABI) & !(AccessFs::Execute | AccessFs::MakeChar | AccessFs::MakeBlock)
}
