//! The audit over an estate of a gigabyte: how fast on one core and on all, with how much memory;
//! beside DuckDB and jq over the same files. Counts must agree, or there are no figures.

use super::estate;
use super::figures::{median, rounded};
use super::{BenchError, Figured, failed, scratch};
use crate::ambient;
use countersign_evidence::audit::{self, Context, People, Progress, Question};
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// Arguments of `bench audit`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Megabytes of logs
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(10..=100_000))]
    megabytes: u64,
    /// Rounds
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=99))]
    rounds: u16,
    /// A Python that has the package `duckdb`; without one, DuckDB is left out
    #[arg(long, value_name = "PROGRAM")]
    duckdb: Option<PathBuf>,
    /// jq; without it, it is left out
    #[arg(long, value_name = "PROGRAM")]
    jq: Option<PathBuf>,
    /// A folder on the disk to use [default: the system's temporary folder]
    #[arg(long, value_name = "DIR")]
    scratch: Option<PathBuf>,
    /// Read these alone, in this process, and say how it went
    #[arg(long, hide = true, num_args = 1..)]
    of: Vec<PathBuf>,
    /// With so many threads
    #[arg(long, hide = true, default_value_t = 1)]
    threads: usize,
}

/// What was measured.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Report {
    /// Of all.
    All(Box<All>),
    /// Of one reading in this process.
    One(Reading),
}

/// Of all.
#[derive(Debug, Serialize)]
pub(super) struct All {
    what: &'static str,
    version: &'static str,
    rounds: u16,
    megabytes: u64,
    cores: usize,
    /// The whole estate on one core.
    one_core: Rate,
    /// The whole estate on all cores.
    all_cores: Rate,
    cloudtrail: Beside,
    kubernetes: Beside,
    /// `CloudTrail` as it is delivered, on one core.
    delivered: Rate,
}

/// How fast something was read.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Rate {
    /// Millions of bytes a second.
    mb_per_second: f64,
    /// The same without hashing the files.
    mb_per_second_unhashed: f64,
    peak_memory_mib: f64,
    actions: u64,
}

/// One file of JSON lines, beside others in the same rounds.
#[derive(Debug, Serialize)]
pub(super) struct Beside {
    /// On one core.
    audit: Rate,
    #[serde(skip_serializing_if = "Option::is_none")]
    duckdb_mb_per_second: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jq_mb_per_second: Option<f64>,
    /// The audit's rate without hashing, over DuckDB's.
    #[serde(skip_serializing_if = "Option::is_none")]
    to_duckdb: Option<f64>,
    /// The audit's rate with hashing, over jq's.
    #[serde(skip_serializing_if = "Option::is_none")]
    to_jq: Option<f64>,
    /// The audit's rate without hashing, over jq's.
    #[serde(skip_serializing_if = "Option::is_none")]
    to_jq_unhashed: Option<f64>,
    /// The same file on all cores, as the audit reads it unless told otherwise.
    all_cores: Rate,
    /// The audit's rate on all cores with hashing, over jq's, which knows but one.
    #[serde(skip_serializing_if = "Option::is_none")]
    all_cores_to_jq: Option<f64>,
}

/// One reading.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Reading {
    bytes: u64,
    seconds: f64,
    /// Of all threads together.
    hashing_seconds: f64,
    threads: u32,
    peak_memory_kib: u64,
    actions: u64,
}

const WHAT: &str = "audit: a mixed estate of logs, judged whole, each reading in a process of its own; \
    DuckDB (`read_json` with explicit columns, one thread) and `jq -c` count the same actions in the \
    same file, in turns";

/// Counts what the audit takes as an action. Arguments: what kind of log, and the file.
const DUCKDB: &str = r#"
import sys, time, json, duckdb
kind, path = sys.argv[1:]
db = duckdb.connect()
db.execute("set threads = 1")
queries = {
    "cloudtrail": """select count(*) from read_json($path, format = 'newline_delimited', columns = {
        eventTime: 'VARCHAR', eventSource: 'VARCHAR', eventName: 'VARCHAR', readOnly: 'BOOLEAN',
        errorCode: 'VARCHAR'})
        where not readOnly and errorCode is null and eventName = 'SendCommand'
        and eventSource = 'ssm.amazonaws.com'""",
    "kubernetes": """select count(*) from read_json($path, format = 'newline_delimited', columns = {
        stage: 'VARCHAR', verb: 'VARCHAR', requestReceivedTimestamp: 'VARCHAR',
        objectRef: 'STRUCT(resource VARCHAR, subresource VARCHAR)',
        responseStatus: 'STRUCT(code INTEGER)'})
        where stage = 'ResponseComplete' and verb in ('create', 'update', 'patch', 'delete')
        and objectRef.resource in ('deployments', 'statefulsets', 'daemonsets', 'pods', 'jobs')
        and objectRef.subresource is null and responseStatus.code < 400""",
}
began = time.monotonic()
count = db.execute(queries[kind], {"path": path}).fetchone()[0]
print(json.dumps({"seconds": time.monotonic() - began, "actions": count}))
"#;
const JQ: [(&str, &str); 2] = [
    (
        "cloudtrail",
        r#"select(.eventSource == "ssm.amazonaws.com" and .eventName == "SendCommand" and .errorCode == null and (.readOnly | not)) | .eventID"#,
    ),
    (
        "kubernetes",
        r#"select(.stage == "ResponseComplete" and (.verb | IN("create", "update", "patch", "delete")) and (.objectRef.resource | IN("deployments", "statefulsets", "daemonsets", "pods", "jobs")) and .objectRef.subresource == null and .responseStatus.code < 400) | .auditID"#,
    ),
];

#[derive(Deserialize)]
struct Counted {
    seconds: f64,
    actions: u64,
}

pub(super) fn measure(arguments: &Arguments) -> Result<Report, BenchError> {
    if !arguments.of.is_empty() {
        return one(arguments).map(Report::One);
    }
    let scratch = scratch(arguments.scratch.as_deref())?;
    eprintln!("writing {} MB of logs", arguments.megabytes);
    let estate = estate::make(scratch.path(), arguments.megabytes).map_err(failed("the logs"))?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let whole = [
        estate.delivered.as_path(),
        &estate.cloudtrail,
        &estate.kubernetes,
        &estate.apt,
    ];
    let rounds = |paths: &[&Path], threads: usize| -> Result<Rate, BenchError> {
        let readings: Result<Vec<_>, _> = (0..arguments.rounds)
            .map(|_| reading(paths, threads))
            .collect();
        Ok(Rate::of(&readings?))
    };
    // The first reading fetches the files into memory.
    reading(&whole, cores)?;
    let report = All {
        what: WHAT,
        version: env!("CARGO_PKG_VERSION"),
        rounds: arguments.rounds,
        megabytes: arguments.megabytes,
        cores,
        one_core: rounds(&whole, 1)?,
        all_cores: rounds(&whole, cores)?,
        cloudtrail: beside(arguments, "cloudtrail", &estate.cloudtrail, cores)?,
        kubernetes: beside(arguments, "kubernetes", &estate.kubernetes, cores)?,
        delivered: rounds(&[&estate.delivered], 1)?,
    };
    check(&report)?;
    Ok(Report::All(Box::new(report)))
}

/// Every reading must have found the same.
fn check(report: &All) -> Result<(), BenchError> {
    if report.one_core.actions == report.all_cores.actions && report.one_core.actions > 0 {
        return Ok(());
    }
    Err(BenchError::Void(format!(
        "{} actions were found on one core, {} on all",
        report.one_core.actions, report.all_cores.actions
    )))
}

/// Reads in this process.
fn one(arguments: &Arguments) -> Result<Reading, BenchError> {
    let context = Context::new(Some("UTC"), "web-1").map_err(failed("the zone"))?;
    let found = audit::find(&arguments.of).map_err(|skipped| BenchError::Failed {
        what: "the logs",
        why: skipped.why,
    })?;
    let question = Question {
        since: "2026-10-01T00:00:00Z".parse().map_err(failed("a time"))?,
        until: "2026-11-01T00:00:00Z".parse().map_err(failed("a time"))?,
        environment: None,
        skew_seconds: 60,
        zone: "UTC".to_owned(),
    };
    let mut last = Progress::default();
    let began = Instant::now();
    let people = People::default();
    let threads = arguments.threads;
    let report = audit::audit(
        found,
        &[],
        &context,
        &people,
        &question,
        threads,
        |progress| {
            last = progress;
        },
    )
    .map_err(failed("the audit"))?;
    Ok(Reading {
        bytes: last.bytes,
        seconds: began.elapsed().as_secs_f64(),
        hashing_seconds: last.hashing.as_secs_f64(),
        threads: u32::try_from(threads).unwrap_or(u32::MAX).max(1),
        peak_memory_kib: ambient::peak_memory_kib().unwrap_or_default(),
        actions: report.actions.len() as u64,
    })
}

/// Reads in a process of its own.
fn reading(paths: &[&Path], threads: usize) -> Result<Reading, BenchError> {
    const WHAT: &str = "reading the logs";
    let program = std::env::current_exe().map_err(failed(WHAT))?;
    let mut command = Command::new(program);
    command.args([
        "bench",
        "audit",
        "--json",
        "--threads",
        &threads.to_string(),
        "--of",
    ]);
    answered(command.args(paths), WHAT)
}

fn answered<T: for<'de> Deserialize<'de>>(
    command: &mut Command,
    what: &'static str,
) -> Result<T, BenchError> {
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(failed(what))?;
    if !output.status.success() {
        return Err(BenchError::Failed {
            what,
            why: output.status.to_string(),
        });
    }
    serde_json::from_slice(&output.stdout).map_err(failed(what))
}

impl Rate {
    fn of(readings: &[Reading]) -> Self {
        let of = |figure: &dyn Fn(&Reading) -> f64| {
            rounded(median(readings.iter().map(figure).collect()), 1)
        };
        let rate = |bytes: u64, seconds: f64| bytes as f64 / 1e6 / seconds.max(f64::MIN_POSITIVE);
        Self {
            mb_per_second: of(&|one| rate(one.bytes, one.seconds)),
            // All threads hash about as much as each other.
            mb_per_second_unhashed: of(&|one| {
                let hashing = one.hashing_seconds / f64::from(one.threads);
                rate(one.bytes, one.seconds - hashing)
            }),
            peak_memory_mib: of(&|one| one.peak_memory_kib as f64 / 1024.0),
            actions: readings.first().map_or(0, |one| one.actions),
        }
    }
}

/// Reads a file of JSON lines on one core and on all, and has others read it.
fn beside(
    arguments: &Arguments,
    kind: &'static str,
    file: &Path,
    cores: usize,
) -> Result<Beside, BenchError> {
    let bytes = std::fs::metadata(file).map_err(failed("the logs"))?.len() as f64;
    let rate = |seconds: f64| bytes / 1e6 / seconds.max(f64::MIN_POSITIVE);
    let (mut ours, mut ducks, mut jqs) = (Vec::new(), Vec::new(), Vec::new());
    let mut on_all = Vec::new();
    for _ in 0..arguments.rounds {
        ours.push(reading(&[file], 1)?);
        on_all.push(reading(&[file], cores)?);
        let actions = ours.first().map_or(0, |one: &Reading| one.actions);
        let all = on_all.last().map_or(0, |one| one.actions);
        let mut others = vec![("the audit on all cores", all)];
        if let Some(python) = &arguments.duckdb {
            let mut command = Command::new(python);
            command.args(["-c", DUCKDB, kind]).arg(file);
            let counted: Counted = answered(&mut command, "DuckDB")?;
            ducks.push(rate(counted.seconds));
            others.push(("DuckDB", counted.actions));
        }
        if let Some(jq) = &arguments.jq {
            let counted = by_jq(jq, kind, file)?;
            jqs.push(rate(counted.seconds));
            others.push(("jq", counted.actions));
        }
        for (name, found) in others {
            if found != actions {
                return Err(BenchError::Void(format!(
                    "{name} found {found} actions in the {kind} log, the audit {actions}"
                )));
            }
        }
    }
    let (audit, all_cores) = (Rate::of(&ours), Rate::of(&on_all));
    let of = |rates: Vec<f64>| (!rates.is_empty()).then(|| rounded(median(rates), 1));
    let (duckdb, jq) = (of(ducks), of(jqs));
    Ok(Beside {
        audit,
        duckdb_mb_per_second: duckdb,
        jq_mb_per_second: jq,
        to_duckdb: duckdb.map(|other| rounded(audit.mb_per_second_unhashed / other, 2)),
        to_jq: jq.map(|other| rounded(audit.mb_per_second / other, 1)),
        to_jq_unhashed: jq.map(|other| rounded(audit.mb_per_second_unhashed / other, 1)),
        all_cores_to_jq: jq.map(|other| rounded(all_cores.mb_per_second / other, 1)),
        all_cores,
    })
}

fn by_jq(jq: &Path, kind: &str, file: &Path) -> Result<Counted, BenchError> {
    let filter = JQ.iter().find(|(name, _)| *name == kind);
    let filter = filter.map_or("", |(_, filter)| filter);
    let began = Instant::now();
    let output = Command::new(jq)
        .args(["-c", filter])
        .arg(file)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(failed("jq"))?;
    Ok(Counted {
        seconds: began.elapsed().as_secs_f64(),
        actions: output.stdout.split(|byte| *byte == b'\n').count() as u64 - 1,
    })
}

impl Figured for Report {
    fn table(&self) -> String {
        let all = match self {
            Self::One(reading) => return format!("{reading:?}"),
            Self::All(all) => all,
        };
        let mut text = format!("{}.\n\n", all.what);
        let rows = [
            ("whole estate, one core", &all.one_core),
            ("whole estate, all cores", &all.all_cores),
            ("CloudTrail as delivered, one core", &all.delivered),
            ("CloudTrail, a line each, one core", &all.cloudtrail.audit),
            (
                "CloudTrail, a line each, all cores",
                &all.cloudtrail.all_cores,
            ),
            ("Kubernetes, a line each, one core", &all.kubernetes.audit),
            (
                "Kubernetes, a line each, all cores",
                &all.kubernetes.all_cores,
            ),
        ];
        for (name, rate) in rows {
            let _ = writeln!(
                text,
                "{name:<36} {:>7.0} MB/s ({:.0} without hashing), {:.0} MiB at most, {} actions",
                rate.mb_per_second, rate.mb_per_second_unhashed, rate.peak_memory_mib, rate.actions
            );
        }
        for (name, beside) in [
            ("CloudTrail", &all.cloudtrail),
            ("Kubernetes", &all.kubernetes),
        ] {
            if let (Some(rate), Some(ratio)) = (beside.duckdb_mb_per_second, beside.to_duckdb) {
                let _ = writeln!(
                    text,
                    "{name}: DuckDB {rate:.0} MB/s, ratio {ratio:.2} without hashing"
                );
            }
            if let (Some(rate), Some(ratio), Some(unhashed), Some(on_all)) = (
                beside.jq_mb_per_second,
                beside.to_jq,
                beside.to_jq_unhashed,
                beside.all_cores_to_jq,
            ) {
                let _ = writeln!(
                    text,
                    "{name}: jq {rate:.0} MB/s, ratio {ratio:.1}, {unhashed:.1} without hashing, \
                     {on_all:.1} on all cores with it"
                );
            }
        }
        let _ = write!(
            text,
            "countersign {}, {} MB, {} cores, medians of {} rounds",
            all.version, all.megabytes, all.cores, all.rounds
        );
        text
    }
}
