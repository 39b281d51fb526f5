//! `countersign emergency`: signs what a host prepared at its console when the gate is out of reach, on
//! the file alone: no server, no data directory (whether the signature suffices is the host's to say);
//! and lists and reviews what hosts did so, once the gate has heard of it.

use super::change::encoded;
use super::collect::replace;
use super::context::signer;
use super::decide::{digest_of, step};
use super::render::{table, when};
use super::signed::{show_and_sign, show_and_sign_for};
use super::{Context, Failure};
use crate::ambient;
use crate::api::wire::{Emergencies, ReviewBody};
use crate::signing::Signer;
use countersign_domain::PersonId;
use countersign_domain::emergency::{
    EMERGENCY_BYTES_MAX, EMERGENCY_SECONDS_MAX, EMERGENCY_STATEMENTS_MAX, EmergencyBundle,
};
use countersign_domain::statement::{Subject, Verdict};
use countersign_domain::text::{SaltedText, shown};
use countersign_gate::state::EmergencyRecord;
use countersign_verify::emergency::check_form;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// What can be done in an emergency.
#[derive(Debug, clap::Subcommand)]
pub enum EmergencyCommand {
    /// Sign an order that a host prepared (`countersign-host emergency prepare`)
    Sign(SignArguments),
    /// List what hosts did because the glass was broken
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

pub(super) fn run(context: &Context, command: EmergencyCommand) -> Result<(), Failure> {
    match command {
        EmergencyCommand::Sign(arguments) => sign(context, &arguments),
        EmergencyCommand::List { all } => list(context, all),
        EmergencyCommand::Accept(arguments) => review(context, &arguments, Verdict::Accept),
        EmergencyCommand::Concern(arguments) => review(context, &arguments, Verdict::Concern),
    }
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

fn list(context: &Context, all: bool) -> Result<(), Failure> {
    let emergencies = fetched(context, all)?;
    context.answer(&emergencies, |emergencies| {
        let rows = emergencies.emergencies.iter().map(|one| {
            [
                one.change.to_string(),
                one.host.to_string(),
                one.ending.as_str().to_owned(),
                names(one),
                match &one.reviewed {
                    Some((verdict, person, ..)) => {
                        format!("{person}: {}", format!("{verdict:?}").to_lowercase())
                    }
                    None => format!("due {}", when(one.due_at, ambient::now())),
                },
            ]
        });
        table(["emergency", "host", "ending", "signed by", "review"], rows)
    })
}

/// What happened, in the gate's words; the reviewer signs the digest of that entry.
fn told(record: &EmergencyRecord) -> String {
    let mut lines = vec![
        format!(
            "  Host `{}` acted without the gate and ended at {}: {}",
            record.host,
            record.ended_at,
            record.ending.as_str()
        ),
        format!("  signed by {}", names(record)),
    ];
    lines.extend(record.in_place.iter().map(|one| {
        format!(
            "      in place: {} {}",
            one.name,
            one.new
                .as_ref()
                .map_or("removed", |version| version.as_str())
        )
    }));
    lines.extend(
        record
            .notes
            .iter()
            .map(|note| format!("      the host says: {}", shown(note, 300))),
    );
    lines.join("\n")
}

fn review(context: &Context, arguments: &ReviewArguments, verdict: Verdict) -> Result<(), Failure> {
    let all = fetched(context, false)?.emergencies;
    let mut matching = all
        .into_iter()
        .filter(|one| one.change.as_str().starts_with(&arguments.emergency));
    let record = match (matching.next(), matching.next()) {
        (Some(record), None) => record,
        (None, _) => {
            return Err(Failure::refused(format!(
                "no emergency `{}` waits for a review",
                shown(&arguments.emergency, 100)
            ))
            .hint("see `countersign emergency list`"));
        }
        (Some(_), Some(_)) => {
            return Err(Failure::usage(
                "that is the beginning of several; name more of it",
            ));
        }
    };
    let client = context.client()?;
    let roster = client.roster()?;
    let (person, key) = context.person(&roster)?;
    let note = arguments
        .note
        .as_ref()
        .map(|text| SaltedText::new(ambient::random(), text.clone()));
    let subject = Subject::EmergencyReview {
        emergency: record.change.clone(),
        entry: record.entry,
        verdict,
        note: digest_of(note.as_ref())?,
    };
    let statement = show_and_sign(
        context,
        &signer(&roster, &person, &key),
        subject,
        &told(&record),
        false,
        ambient::now(),
    )?;
    let path = format!("emergencies/{}/reviews", encoded(record.change.as_str()));
    let _: serde_json::Value = client.post(&path, &ReviewBody { statement, note })?;
    context.answer(
        &serde_json::json!({"emergency": record.change, "reviewed": true}),
        |_| format!("{} is reviewed", record.change),
    )
}
