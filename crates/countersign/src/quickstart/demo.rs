//! The acts of the quickstart: observe, propose, decide; and in the sandbox: approve, swap an
//! artifact, execute, try a plain apt-get.

use super::host::HostProcess;
use super::person::Human;
use super::prompt::Prompt;
use super::report::PlainApt;
use super::stage::Stage;
use super::{Arguments, QuickstartError};
use crate::ambient;
use crate::serve::{Running, block_on};
use crate::signing::Signer;
use countersign_agent::{AgentIdentity, Client, Event, Grouping, Mode, Options};
use countersign_domain::ChangeState;
use countersign_domain::statement::{Subject, Vote};
use countersign_domain::text::SaltedText;
use countersign_gate::view::ChangeView;
use countersign_host::sandbox::Sandbox;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// What a play needs.
pub(super) struct Act<'a> {
    pub(super) arguments: &'a Arguments,
    pub(super) server: &'a Running,
    pub(super) host: &'a HostProcess,
    pub(super) agent: AgentIdentity,
    pub(super) human: &'a Human,
    pub(super) prompt: &'a Prompt,
    pub(super) stage: &'a Stage,
}

/// The package whose artifact is swapped after preparation, and the one that plain apt is tried with.
const SWAPPED: (&str, &str) = ("cs-lib", "1.1");
const PLAIN: &str = "cs-tools=1.1";

impl Act<'_> {
    /// The host observes, the agent proposes, the host prepares, the gate decides.
    pub(super) fn observe_and_propose(&mut self) -> Result<(), QuickstartError> {
        let step = self.stage.step("observing pending upgrades");
        self.host.prepare(&step)?;
        step.done("observed pending upgrades; nothing on the machine was changed");
        self.propose()?;
        let step = self.stage.step("preparing plans, deciding");
        self.host.prepare(&step)?;
        step.done("the gate decided each change");
        Ok(())
    }

    fn propose(&mut self) -> Result<(), QuickstartError> {
        let step = self.stage.step("the agent ranks and proposes");
        let identity = AgentIdentity {
            id: self.agent.id.clone(),
            deployment: self.agent.deployment.clone(),
            key: self.agent.key.clone(),
        };
        let client = Client::new(&self.server.url(), identity)
            .map_err(|error| QuickstartError::Agent(error.to_string()))?;
        let mut first = None;
        let report = countersign_agent::run(
            &client,
            &mut Options {
                mode: Mode::Once,
                max_proposals: self.arguments.limit,
                grouping: Grouping::HostByHost,
                again: false,
                withdraw_superseded: false,
                poll_every: Duration::from_millis(50),
                follow_for: Duration::ZERO,
                filter: &|_| true,
                on_event: &mut |event| {
                    if let Event::Proposed(proposed) = event {
                        step.at(&format!("proposed {}", proposed.subject));
                        first.get_or_insert_with(|| {
                            format!(
                                "most urgent: {}; {}",
                                proposed.subject,
                                proposed.explanation.join("; ")
                            )
                        });
                    }
                },
                now: &ambient::now,
                rng: &mut rand::rngs::OsRng,
                stop: &AtomicBool::new(false),
            },
        );
        if let (Some(failure), true) = (report.failures.first(), report.proposed.is_empty()) {
            return Err(QuickstartError::Agent(failure.clone()));
        }
        step.done(&format!(
            "the agent ranked {} pending upgrades and proposed {}",
            report.findings,
            report.proposed.len()
        ));
        if let Some(first) = first {
            self.stage.line(&format!(
                "    {}",
                countersign_domain::text::shown(&first, 300)
            ));
        }
        Ok(())
    }

    /// The whole play in the sandbox; what plain apt got to hear.
    pub(super) fn play(&mut self, sandbox: &Sandbox) -> Result<PlainApt, QuickstartError> {
        self.observe_and_propose()?;
        self.approve_what_asks("cs-db")?;
        // As an attacker on the host would, between decision and execution.
        sandbox.swap_retained(&self.host.state_dir, SWAPPED.0, SWAPPED.1)?;
        self.stage.line(&format!(
            "  ✓ swapped the prepared artifact of {} for another",
            SWAPPED.0
        ));
        let step = self.stage.step("redeeming, verifying, executing");
        self.host.act(&step)?;
        step.done("the host acted on every warrant it could verify, and settled each");
        let plain = sandbox.plain_install(PLAIN)?;
        self.stage.line(&format!(
            "  ✓ plain `apt-get install {PLAIN}` without a warrant: exit code {}",
            plain
                .exit_code
                .map_or_else(|| "none".into(), |code| code.to_string())
        ));
        Ok(PlainApt {
            command: format!("apt-get install {PLAIN}"),
            refused: plain.exit_code != Some(0),
            exit_code: plain.exit_code,
            said: countersign_domain::text::shown(&plain.said, 400),
        })
    }

    fn approve_what_asks(&self, package: &str) -> Result<(), QuickstartError> {
        let gate = self.server.deployment().gate();
        let waiting = gate.changes(&[ChangeState::AwaitingApproval.as_str()], None, 100)?;
        let of_package = |change: &&ChangeView| {
            change
                .packages
                .iter()
                .any(|one| one.name.as_str() == package)
        };
        let Some(change) = waiting.iter().find(of_package) else {
            return Ok(());
        };
        let question = format!(
            "{package} asks for a human. Approve it as {}?",
            self.human.name
        );
        if !self.prompt.confirm(&question, false, true) {
            return Ok(());
        }
        let now = ambient::now();
        let rationale = SaltedText::new(
            ambient::random(),
            "Demonstration: the plan and its way back were looked at.",
        );
        let (Some(change_digest), Some(policy), Some(outcome), Some(duties)) = (
            change.digest,
            change.policy,
            change.outcome,
            change.duties.clone(),
        ) else {
            return Ok(());
        };
        let subject = Subject::Change {
            change: change.id.clone(),
            change_digest,
            vote: Vote::Approve,
            policy,
            outcome,
            rules: change.rules.clone(),
            duties,
            rationale: rationale.digest().ok(),
        };
        let world = gate.world()?;
        let signer = Signer {
            key: &self.human.key,
            person: self.human.person.clone(),
            deployment: world.roster.deployment.clone(),
            roster_version: world.roster.version,
        };
        let signed = signer.state(subject, now)?;
        block_on(gate.vote(&change.id, signed, Some(rationale), now))??;
        self.stage.line(&format!(
            "  ✓ {} approved {package} ({})",
            self.human.name, change.id
        ));
        Ok(())
    }
}
