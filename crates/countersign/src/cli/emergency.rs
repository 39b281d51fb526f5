//! `countersign emergency`: signs what a host prepared at its console when the gate is out of reach, on
//! the file alone: no server, no data directory (whether the signature suffices is the host's to say);
//! and lists and reviews what hosts did so, once the gate has heard of it.

use super::change::encoded;
use super::collect::replace;
use super::context::signer;
use super::decide::{digest_of, step};
use super::render::{table, when};
use super::signed::{show_and_sign, show_and_sign_for};
use super::{Context, Exit, Failure};
use crate::ambient;
use crate::api::wire::{Emergencies, EmergencyView, ReviewBody};
use crate::signing::Signer;
use countersign_domain::emergency::{
    EMERGENCY_BYTES_MAX, EMERGENCY_SECONDS_MAX, EMERGENCY_STATEMENTS_MAX, EmergencyBundle,
};
use countersign_domain::entry::{Entry, Event};
use countersign_domain::statement::{Subject, Verdict};
use countersign_domain::text::{SaltedText, shown};
use countersign_domain::{ChangeId, Digest, PersonId, Roster, canonical};
use countersign_gate::state::EmergencyRecord;
use countersign_verify::emergency::check_form;
use countersign_verify::receipt;
use countersign_verify::ssh::verify_statement;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What can be done in an emergency.
#[derive(Debug, clap::Subcommand)]
pub enum EmergencyCommand {
    /// Sign an order that a host prepared (`countersign-host emergency prepare`)
    Sign(SignArguments),
    /// List what hosts did because the glass was broken; exits with 1 while any waits for a review
    List {
        /// Those that were reviewed, too
        #[arg(long)]
        all: bool,
    },
    /// Accept what was done
    Accept(ReviewArguments),
    /// Record that something is wrong
    Concern(ReviewArguments),
}

/// Arguments of a review.
#[derive(Debug, clap::Args)]
pub struct ReviewArguments {
    /// The emergency's id, or the beginning of it
    emergency: String,
    /// Your note; kept beside the log, bound by what you sign
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
}

/// Arguments of `emergency sign`.
#[derive(Debug, clap::Args)]
pub struct SignArguments {
    /// The file that the host wrote; your signature is added to it
    order: PathBuf,
    /// Who you are in the roster
    #[arg(long = "as", value_name = "HANDLE")]
    person: PersonId,
}

pub(super) fn run(context: &Context, command: EmergencyCommand) -> Result<ExitCode, Failure> {
    match command {
        EmergencyCommand::Sign(arguments) => sign(context, &arguments)?,
        EmergencyCommand::List { all } => return list(context, all),
        EmergencyCommand::Accept(arguments) => review(context, &arguments, Verdict::Accept)?,
        EmergencyCommand::Concern(arguments) => review(context, &arguments, Verdict::Concern)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn read(path: &Path) -> Result<EmergencyBundle, Failure> {
    let mut bytes = Vec::new();
    let most = EMERGENCY_BYTES_MAX as u64;
    File::open(path)
        .and_then(|file| file.take(most + 1).read_to_end(&mut bytes))
        .map_err(|error| Failure::file(path, &error))?;
    let wrong = |problem: String| {
        Failure::usage(format!("`{}` is no order: {problem}", path.display()))
            .hint("such files are written by `countersign-host emergency prepare --out FILE`")
    };
    if bytes.len() as u64 > most {
        return Err(wrong(format!("longer than {most} bytes")));
    }
    serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))
}

/// What would happen, for the signer: from the file, after its plan was held against its order.
fn effect(bundle: &EmergencyBundle) -> String {
    let order = &bundle.order;
    let mut lines = vec![format!(
        "  What host `{}` would do, without asking the gate, prepared at {}:",
        order.host, bundle.plan.prepared_at
    )];
    lines.extend(bundle.plan.steps.iter().map(step));
    let checks: Vec<_> = bundle.plan.checks.iter().map(|one| one.as_str()).collect();
    lines.push(format!(
        "      checks: {}; rollback: {}; plan good until {}",
        if checks.is_empty() {
            "none".to_owned()
        } else {
            checks.join(", ")
        },
        bundle.plan.rollback().as_str(),
        bundle.plan.expires_at
    ));
    lines.extend(
        bundle
            .plan
            .limits
            .iter()
            .map(|limit| format!("      the host says: {}", shown(limit, 300))),
    );
    lines.push(format!(
        "  Signatures in the file so far: {}",
        bundle.statements.len()
    ));
    lines.join("\n")
}

fn sign(context: &Context, arguments: &SignArguments) -> Result<(), Failure> {
    let mut bundle = read(&arguments.order)?;
    let (order, plan) = check_form(&bundle).map_err(|error| Failure::refused(error.to_string()))?;
    if bundle.statements.len() >= EMERGENCY_STATEMENTS_MAX {
        return Err(Failure::refused(
            "the file holds as many signatures as are read",
        ));
    }
    let mut keys = context.keys()?.into_iter();
    let key = match (keys.next(), keys.next()) {
        (Some(only), None) => only,
        (first, _) => {
            return Err(Failure::usage(format!(
                "{} SSH key was found; without the roster it is not known which is yours there",
                if first.is_some() {
                    "more than one"
                } else {
                    "no"
                }
            ))
            .hint("name it with `--key FILE`"));
        }
    };
    let signer = Signer {
        key: &key,
        person: arguments.person.clone(),
        deployment: bundle.order.deployment.clone(),
        roster_version: bundle.roster_version,
    };
    let subject = Subject::Emergency {
        host: bundle.order.host.clone(),
        order,
        plan,
        reason: None,
    };
    let signed = show_and_sign_for(
        context,
        &signer,
        subject,
        &effect(&bundle),
        EMERGENCY_SECONDS_MAX,
        ambient::now(),
    )?;
    bundle.statements.push(signed);
    replace(&arguments.order, &bundle)?;
    context.answer(
        &serde_json::json!({
            "order": order, "plan": plan, "signatures": bundle.statements.len(),
        }),
        |_| {
            format!(
                "signed by `{}`; {} signatures in {}",
                arguments.person,
                bundle.statements.len(),
                arguments.order.display()
            )
        },
    )
}

fn fetched(context: &Context, all: bool) -> Result<Emergencies, Failure> {
    Ok(context
        .client()?
        .get(&format!("emergencies?reviewed={all}"))?)
}

fn names(record: &EmergencyRecord) -> String {
    let names: Vec<&str> = record.people.iter().map(PersonId::as_str).collect();
    if names.is_empty() {
        "nobody whose signature counts".into()
    } else {
        names.join(", ")
    }
}

/// The exit code says whether one waits for a human.
fn list(context: &Context, all: bool) -> Result<ExitCode, Failure> {
    let emergencies = fetched(context, all)?;
    let open = |of: &Emergencies| of.emergencies.iter().any(|one| one.reviewed.is_none());
    // Those that are reviewed may fill the page: whether any is open is asked for by itself.
    let open = open(&emergencies) || all && open(&fetched(context, false)?);
    let now = ambient::now();
    context.answer(&emergencies, |emergencies| {
        let rows = emergencies.emergencies.iter().map(|one| {
            [
                one.change.to_string(),
                one.host.to_string(),
                one.ending.as_str().to_owned(),
                names(one),
                match (&one.reviewed, one.rung) {
                    (Some((verdict, person, ..)), _) => {
                        format!("{person}: {}", format!("{verdict:?}").to_lowercase())
                    }
                    (None, 0) => format!("due {}", when(one.due_at, now)),
                    (None, rung) => format!("OVERDUE, rung {rung}"),
                },
            ]
        });
        table(["emergency", "host", "ending", "signed by", "review"], rows)
    })?;
    Ok(if open {
        Exit::Refused.into()
    } else {
        ExitCode::SUCCESS
    })
}

/// What happened, from the bytes of the entry whose digest is signed, not from the server's words. What
/// cannot be checked against the roster is said.
fn told(entry: &Entry, roster: &Roster) -> Result<String, Failure> {
    let Event::Emergency {
        host,
        statements,
        receipt,
        ..
    } = &entry.event
    else {
        return Err(Failure::refused("that entry is no emergency"));
    };
    let receipt = match receipt::verify(receipt, roster) {
        Ok(receipt) => receipt.into_inner(),
        Err(error) => {
            return Err(Failure::refused(format!(
                "the receipt of `{host}` does not hold: {error}"
            ))
            .hint("nothing that it says can be reviewed; see `countersign log verify`"));
        }
    };
    let mut lines = vec![format!(
        "  Host `{host}` acted without the gate and ended at {}: {}",
        receipt.ended_at,
        receipt.ending.as_str()
    )];
    for one in statements {
        lines.push(match verify_statement(one, roster, None) {
            Ok(statement) => format!("  signed by {}", statement.approver),
            Err(error) => format!("  WARNING, a signature does not hold: {error}"),
        });
    }
    if statements.is_empty() {
        lines.push("  WARNING: signed by nobody whose signature counts".into());
    }
    lines.extend(receipt.in_place.iter().map(|one| {
        let version = one.new.as_ref();
        let version = version.map_or("removed", |version| version.as_str());
        format!("      in place: {} {version}", one.name)
    }));
    let notes = receipt.notes.iter();
    lines.extend(notes.map(|note| format!("      the host says: {}", shown(note, 300))));
    Ok(lines.join("\n"))
}

/// The emergency that an id, or the beginning of one, names.
fn named(context: &Context, named: &str) -> Result<ChangeId, Failure> {
    let all = fetched(context, false)?.emergencies;
    let mut matching = all
        .into_iter()
        .map(|record| record.change)
        .filter(|change| change.as_str().starts_with(named));
    match (matching.next(), matching.next()) {
        (Some(change), None) => Ok(change),
        (None, _) => Err(Failure::refused(format!(
            "no emergency `{}` waits for a review",
            shown(named, 100)
        ))
        .hint("see `countersign emergency list`")),
        (Some(_), Some(_)) => Err(Failure::usage(
            "that is the beginning of several; name more of it",
        )),
    }
}

fn review(context: &Context, arguments: &ReviewArguments, verdict: Verdict) -> Result<(), Failure> {
    let emergency = named(context, &arguments.emergency)?;
    let path = format!("emergencies/{}", encoded(emergency.as_str()));
    let client = context.client()?;
    let roster = client.roster()?;
    let view: EmergencyView = client.get(&path)?;
    let entry: Entry = canonical::from_bytes(view.entry.as_bytes())
        .map_err(|error| Failure::refused(format!("its entry cannot be read: {error}")))?;
    let same = matches!(&entry.event, Event::Emergency { emergency: of, .. } if *of == emergency);
    if entry.deployment != roster.deployment || !same {
        return Err(Failure::refused(format!(
            "the server showed another entry than that of `{emergency}`"
        )));
    }
    let (person, key) = context.person(&roster)?;
    let note = arguments
        .note
        .as_ref()
        .map(|text| SaltedText::new(ambient::random(), text.clone()));
    let subject = Subject::EmergencyReview {
        emergency: emergency.clone(),
        entry: Digest::of(view.entry.as_bytes()),
        verdict,
        note: digest_of(note.as_ref())?,
    };
    let statement = show_and_sign(
        context,
        &signer(&roster, &person, &key),
        subject,
        &told(&entry, &roster)?,
        false,
        ambient::now(),
    )?;
    let _: serde_json::Value =
        client.post(&format!("{path}/reviews"), &ReviewBody { statement, note })?;
    context.answer(
        &serde_json::json!({"emergency": emergency, "reviewed": true}),
        |_| format!("{emergency} is reviewed"),
    )
}
