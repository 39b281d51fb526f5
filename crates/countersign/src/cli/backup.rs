//! `countersign backup` and `countersign restore`: arguments, progress on stderr, and what was
//! checked. What a backup is stands in `crate::backup`.

use super::{Context, Failure};
use crate::backup::{
    Known, Manifest, MissingDocuments, Restored, Restoring, Taking, restore as restore_backup, take,
};
use countersign_domain::text::shown;
use countersign_evidence::DemandedDocuments;
use indicatif::{ProgressBar, ProgressStyle};
use std::path::PathBuf;

/// Arguments of `backup`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Without --with-keys, the backup cannot sign anything; keep one copy of `keys/` apart from it.\nIt holds names and rationales of people either way: nobody but you should read it.\nOne that is killed half-way leaves a folder `.NAME.making-…` beside, which is no backup: remove it."
)]
pub struct BackupArguments {
    /// The directory to make
    to: PathBuf,
    /// Include the gate's keys and the operator's token: such a backup can do whatever the gate can
    #[arg(long)]
    with_keys: bool,
    /// Make it although documents are lost that only prove something (facts of decisions, policies no
    /// longer in force): they are named, and restoring needs this word again. What the state is
    /// computed from has to be there
    #[arg(long)]
    allow_missing: bool,
}

/// Arguments of `restore`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Restores into the directory named with --dir, which must be absent or empty.\n\nAn older backup lacks what was logged after it. Going on from there forks the log: hosts, auditors and witnesses that saw more refuse it for good. So name the newest checkpoint that anybody has (`authorizations/checkpoint` of an export, /api/v1/log/authorizations/checkpoint of the old server, `seen.json` in the state directory of a host, the `.head` file of a witness), or say `none` when nobody has any. Stop the old server for good before the restored one starts."
)]
pub struct RestoreArguments {
    /// The backup
    from: PathBuf,
    /// The newest checkpoint known elsewhere: of an export or the old server, a host's `seen.json`, a
    /// witness's `.head`; once for each holder, or `none`
    #[arg(long, required = true, value_name = "FILE|none")]
    latest_checkpoint: Vec<PathBuf>,
    /// Where `keys/` is, when the backup has none
    #[arg(long, value_name = "DIR")]
    keys: Option<PathBuf>,
    /// Do not ask the witnesses that the deployment names what they have seen
    #[arg(long)]
    without_witnesses: bool,
    /// Restore although documents that entries name are not in the backup: they are named. What the
    /// state is computed from has to be there
    #[arg(long)]
    allow_missing: bool,
}

/// Makes a backup of the data directory.
pub(super) fn backup(context: &Context, arguments: &BackupArguments) -> Result<(), Failure> {
    let bar = Bar::new();
    let taken = take(
        context.dir(),
        &arguments.to,
        Taking {
            with_keys: arguments.with_keys,
            allow_missing: arguments.allow_missing,
        },
        &mut |step, done, of| bar.at(step, done, of),
    )?;
    bar.0.finish_and_clear();
    context.answer(&taken, |taken| {
        let mut lines = vec![
            format!("backed up to {}", arguments.to.display()),
            reach(&taken.manifest),
            match taken.manifest.keys {
                true => "WITH KEYS: whoever reads it can do whatever the gate can".to_owned(),
                false => "without keys: restoring needs them too (`--keys DIR`)".to_owned(),
            },
        ];
        if !taken.left_out.is_empty() {
            let names = shown(&taken.left_out.join("`, `"), 500);
            lines.push(format!("no part of the deployment, left out: `{names}`"));
        }
        lines.extend(missing(&taken.missing));
        lines.join("\n")
    })
}

/// Restores a backup into the data directory.
pub(super) fn restore(context: &Context, arguments: &RestoreArguments) -> Result<(), Failure> {
    let known = known(&arguments.latest_checkpoint)?;
    let bar = Bar::new();
    let restoring = Restoring {
        from: &arguments.from,
        dir: context.dir(),
        keys: arguments.keys.as_deref(),
        genesis: context.genesis(),
        known: &known,
        ask_witnesses: !arguments.without_witnesses,
        documents: match arguments.allow_missing {
            true => DemandedDocuments::None,
            false => DemandedDocuments::All,
        },
    };
    let restored = restore_backup(&restoring, &mut |step, done, of| bar.at(step, done, of))?;
    bar.0.finish_and_clear();
    context.answer(&restored, |restored| summary(context, restored))?;
    if known.is_empty() && restored.witnesses_asked == 0 {
        eprintln!(
            "note: nobody said how far the log had got. If the old server went on after {}, what it logged then is missing, and the log forks with the next entry",
            restored.manifest.made_at
        );
    }
    Ok(())
}

/// Checkpoints named on the command line; `none` says that there are none.
pub(super) fn known(named: &[PathBuf]) -> Result<Known, Failure> {
    let none = named
        .iter()
        .filter(|path| path.as_os_str() == "none")
        .count();
    match none {
        0 => Ok(Known::read(named)?),
        1 if named.len() == 1 => Ok(Known::default()),
        _ => Err(Failure::usage(
            "`--latest-checkpoint none` stands alone; a file of that name is `./none`",
        )),
    }
}

fn reach(manifest: &Manifest) -> String {
    [
        ("authorizations", &manifest.authorizations),
        ("recommendations", &manifest.recommendations),
    ]
    .map(|(log, mark)| format!("{log}: {} entries, root {}", mark.size, mark.root))
    .join("\n")
}

fn summary(context: &Context, restored: &Restored) -> String {
    let mut lines = vec![
        format!(
            "restored `{}` to {}",
            restored.manifest.deployment,
            context.dir().display()
        ),
        reach(&restored.manifest),
        format!(
            "{}: {} files, {} blobs and every entry have their digests; {} entries give the stored state; signatures, quorums and order of {} changes hold; {}",
            match restored.missing.is_empty() {
                true => "nothing is missing",
                false => "DOCUMENTS ARE MISSING, and nothing else",
            },
            restored.manifest.files.len(),
            restored.blobs,
            restored.folded,
            restored.changes,
            restored.documents
        ),
    ];
    lines.extend(restored.held_against.iter().map(|held| {
        format!(
            "contains what `{}` has seen: {} entries of the {} log, root {}",
            held.file.display(),
            held.size,
            held.log,
            held.root
        )
    }));
    lines.push(format!(
        "{} witnesses have seen no more than there is",
        restored.witnesses_asked
    ));
    if restored.new_operator_token {
        lines.push("the operator's token is a new one".to_owned());
    }
    lines.extend(missing(&restored.missing));
    lines.join("\n")
}

/// A line for each document that is lost, as was allowed.
fn missing(missing: &MissingDocuments) -> impl Iterator<Item = String> {
    let lines = missing.lines().into_iter();
    lines.map(|lost| format!("MISSING: {}", shown(&lost, 500)))
}

/// Progress on stderr, and only on a terminal.
pub(super) struct Bar(pub(super) ProgressBar);

impl Bar {
    pub(super) fn new() -> Self {
        let bar = ProgressBar::new(0);
        if let Ok(style) = ProgressStyle::with_template("{msg} {bar:30} {percent} %") {
            bar.set_style(style);
        }
        Self(bar)
    }

    pub(super) fn at(&self, step: &str, done: u64, of: u64) {
        self.0.set_length(of);
        self.0.set_position(done);
        self.0.set_message(step.to_owned());
    }
}
