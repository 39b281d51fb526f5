//! Founds the trial: roster, inventory, policy, the agent's key and the host's configuration.

use super::machine::Machine;
use super::person::Human;
use super::prompt::Prompt;
use super::stage::Stage;
use super::{Arguments, QuickstartError, host};
use crate::ambient;
use crate::deployment::{Deployment, Founding, NewPerson};
use crate::serve::block_on;
use crate::signing::Signer;
use countersign_agent::AgentIdentity;
use countersign_domain::roster::Operation;
use countersign_domain::statement::Subject;
use countersign_domain::{AgentId, DeploymentId, Digest};
use countersign_facts::Inventory;
use countersign_gate::found::hex_key;
use countersign_gate::{InventoryChange, PolicyChange};
use countersign_host::key::HostKey;
use countersign_host::sandbox::Sandbox;
use countersign_policy::Policy;
use ed25519_dalek::SigningKey;
use std::cell::Cell;
use std::path::Path;

/// The built-in agent's id.
const AGENT: &str = "built-in-agent";

/// Everything that the trial consists of.
pub(super) struct Founded {
    pub(super) deployment: Deployment,
    pub(super) host: host::HostProcess,
    pub(super) agent: AgentIdentity,
    pub(super) sandbox: Option<Sandbox>,
}

/// Founds it; `made` is set as soon as there is something that a failure would leave behind.
pub(super) fn found(
    arguments: &Arguments,
    dir: &Path,
    human: &Human,
    machine: &Machine,
    stage: &Stage,
    made: &Cell<bool>,
) -> Result<Founded, QuickstartError> {
    let step = stage.step("founding a trial deployment");
    let id = format!("localhost/trial-{}", hex::encode(ambient::random::<4>()));
    let invalid =
        |field: &'static str, problem: String| QuickstartError::Invalid { field, problem };
    let id = DeploymentId::new(id).map_err(|error| invalid("deployment", error.to_string()))?;
    let agent = AgentIdentity {
        id: AgentId::new(AGENT).map_err(|error| invalid("agent", error.to_string()))?,
        deployment: id.clone(),
        key: SigningKey::from_bytes(&ambient::random()),
    };
    let host_seed = ambient::random::<32>();
    let mut founding = Founding::of_one(
        id,
        true,
        NewPerson {
            person: human.person.clone(),
            name: human.name.clone(),
            public_key: human.key.public_key().to_owned(),
        },
        ambient::now(),
    )?;
    founding.listen = arguments.listen;
    founding.operations = vec![
        Operation::SetAgent {
            agent: agent.id.clone(),
            owner: human.person.clone(),
            public_key: hex_key(&agent.key),
        },
        Operation::SetHost {
            host: machine.host.clone(),
            public_key: hex_key(&SigningKey::from_bytes(&host_seed)),
        },
    ];
    let trial_key = human.trial_key.then_some(&human.key);
    let deployment = Deployment::create(
        dir,
        founding,
        &[(human.person.clone(), &human.key)],
        trial_key,
    )?;
    made.set(true);
    HostKey::create(&host::key_path(dir), machine.host.clone(), host_seed)
        .map_err(|error| invalid("host key", error.to_string()))?;
    set_inventory(&deployment, human, machine)?;
    step.done(&format!(
        "founded the trial `{}`: {} ({}) holds every seat, signing with {}",
        deployment.config().deployment,
        human.name,
        human.person,
        if human.trial_key {
            "a key made for this trial"
        } else {
            "their own SSH key"
        },
    ));
    let sandbox = if arguments.sandbox {
        let step = stage.step("building a private apt root with demo packages");
        let sandbox = Sandbox::build(&dir.join("sandbox"))?;
        step.done("built a private apt root with demo packages");
        Some(sandbox)
    } else {
        None
    };
    let host = host::HostProcess::configure(dir, &deployment, machine, sandbox.as_ref())?;
    if let Some(sandbox) = &sandbox {
        sandbox.guard(&host.hook_command()?)?;
    }
    Ok(Founded {
        deployment,
        host,
        agent,
        sandbox,
    })
}

fn signer<'a>(deployment: &Deployment, human: &'a Human) -> Result<Signer<'a>, QuickstartError> {
    let world = deployment.gate().world()?;
    Ok(Signer {
        key: &human.key,
        person: human.person.clone(),
        deployment: world.roster.deployment.clone(),
        roster_version: world.roster.version,
    })
}

fn set_inventory(
    deployment: &Deployment,
    human: &Human,
    machine: &Machine,
) -> Result<(), QuickstartError> {
    let text = Inventory::from_assets([machine.asset()])
        .to_toml()
        .map_err(|error| QuickstartError::Invalid {
            field: "inventory",
            problem: error.to_string(),
        })?;
    let subject = Subject::Inventory {
        inventory: Digest::of(text.as_bytes()),
    };
    let change = InventoryChange {
        statements: vec![signer(deployment, human)?.state(subject, ambient::now())?],
        bytes: text.into_bytes(),
    };
    block_on(deployment.gate().change_inventory(change, ambient::now()))??;
    Ok(())
}

/// Shows in words what the starter policy would let the AI do; the human signs version 1.
pub(super) fn sign_policy(
    founded: &Founded,
    human: &Human,
    prompt: &Prompt,
    stage: &Stage,
) -> Result<(), QuickstartError> {
    let source = countersign_policy::starter_for(&human.person);
    let policy = Policy::load(&source).map_err(|findings| QuickstartError::Invalid {
        field: "policy",
        problem: findings
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("; "),
    })?;
    stage.line("\nThe starter policy, in words:\n");
    for line in countersign_policy::authority_in_words(&policy) {
        stage.line(&format!("  {line}"));
    }
    stage.line("");
    let question = format!("Sign policy version 1 as {}?", human.name);
    if !prompt.confirm(&question, true, true) {
        return Err(QuickstartError::NotSigned);
    }
    let subject = Subject::Policy {
        policy: source.digest(),
        version: 1,
        authors: Vec::new(),
    };
    let now = ambient::now();
    let change = PolicyChange {
        statements: vec![signer(&founded.deployment, human)?.state(subject, now)?],
        source,
        authors: Vec::new(),
    };
    let digest = block_on(founded.deployment.gate().change_policy(change, now))??;
    stage.line(&format!(
        "  ✓ policy version 1 ({}) signed by {} at {now}",
        digest.short(),
        human.name
    ));
    Ok(())
}
