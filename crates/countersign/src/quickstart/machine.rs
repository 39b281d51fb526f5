//! What this machine is: its name, environment and tier.

use super::prompt::Prompt;
use super::{Arguments, QuickstartError};
use countersign_domain::HostId;
use countersign_domain::asset::{Asset, Criticality, Environment, Exposure, Tier};
use std::collections::BTreeSet;

/// Without a word about it, a machine is taken for one that matters (invariant 2).
const ENVIRONMENT: Environment = Environment::Production;
const TIER: &str = "2";

/// This machine.
pub(super) struct Machine {
    pub(super) host: HostId,
    pub(super) environment: Environment,
    pub(super) tier: Tier,
}

/// An environment by its word, or the beginning of it.
pub(super) fn environment(text: &str) -> Result<Environment, String> {
    let all = [
        Environment::Development,
        Environment::Staging,
        Environment::Production,
    ];
    all.into_iter()
        .find(|environment| text.len() >= 3 && environment.as_str().starts_with(text))
        .ok_or_else(|| "expected `development`, `staging` or `production`".to_owned())
}

/// A tier by its number.
pub(super) fn tier(text: &str) -> Result<Tier, String> {
    let number = text
        .parse::<u8>()
        .map_err(|_| "expected a number from 0 to 4".to_owned())?;
    Tier::new(number).map_err(|error| error.to_string())
}

/// From flags, or asked, or the default.
pub(super) fn find(arguments: &Arguments, prompt: &Prompt) -> Result<Machine, QuickstartError> {
    let invalid = |field| move |problem| QuickstartError::Invalid { field, problem };
    let environment = match arguments.environment {
        Some(given) => given,
        None => {
            let answer = prompt.text(
                "What is this machine for (development, staging, production)",
                Some(ENVIRONMENT.as_str()),
            );
            environment(&answer.unwrap_or_default()).map_err(invalid("environment"))?
        }
    };
    let tier = match arguments.tier {
        Some(given) => given,
        None => {
            let answer = prompt.text("How much depends on it, 0 (most) to 4 (least)", Some(TIER));
            tier(&answer.unwrap_or_default()).map_err(invalid("tier"))?
        }
    };
    let name = if arguments.sandbox {
        "sandbox".to_owned()
    } else {
        host_name()
    };
    Ok(Machine {
        host: HostId::new(name).map_err(|error| invalid("host")(error.to_string()))?,
        environment,
        tier,
    })
}

impl Machine {
    /// What the inventory says of it.
    pub(super) fn asset(&self) -> Asset {
        Asset {
            host: self.host.clone(),
            environment: self.environment,
            tier: self.tier,
            criticality: Criticality::Medium,
            exposure: Exposure::Controlled,
            scopes: BTreeSet::new(),
            owner: None,
            service: None,
            cluster: None,
            account: None,
            neighbours: BTreeSet::new(),
            known: true,
        }
    }
}

/// The machine's name, as far as it can be an identifier.
fn host_name() -> String {
    let uname = rustix::system::uname();
    let name: String = uname
        .nodename()
        .to_string_lossy()
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || "-.".contains(*c))
        .take(60)
        .collect();
    let name = name.trim_matches(['-', '.']).to_owned();
    if HostId::new(name.as_str()).is_ok() {
        name
    } else {
        "localhost".into()
    }
}
