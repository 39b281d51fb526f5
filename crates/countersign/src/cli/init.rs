//! `countersign init`: founds a deployment, with the person at the terminal as its first human.

use super::{Context, Failure};
use crate::ambient;
use crate::deployment::{Deployment, Founding, NewPerson};
use crate::signing::SshKey;
use countersign_domain::{DeploymentId, PersonId};
use serde::Serialize;
use std::net::SocketAddr;
use std::process::{Command, Stdio};

/// Arguments of `init`.
#[derive(Debug, clap::Args)]
pub struct InitArguments {
    /// A trial: one person may hold every seat, and every entry says so
    #[arg(long)]
    trial: bool,
    /// The deployment's id, such as `countersign.example.org/prod` [default for a trial: made up]
    #[arg(long, value_name = "ID")]
    deployment: Option<String>,
    /// Your handle in the roster [default: from `git config user.email`]
    #[arg(long, value_name = "HANDLE")]
    person: Option<PersonId>,
    /// Your name [default: from `git config user.name`]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Where the server will listen
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8440")]
    listen: SocketAddr,
}

#[derive(Serialize)]
struct Founded {
    deployment: DeploymentId,
    trial: bool,
    genesis: countersign_domain::Digest,
    person: PersonId,
    key: String,
    dir: std::path::PathBuf,
}

pub(super) fn run(context: &Context, arguments: InitArguments) -> Result<(), Failure> {
    let deployment = deployment_id(&arguments)?;
    let person = match arguments.person {
        Some(person) => person,
        None => handle()
            .ok_or_else(|| Failure::usage("who are you? name yourself with `--person HANDLE`"))?,
    };
    let name = arguments
        .name
        .or_else(|| git("user.name"))
        .unwrap_or_else(|| person.to_string());
    let (key, made) = match context.keys()?.into_iter().next() {
        Some(key) => (key, false),
        None if arguments.trial => (SshKey::generate()?, true),
        None => {
            return Err(Failure::refused("no SSH key was found")
                .hint("name one with `--key FILE`, or make one with `ssh-keygen -t ed25519`"));
        }
    };
    let new = NewPerson {
        person: person.clone(),
        name,
        public_key: key.public_key().to_owned(),
    };
    let mut founding = Founding::of_one(deployment, arguments.trial, new, ambient::now())?;
    founding.listen = arguments.listen;
    founding.origins = vec![format!("http://localhost:{}", arguments.listen.port())];
    eprintln!(
        "Founding deployment `{}`{}: `{person}` signs its genesis with key {}.",
        founding.deployment,
        if arguments.trial { " (trial)" } else { "" },
        key.fingerprint()
    );
    context.confirm("Sign this?")?;
    let opened = Deployment::create(
        context.dir(),
        founding,
        &[(person.clone(), &key)],
        made.then_some(&key),
    )?;
    let founded = Founded {
        deployment: opened.config().deployment.clone(),
        trial: arguments.trial,
        genesis: opened.config().genesis,
        person,
        key: key.fingerprint().to_owned(),
        dir: context.dir().to_owned(),
    };
    context.answer(&founded, |founded| {
        format!(
            "founded `{}` in {}\ngenesis {}\nnext: countersign policy init policy && countersign policy sign policy",
            founded.deployment,
            founded.dir.display(),
            founded.genesis
        )
    })
}

fn deployment_id(arguments: &InitArguments) -> Result<DeploymentId, Failure> {
    let text = match (&arguments.deployment, arguments.trial) {
        (Some(id), _) => id.clone(),
        (None, true) => format!("localhost/trial-{}", hex::encode(ambient::random::<4>())),
        (None, false) => {
            return Err(Failure::usage(
                "name the deployment with `--deployment ID`, or found a `--trial`",
            ));
        }
    };
    DeploymentId::new(text).map_err(|error| Failure::usage(error.to_string()))
}

/// A handle from the address with which git commits.
fn handle() -> Option<PersonId> {
    let email = git("user.email")?;
    PersonId::new(email.split('@').next()?.to_lowercase()).ok()
}

fn git(name: &str) -> Option<String> {
    let output = Command::new("git")
        .args(["config", "--get", name])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}
