//! `countersign approve` and `refuse`: rebuilds the change digest from the agent's and the hosts'
//! own words, shows what it stands for, and signs only that.

use super::change::{encoded, find};
use super::context::signer;
use super::render::quoted;
use super::signed::show_and_sign;
use super::{Context, Failure};
use crate::ambient;
use crate::api::wire::{Basis, StateAnswer, VoteBody};
use crate::client::Client;
use countersign_domain::decision::Decision;
use countersign_domain::entry::change_digest;
use countersign_domain::jws::take_apart;
use countersign_domain::statement::{Subject, Vote};
use countersign_domain::text::{SaltedText, shown};
use countersign_domain::{ChangeId, Digest, PreparedPlan, Proposal, Roster, canonical};

/// Arguments of `approve` and `refuse`.
#[derive(Debug, clap::Args)]
pub struct DecideArguments {
    /// The change's id, or the beginning of it
    change: String,
    /// Your reasons; kept beside the log, bound by what you sign
    #[arg(long, value_name = "TEXT")]
    because: Option<String>,
}

/// A change, proven to be what its digest stands for.
pub struct Proven {
    /// The digest.
    pub digest: Digest,
    /// What was asked, as the agent signed it.
    pub proposal: Proposal,
    /// What the hosts would do.
    pub plans: Vec<PreparedPlan>,
    /// What was decided.
    pub decision: Decision,
    /// What the agent says for itself.
    pub rationale: Option<String>,
    /// Why the agent's signature does not verify with the roster as it is now: the agent may have
    /// been removed, or got another key, since.
    pub unsigned: Option<String>,
}

pub(super) fn approve(context: &Context, arguments: &DecideArguments) -> Result<(), Failure> {
    vote(context, arguments, Vote::Approve)
}

pub(super) fn refuse(context: &Context, arguments: &DecideArguments) -> Result<(), Failure> {
    vote(context, arguments, Vote::Refuse)
}

fn vote(context: &Context, arguments: &DecideArguments, vote: Vote) -> Result<(), Failure> {
    let client = context.client()?;
    let roster = client.roster()?;
    let id = find(&client, &arguments.change)?.id;
    let proven = prove(&client, &roster, &id)?;
    if let (Vote::Approve, Some(why)) = (vote, &proven.unsigned) {
        return Err(
            Failure::refused(format!("the agent's signature does not hold now: {why}"))
                .hint("it can be refused; an agent that is in the roster has to ask again"),
        );
    }
    let (person, key) = context.person(&roster)?;
    let rationale = arguments
        .because
        .as_ref()
        .map(|text| SaltedText::new(ambient::random(), text.clone()));
    let subject = Subject::Change {
        change: id.clone(),
        change_digest: proven.digest,
        vote,
        policy: proven.decision.policy,
        outcome: proven.decision.outcome,
        rules: proven.decision.rules.clone(),
        duties: proven.decision.duties.clone(),
        rationale: digest_of(rationale.as_ref())?,
    };
    let signer = signer(&roster, &person, &key);
    let statement = show_and_sign(
        context,
        &signer,
        subject,
        &effect(&proven, false),
        // It counts when the quorum is complete, and on hosts that check it, when they start.
        true,
        ambient::now(),
    )?;
    let body = VoteBody {
        statement,
        rationale,
    };
    let answer: StateAnswer =
        client.post(&format!("changes/{}/votes", encoded(id.as_str())), &body)?;
    context.answer(
        &serde_json::json!({"change": id, "state": answer.state}),
        |_| format!("{id} is {}", answer.state),
    )
}

/// The digest under which a text is bound.
pub fn digest_of(text: Option<&SaltedText>) -> Result<Option<Digest>, Failure> {
    text.map(SaltedText::digest)
        .transpose()
        .map_err(|error| Failure::usage(error.to_string()))
}

/// Fetches what a change consists of and puts its digest together from that alone, so that a server
/// cannot have something signed that it did not show.
///
/// # Errors
/// When it is not decided yet, or what is shown is not what the digest stands for.
pub fn prove(client: &Client, roster: &Roster, change: &ChangeId) -> Result<Proven, Failure> {
    let basis: Basis = client.get(&format!("changes/{}/basis", encoded(change.as_str())))?;
    let odd = |why: &str| {
        Failure::refused(format!(
            "the server shows something else than it asks to be signed: {why}"
        ))
        .hint("nothing was signed; tell whoever runs the server")
    };
    let (Some(digest), Some(decision)) = (basis.digest, basis.decision) else {
        return Err(Failure::refused(format!(
            "change `{change}` has not been decided yet"
        )));
    };
    let (proposal, proposal_digest, unsigned) = signed_proposal(&basis.proposal, roster)
        .map_err(|error| odd(&format!("the proposal ({})", error.message)))?;
    if ChangeId::from_proposal(&proposal_digest) != *change {
        return Err(odd("the proposal is of another change"));
    }
    for bound in &basis.bound {
        let plan = basis.plans.iter().find(|plan| plan.host == bound.host);
        match plan {
            Some(plan)
                if canonical::digest(plan)? == bound.plan && plan.proposal == proposal_digest => {}
            Some(_) | None => return Err(odd(&format!("the plan of host `{}`", bound.host))),
        }
    }
    if basis.plans.len() != basis.bound.len()
        || change_digest(&proposal_digest, &proposal.waves, &basis.bound)? != digest
    {
        return Err(odd("the change digest"));
    }
    let rationale = basis.rationale;
    Ok(Proven {
        digest,
        proposal,
        plans: basis.plans,
        decision,
        rationale,
        unsigned,
    })
}

/// The proposal, its digest, and why its signature does not verify, where it does not. Whatever the
/// signature says, the digest binds these bytes to the change.
fn signed_proposal(
    jws: &str,
    roster: &Roster,
) -> Result<(Proposal, Digest, Option<String>), Failure> {
    match countersign_verify::proposal::verify(jws, roster) {
        Ok(verified) => {
            let digest = *verified.digest();
            Ok((verified.into_inner(), digest, None))
        }
        Err(error) => {
            let parts = take_apart(jws).map_err(|form| Failure::refused(form.to_string()))?;
            let proposal = canonical::from_bytes(&parts.payload)?;
            let digest = Digest::of(&parts.payload);
            Ok((proposal, digest, Some(error.to_string())))
        }
    }
}

/// The exact effect, and, last and labelled, what the agent says for itself. `ran` says that it is
/// looked at afterwards.
#[must_use]
pub fn effect(proven: &Proven, ran: bool) -> String {
    let proposal = &proven.proposal;
    let mut lines = vec![format!(
        "  What {}, as agent `{}` asked and each host prepared:",
        if ran {
            "was allowed to happen"
        } else {
            "would happen"
        },
        proposal.agent
    )];
    for (number, wave) in proposal.waves.iter().enumerate() {
        for host in wave {
            let Some(plan) = proven.plans.iter().find(|plan| plan.host == *host) else {
                lines.push(format!(
                    "  wave {} host {host}: takes no part (it prepared nothing)",
                    number + 1
                ));
                continue;
            };
            lines.push(format!(
                "  wave {} host {host}, plan good until {}:",
                number + 1,
                plan.expires_at
            ));
            lines.extend(plan.steps.iter().map(step));
            let checks: Vec<_> = plan.checks.iter().map(|check| check.as_str()).collect();
            lines.push(format!(
                "      checks: {}; rollback: {}",
                if checks.is_empty() {
                    "none".to_owned()
                } else {
                    checks.join(", ")
                },
                plan.rollback().as_str()
            ));
            lines.extend(
                plan.limits
                    .iter()
                    .map(|limit| format!("      the host says: {}", shown(limit, 300))),
            );
        }
    }
    if let Some(why) = &proven.unsigned {
        lines.push(format!(
            "  The agent's signature does not hold now: {}",
            shown(why, 300)
        ));
    }
    let why = if ran {
        "  Why it could run:"
    } else {
        "  Why you are asked:"
    };
    lines.push(why.to_owned());
    for reason in &proven.decision.reasons {
        let rule = reason
            .rule
            .as_ref()
            .map_or(String::new(), |rule| format!("{rule}: "));
        lines.push(format!("      {rule}{}", shown(&reason.text, 400)));
    }
    match &proven.rationale {
        Some(text) => {
            lines.push("  The agent's own words (a CLAIM; nobody has checked it):".to_owned());
            lines.push(quoted(text, "      | "));
        }
        None => lines.push("  The agent gave no reasons, or they were erased.".to_owned()),
    }
    lines.join("\n")
}

/// One step of a plan, as a line.
pub(super) fn step(step: &countersign_domain::plan::Step) -> String {
    let transition = &step.transition;
    let version = |version: &Option<countersign_domain::Version>| {
        version
            .as_ref()
            .map_or("nothing", |version| version.as_str())
            .to_owned()
    };
    let why = if step.requested {
        "asked for"
    } else {
        "pulled in"
    };
    let digest = transition
        .sha256
        .map_or_else(|| "no artifact".to_owned(), |digest| digest.to_string());
    format!(
        "      {} {}: {} → {} ({why}; {digest}; undo: {})",
        transition.name,
        transition.architecture,
        version(&transition.old),
        version(&transition.new),
        step.reverse.source.as_str()
    )
}
