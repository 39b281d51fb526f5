//! Files and ports, by landlock: what finding the gate's address needs can be read, nothing can be
//! written or run, and TCP goes to the gate's port and that of name service. Not which system calls
//! there are (`calls`).

use super::SandboxError;
use landlock::{
    ABI, Access as _, AccessFs, AccessNet, CompatLevel, Compatible as _, NetPort, Ruleset,
    RulesetAttr as _, RulesetCreatedAttr as _, RulesetError, RulesetStatus, Scope,
    path_beneath_rules,
};

/// The newest rights of landlock that are asked for; older kernels hold what they know.
const NEWEST: ABI = ABI::V6;
/// Name service, when an answer is too large for UDP.
const NAME_SERVICE_PORT: u16 = 53;
/// What the C library reads to find an address: its configuration, and modules that it loads. Those
/// that are not there are left out. The gate's certificate is checked against roots in the program.
const READABLE: [&str; 14] = [
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/host.conf",
    "/etc/nsswitch.conf",
    "/etc/gai.conf",
    "/etc/services",
    "/etc/ld.so.cache",
    "/run/systemd/resolve",
    "/run/resolvconf",
    "/run/NetworkManager",
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
];

/// Restricts this thread and those it starts; true when the kernel holds `ports` as well.
pub(super) fn restrict(ports: &[u16]) -> Result<bool, SandboxError> {
    let wrong = |error: RulesetError| SandboxError::Files(error.to_string());
    let tcp = AccessNet::BindTcp | AccessNet::ConnectTcp;
    let knows_ports = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(tcp)
        .is_ok();
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(ABI::V1))
        .map_err(wrong)?
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))
        .and_then(|rules| rules.handle_access(tcp))
        .and_then(|rules| rules.scope(Scope::AbstractUnixSocket | Scope::Signal))
        .and_then(Ruleset::create)
        .and_then(|rules| {
            let read = AccessFs::ReadFile | AccessFs::ReadDir;
            rules.add_rules(path_beneath_rules(READABLE, read))
        })
        .map_err(wrong)?;
    for port in ports.iter().chain([&NAME_SERVICE_PORT]) {
        rules = rules
            .add_rule(NetPort::new(*port, AccessNet::ConnectTcp))
            .map_err(wrong)?;
    }
    let status = rules.restrict_self().map_err(wrong)?;
    match status.ruleset {
        RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced if status.no_new_privs => {
            Ok(knows_ports)
        }
        RulesetStatus::FullyEnforced
        | RulesetStatus::PartiallyEnforced
        | RulesetStatus::NotEnforced => {
            Err(SandboxError::Files("the kernel took none of it".into()))
        }
    }
}
