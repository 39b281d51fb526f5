//! `countersign emergency`: signs what a host prepared at its console when the gate is out of reach. Works
//! on the file alone: no server, no data directory. Whether the signature suffices is the host's to say.

use super::collect::replace;
use super::decide::step;
use super::signed::show_and_sign_for;
use super::{Context, Failure};
use crate::ambient;
use crate::signing::Signer;
use countersign_domain::PersonId;
use countersign_domain::emergency::{
    EMERGENCY_BYTES_MAX, EMERGENCY_SECONDS_MAX, EMERGENCY_STATEMENTS_MAX, EmergencyBundle,
};
use countersign_domain::statement::Subject;
use countersign_domain::text::shown;
use countersign_verify::emergency::check_form;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// What can be done in an emergency.
#[derive(Debug, clap::Subcommand)]
pub enum EmergencyCommand {
    /// Sign an order that a host prepared (`countersign-host emergency prepare`)
    Sign(SignArguments),
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
