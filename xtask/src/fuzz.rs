//! `cargo xtask fuzz`: builds the targets in `fuzz` with coverage instrumentation, and lets libFuzzer
//! run each for a while. The flags are those that `cargo fuzz` gives without a sanitizer, so that the
//! stable compiler will do; `cargo fuzz run TARGET` works in the same folder.

use crate::metadata::Workspace;
use crate::root::{cargo, locked};
use crate::step::succeeds;
use std::path::Path;
use std::process::Command;

/// Every target.
pub const TARGETS: [&str; 9] = [
    "warrant",
    "note",
    "checkpoint",
    "proof",
    "sshsig",
    "proposal",
    "apt_hook",
    "icalendar",
    "audit",
];

/// Seconds for each target, where nobody says.
const SECONDS: u32 = 60;

/// What LLVM is told: coverage for libFuzzer, as `cargo fuzz` asks for it.
const FLAGS: &str = "--cfg fuzzing -Ccodegen-units=1 -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares \
    -Cllvm-args=-simplifycfg-branch-fold-threshold=0";

/// What to run, and for how long.
#[derive(Debug, PartialEq, Eq)]
pub struct Options {
    targets: Vec<&'static str>,
    seconds: u32,
}

impl Options {
    /// Every target, for so many seconds each.
    pub fn all(seconds: u32) -> Self {
        Self {
            targets: TARGETS.to_vec(),
            seconds,
        }
    }

    /// Parses the words after `fuzz`.
    pub fn parse(words: &[String]) -> Result<Self, String> {
        let mut options = Self::all(SECONDS);
        let mut words = words.iter();
        while let Some(word) = words.next() {
            if word == "--seconds" {
                let seconds = words.next().and_then(|word| word.parse().ok());
                options.seconds = seconds
                    .filter(|seconds| *seconds > 0)
                    .ok_or("`--seconds` takes a number from 1")?;
            } else {
                let target = TARGETS.into_iter().find(|target| target == word);
                let target = target.ok_or_else(|| {
                    format!(
                        "no target is called `{word}`; there are {}",
                        TARGETS.join(", ")
                    )
                })?;
                options.targets = vec![target];
            }
        }
        Ok(options)
    }
}

/// Builds, and runs one target after another. False when one failed; its input is kept and named.
pub fn run(root: &Path, options: &Options) -> Result<bool, String> {
    let folder = root.join("fuzz");
    let target = Workspace::read(root)?.target_folder.join("fuzz");
    let triple = host_triple()?;
    let mut build = cargo(&folder);
    build
        .args(["build", "--release", "--target", &triple])
        .arg("--target-dir")
        .arg(&target)
        .env("RUSTFLAGS", FLAGS)
        .env_remove("CARGO_ENCODED_RUSTFLAGS");
    for name in &options.targets {
        build.args(["--bin", name]);
    }
    if !succeeds(build.args(locked()))? {
        return Err("the fuzz targets do not build".to_owned());
    }
    let mut sound = true;
    for name in &options.targets {
        let corpus = target.join("corpus").join(name);
        let artifacts = target.join("artifacts").join(name);
        for folder in [&corpus, &artifacts] {
            std::fs::create_dir_all(folder)
                .map_err(|error| format!("`{}`: {error}", folder.display()))?;
        }
        println!("fuzzing {name} for {} s", options.seconds);
        let program = target.join(&triple).join("release").join(name);
        let mut fuzzer = Command::new(program);
        fuzzer
            .arg(format!("-max_total_time={}", options.seconds))
            .args([
                "-verbosity=0",
                "-print_funcs=0",
                "-print_final_stats=1",
                "-rss_limit_mb=2048",
                "-timeout=10",
            ])
            .arg(format!("-artifact_prefix={}/", artifacts.display()))
            .arg(&corpus)
            .env("FUZZ_SEEDS", &corpus);
        if !succeeds(&mut fuzzer)? {
            eprintln!(
                "error: `{name}` failed; hint: its input is in {}; run it again with `cargo fuzz run {name} FILE`, \
                 and make it a test of the crate that reads it",
                artifacts.display()
            );
            sound = false;
        }
    }
    Ok(sound)
}

/// The machine's own triple: naming it keeps the flags away from build scripts.
fn host_triple() -> Result<String, String> {
    let output = Command::new("rustc")
        .arg("-vV")
        .output()
        .map_err(|error| format!("`rustc` did not start: {error}"))?;
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .map(str::to_owned)
        .ok_or_else(|| "`rustc -vV` names no host".to_owned())
}

#[cfg(test)]
mod tests {
    use super::{Options, SECONDS, TARGETS};

    fn parse(line: &str) -> Result<Options, String> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        Options::parse(&words)
    }

    #[test]
    fn words_have_their_places() {
        assert_eq!(parse(""), Ok(Options::all(SECONDS)));
        let one = parse("--seconds 5 proof").unwrap();
        assert_eq!((one.targets, one.seconds), (vec!["proof"], 5));
        for wrong in ["--seconds", "--seconds 0", "--seconds soon", "warant"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn every_target_of_the_folder_is_run() {
        let root = crate::root::find().unwrap();
        let mut found: Vec<String> = std::fs::read_dir(root.join("fuzz/fuzz_targets"))
            .unwrap()
            .map(|file| file.unwrap().path())
            .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
            .collect();
        found.sort_unstable();
        let mut known = TARGETS.map(str::to_owned).to_vec();
        known.sort_unstable();
        assert_eq!(found, known);
    }
}
