//! `countersign audit`: the 30-day question over logs that exist already. No server, no set-up, no
//! network; reads files and prints. Judges nothing itself: see `evidence::audit`.

use super::audit_report::{self, Reports};
use super::render::width;
use super::{Context, Exit, Failure};
use crate::ambient;
use crate::deployment::Deployment;
use crate::evidence::StoreSource;
use countersign_domain::Timestamp;
use countersign_evidence::audit::{
    self, ActionFound, Found, MAPPING_BYTES_MAX, Mapping, OwnLog, PEOPLE_BYTES_MAX, People,
    Progress, Question, Report,
};
use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// A machine's own logs: folder, and how the names in it begin.
const OWN: [(&str, &str); 5] = [
    ("/var/log/apt", "history.log"),
    ("/var/log", "dpkg.log"),
    ("/var/log/unattended-upgrades", "unattended-upgrades.log"),
    ("/var/lib/dnf", "history.sqlite"),
    ("/usr/lib/sysimage/libdnf5", "transaction_history.sqlite"),
];

/// Arguments of `audit`.
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Exit codes: 0 nothing ungoverned; 1 ungoverned actions were found; 2 it could not be judged: nothing of a known format was read, nothing ungoverned was found but a file broke off or a record could not be read, usage was wrong, or a report could not be written."
)]
pub struct AuditArguments {
    #[command(subcommand)]
    command: Option<AuditCommand>,
    /// Files and folders of logs and approvals, a deployment's folder or an exported log among them; `-` is
    /// standard input [default: this machine's own logs of apt, dpkg and dnf]
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// The registry of named humans: CSV with a column `name`, others with further names, and `kind`
    #[arg(long, value_name = "FILE")]
    people: Option<PathBuf>,
    /// What records of another format are, CSV or JSON: TOML, see docs/audit.md; as often as wanted
    #[arg(long, value_name = "FILE")]
    mapping: Vec<PathBuf>,
    /// From when on: `30d`, `12h`, a day, or a time in RFC 3339
    #[arg(long, default_value = "30d", value_name = "WHEN")]
    since: String,
    /// Until when [default: now]
    #[arg(long, value_name = "WHEN")]
    until: Option<String>,
    /// Leave out what logs place in another environment
    #[arg(long, value_name = "NAME")]
    env: Option<String>,
    /// The zone of local times, such as `Europe/Berlin` [default: this machine's]
    #[arg(long, value_name = "ZONE")]
    tz: Option<String>,
    /// The host that all logs of apt, dpkg and dnf are of [default: this machine's name; where the same kind of log
    /// lies in several folders, hosts named by these]
    #[arg(long, value_name = "NAME")]
    host: Option<String>,
    /// By how many seconds clocks may differ
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u16).range(0..=3600))]
    skew: u16,
    /// On how many threads to read [default: one a core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=128))]
    threads: Option<u8>,
    /// About how much memory what is judged may take, in MiB; logs that hold more are refused
    #[arg(long, value_name = "MIB", default_value_t = audit::MEMORY_DEFAULT >> 20, value_parser = clap::value_parser!(u64).range(1..=1024 * 1024))]
    memory: u64,
    /// Draw so many autonomous actions for an auditor to look at
    #[arg(long, value_name = "N", conflicts_with = "explain")]
    sample: Option<usize>,
    /// What the sample is drawn with: the same seed draws the same
    #[arg(long, default_value_t = 1, requires = "sample")]
    seed: u64,
    /// Tell of one action, by the beginning of its id, with the lines of the logs that it rests on
    #[arg(long, value_name = "ID")]
    explain: Option<String>,
    #[command(flatten)]
    reports: Reports,
}

#[derive(Debug, clap::Subcommand)]
enum AuditCommand {
    /// What is read, what counts as an action or an approval, and who counts as a person
    Formats,
    /// The JSON Schema of what `--json` writes
    Schema,
    /// Proposes a mapping (for `--mapping`) from a sample: CSV with a head, or JSON objects
    #[command(
        after_help = "Exit codes: 0 the mapping can be used as it is; 1 something must be filled in, which stderr names; 2 the sample could not be read."
    )]
    InitMapping {
        /// Some of the records
        #[arg(value_name = "FILE")]
        sample: PathBuf,
        /// Write it there, where no file is yet [default: standard output]
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
}

pub(super) fn run(context: &Context, arguments: &AuditArguments) -> Result<ExitCode, Failure> {
    match &arguments.command {
        Some(AuditCommand::Formats) => {
            let formats = audit::formats();
            context.answer(&formats, |formats| of_formats(formats))?;
            return Ok(ExitCode::SUCCESS);
        }
        Some(AuditCommand::Schema) => {
            context.say(&format!("{:#}", audit::schema()));
            return Ok(ExitCode::SUCCESS);
        }
        Some(AuditCommand::InitMapping { sample, out }) => {
            return init_mapping(context, sample, out.as_deref());
        }
        None => {}
    }
    // What cannot be written is better known before the long read.
    arguments.reports.check(context.json)?;
    audited(context, arguments)
}

/// Answers with what was found. `reading` and `logs` are what it was read with.
fn answer(
    context: &Context,
    arguments: &AuditArguments,
    report: &Report,
    reading: &audit::Context,
    logs: &[OwnLog<'_>],
) -> Result<ExitCode, Failure> {
    let provenance = audit_report::provenance(
        arguments.sample.map(|size| (size, arguments.seed)),
        ambient::now(),
    );
    arguments.reports.write(report, &provenance)?;
    match (&arguments.explain, arguments.sample) {
        _ if arguments.reports.stdout(report, &provenance)? => {}
        (Some(id), _) => {
            let explained = audit::explained(report, one(report, id)?, reading, logs);
            context.answer(&explained, |explained| {
                let found = audit::explain(report, explained.found, width());
                format!("{found}{}", audit::quoted(explained, width()))
            })?;
        }
        (None, Some(size)) => {
            let sample = report.sample(size, arguments.seed);
            context.answer(&sample, |sample| of_sample(report, sample))?;
        }
        (None, None) => context.answer(report, |report| audit::render(report, width()))?,
    }
    Ok(if report.read_nothing() {
        ExitCode::from(2)
    } else if report.counts.ungoverned > 0 {
        Exit::Refused.into()
    } else if report.may_hide_actions() {
        eprintln!(
            "nothing ungoverned was found, but an action may hide in what could not be read; hint: the \
             report names it above the verdict"
        );
        ExitCode::from(2)
    } else {
        ExitCode::SUCCESS
    })
}

fn audited(context: &Context, arguments: &AuditArguments) -> Result<ExitCode, Failure> {
    let usage = |message: String| Failure::new(Exit::Usage, message);
    let now = ambient::now();
    let since = time(&arguments.since, now).ok_or_else(|| not_a_time(&arguments.since))?;
    let until = match &arguments.until {
        Some(text) => time(text, now).ok_or_else(|| not_a_time(text))?,
        None => now,
    };
    if since >= until {
        return Err(usage(format!(
            "the period ends at {until}, before it begins at {since}"
        )));
    }
    let host = arguments.host.clone().unwrap_or_else(|| {
        rustix::system::uname()
            .nodename()
            .to_string_lossy()
            .into_owned()
    });
    let mut reading = audit::Context::new(arguments.tz.as_deref(), host)
        .map_err(|error| usage(error.to_string()))?
        .with_mappings(
            arguments
                .mapping
                .iter()
                .map(|file| mapping(file))
                .collect::<Result<_, _>>()?,
        )
        .within(arguments.memory << 20);
    if arguments.host.is_some() {
        reading = reading.of_one_host();
    }
    let people = match &arguments.people {
        Some(file) => people(file)?,
        None => People::default(),
    };
    let question = Question {
        since,
        until,
        environment: arguments.env.clone(),
        skew_seconds: arguments.skew.into(),
        zone: reading.zone_name().to_owned(),
    };
    let (deployments, paths): (Vec<PathBuf>, Vec<PathBuf>) = if arguments.paths.is_empty() {
        (Vec::new(), own())
    } else {
        let paths = arguments.paths.iter().cloned();
        paths.partition(|path| path.join("deployment.toml").is_file())
    };
    let mut gates = Vec::new();
    for folder in deployments {
        let (_, gate) = Deployment::open_read_only(&folder)?;
        gates.push((folder, gate));
    }
    // What a folder says of its own genesis pins nothing.
    if let Some(genesis) = context.genesis() {
        reading = reading.pinned(genesis);
    }
    let sources: Vec<_> = gates.iter().map(|(_, gate)| StoreSource(gate)).collect();
    let logs: Vec<OwnLog<'_>> = gates
        .iter()
        .zip(&sources)
        .map(|((folder, _), source)| OwnLog::Opened(folder.clone(), source))
        .collect();
    if paths.is_empty() && logs.is_empty() {
        return Err(usage("this machine has no logs of apt, dpkg or dnf".into())
            .hint("name files or folders; `countersign audit formats` says what is read"));
    }
    let found: Found = audit::find(&paths)
        .map_err(|skipped| usage(format!("`{}`: {}", skipped.path.display(), skipped.why)))?;
    let bar = bar(found.files.len());
    let (mut read, began) = (0, Instant::now());
    let threads = match arguments.threads {
        Some(threads) => threads.into(),
        None => std::thread::available_parallelism().map_or(1, usize::from),
    };
    let report = audit::audit(
        found,
        &logs,
        &reading,
        &people,
        &question,
        threads,
        |progress: Progress| {
            bar.set_position(progress.files as u64);
            bar.set_message(HumanBytes(progress.bytes).to_string());
            read = progress.bytes;
        },
    );
    bar.finish_and_clear();
    let report = report.map_err(|error| usage(error.to_string()))?;
    effort(read, began.elapsed());
    answer(context, arguments, &report, &reading, &logs)
}

fn init_mapping(context: &Context, sample: &Path, out: Option<&Path>) -> Result<ExitCode, Failure> {
    let failed = |file: &Path, error: &dyn std::fmt::Display| {
        Failure::new(Exit::Usage, format!("`{}`: {error}", file.display()))
    };
    let proposal = audit::propose(sample).map_err(|error| failed(sample, &error))?;
    match out {
        None => context.answer(&proposal, |proposal| proposal.toml.clone())?,
        Some(out) => {
            File::create_new(out)
                .and_then(|mut file| file.write_all(proposal.toml.as_bytes()))
                .map_err(|error| failed(out, &error))?;
        }
    }
    for missing in &proposal.missing {
        eprintln!("to be filled in: {missing}");
    }
    Ok(if proposal.missing.is_empty() {
        ExitCode::SUCCESS
    } else {
        Exit::Refused.into()
    })
}

/// Says what reading took.
fn effort(bytes: u64, elapsed: Duration) {
    let rate = bytes as f64 / elapsed.as_secs_f64().max(f64::MIN_POSITIVE);
    let peak = ambient::peak_memory_kib().map_or_else(String::new, |kib| {
        format!("; {} of memory at most", HumanBytes(kib * 1024))
    });
    eprintln!(
        "read {} in {:.1} s ({}/s){peak}",
        HumanBytes(bytes),
        elapsed.as_secs_f64(),
        HumanBytes(rate as u64)
    );
}

fn bar(files: usize) -> ProgressBar {
    let bar = ProgressBar::new(files as u64);
    let style = "reading {bar:30} {pos}/{len} files, {msg}, {elapsed}, {eta} left";
    if let Ok(style) = ProgressStyle::with_template(style) {
        bar.set_style(style);
    }
    bar
}

fn people(file: &Path) -> Result<People, Failure> {
    let usage = |error: String| Failure::new(Exit::Usage, format!("`{}`: {error}", file.display()));
    let mut text = Vec::new();
    File::open(file)
        .and_then(|opened| opened.take(PEOPLE_BYTES_MAX + 1).read_to_end(&mut text))
        .map_err(|error| usage(error.to_string()))?;
    if text.len() as u64 > PEOPLE_BYTES_MAX {
        return Err(usage(format!("longer than {PEOPLE_BYTES_MAX} bytes")));
    }
    People::read(text.as_slice()).map_err(|error| usage(error.to_string()))
}

fn mapping(file: &Path) -> Result<Mapping, Failure> {
    let usage = |error: String| Failure::new(Exit::Usage, format!("`{}`: {error}", file.display()));
    let mut text = String::new();
    File::open(file)
        .and_then(|opened| opened.take(MAPPING_BYTES_MAX + 1).read_to_string(&mut text))
        .map_err(|error| usage(error.to_string()))?;
    if text.len() as u64 > MAPPING_BYTES_MAX {
        return Err(usage(format!("longer than {MAPPING_BYTES_MAX} bytes")));
    }
    Mapping::read(&text).map_err(|error| usage(error.to_string()))
}

/// This machine's own logs.
pub(crate) fn own() -> Vec<PathBuf> {
    let mut paths = Vec::new();
    for (folder, begins) in OWN {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        paths.extend(entries.map(|entry| entry.path()).filter(|path| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with(begins))
        }));
    }
    paths
}

/// `30d`, `12h`, `2026-11-01`, or RFC 3339.
fn time(text: &str, now: Timestamp) -> Option<Timestamp> {
    let ago = |count: &str, seconds: i64| {
        let count: i64 = count.parse().ok().filter(|count| *count >= 0)?;
        Some(now.plus_seconds(-count.checked_mul(seconds)?))
    };
    if let Some(days) = text.strip_suffix('d') {
        return ago(days, 24 * 3600);
    }
    if let Some(hours) = text.strip_suffix('h') {
        return ago(hours, 3600);
    }
    text.parse()
        .or_else(|_| format!("{text}T00:00:00Z").parse())
        .ok()
}

fn not_a_time(text: &str) -> Failure {
    let shown = countersign_domain::text::shown(text, 40);
    Failure::new(Exit::Usage, format!("`{shown}` is no time"))
        .hint("`30d`, `12h`, `2026-11-01` or `2026-11-01T12:00:00Z`")
}

fn one<'a>(report: &'a Report, id: &str) -> Result<&'a ActionFound, Failure> {
    let mut found = report
        .actions
        .iter()
        .filter(|found| !id.is_empty() && found.id.starts_with(id));
    let shown = countersign_domain::text::shown(id, 20);
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one),
        (Some(_), Some(_)) => Err(Failure::new(
            Exit::Usage,
            format!("several actions have an id that begins with `{shown}`"),
        )),
        (None, _) => Err(Failure::new(
            Exit::Usage,
            format!("no action has an id that begins with `{shown}`"),
        )
        .hint("the ids stand in the report; the same paths and period must be given")),
    }
}

fn of_sample(report: &Report, sample: &[&ActionFound]) -> String {
    let all = report.autonomous().count();
    let mut text = format!("{} of {all} autonomous actions\n", sample.len());
    for found in sample {
        text.push('\n');
        text.push_str(&audit::explain(report, found, width()));
    }
    text
}

fn of_formats(formats: &[audit::About]) -> String {
    let mut text = String::new();
    for about in formats {
        let unproven = if about.proven {
            ""
        } else {
            " (documented shape, unproven)"
        };
        text.push_str(&format!(
            "{}{unproven}\n  reads      {}\n  actions    {}\n  approvals  {}\n  people     {}\n\n",
            about.format.as_str(),
            about.reads,
            about.actions,
            about.approvals,
            about.people
        ));
    }
    text.truncate(text.trim_end().len());
    text
}
