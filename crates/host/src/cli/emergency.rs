//! `countersign-host emergency`: break-glass for a person at the console. Translates; what may be done
//! is decided in `work::emergency` and `countersign_verify::emergency`.

use super::{ConfigArgument, Failure, now, tell};
use crate::config::Config;
use crate::durable;
use crate::progress::Progress;
use crate::work::emergency::{Asked, read_bundles};
use crate::work::{Host, World};
use countersign_domain::canonical;
use countersign_domain::emergency::EmergencyBundle;
use countersign_domain::receipt::Ending;
use std::path::PathBuf;

/// What can be done in an emergency.
#[derive(Debug, clap::Subcommand)]
pub enum EmergencyCommand {
    /// Prepare an order for the pinned quorum to sign, changing nothing
    Prepare(PrepareArguments),
    /// Act on an order that the pinned quorum has signed, without the gate
    Run(BundleArguments),
}

/// Arguments of `emergency prepare`.
#[derive(Debug, clap::Args)]
pub struct PrepareArguments {
    #[command(flatten)]
    config: ConfigArgument,
    /// Where to write the order; the file must not exist yet
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// `NAME=VERSION`, or `NAME:ARCHITECTURE=VERSION`
    #[arg(required = true, value_name = "PACKAGE")]
    packages: Vec<Asked>,
}

/// Arguments of `emergency run`.
#[derive(Debug, clap::Args)]
pub struct BundleArguments {
    #[command(flatten)]
    config: ConfigArgument,
    /// The signed order, or copies of it that were signed apart
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

pub(super) fn run(command: &EmergencyCommand) -> Result<(), Failure> {
    match command {
        EmergencyCommand::Prepare(arguments) => prepare(arguments),
        EmergencyCommand::Run(arguments) => act(arguments),
    }
}

fn host(config: &ConfigArgument, world: World<'_>) -> Result<Host, Failure> {
    let config = Config::load(&config.config)?;
    Host::open(config, world).map_err(|error| {
        format!("{error}\n  hint: stop the daemon first (`systemctl stop countersign-host`): one process acts at a time").into()
    })
}

fn prepare(arguments: &PrepareArguments) -> Result<(), Failure> {
    let world = World {
        clock: &now,
        progress: Progress::new(&tell),
    };
    let mut host = host(&arguments.config, world)?;
    let bundle = host.prepare_emergency(world, &mut rand::rngs::OsRng, &arguments.packages)?;
    let text = serde_json::to_string_pretty(&bundle)?;
    durable::create_new(&arguments.out, text.as_bytes())
        .map_err(|error| format!("`{}`: {error}", arguments.out.display()))?;
    println!("order {}", bundle.order.digest()?);
    println!("plan {}", canonical::digest(&bundle.plan)?);
    steps(&bundle);
    eprintln!(
        "nothing was changed. Have the pinned quorum sign it, each on a machine of their own:\n  countersign emergency sign {0} --as HANDLE --key KEY\nthen, here and within a day:\n  countersign-host emergency run {0}",
        arguments.out.display()
    );
    Ok(())
}

fn steps(bundle: &EmergencyBundle) {
    for step in &bundle.plan.steps {
        let version = |version: &Option<countersign_domain::Version>| {
            version
                .as_ref()
                .map_or("none".to_owned(), ToString::to_string)
        };
        println!(
            "{} {} → {}, rollback {}",
            step.transition.name,
            version(&step.transition.old),
            version(&step.transition.new),
            step.reverse.source.as_str()
        );
    }
}

fn act(arguments: &BundleArguments) -> Result<(), Failure> {
    let world = World {
        clock: &now,
        progress: Progress::new(&tell),
    };
    let bundle = read_bundles(&arguments.files)?;
    let mut host = host(&arguments.config, world)?;
    let receipt = host.run_emergency(world, &bundle)?;
    println!("{} {}", receipt.change, receipt.ending.as_str());
    for note in &receipt.notes {
        eprintln!("{note}");
    }
    eprintln!("the gate gets the receipt and what was signed when this host next reaches it");
    match receipt.ending {
        Ending::Succeeded => Ok(()),
        ending => Err(format!("the emergency change ended as `{}`", ending.as_str()).into()),
    }
}
