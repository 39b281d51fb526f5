//! A named, timed part of `cargo xtask test`. Knows nothing of what it runs.

use std::process::Command;
use std::time::{Duration, Instant};

/// How one step ended.
pub struct Step {
    name: &'static str,
    passed: bool,
    took: Duration,
}

/// The steps that have run, in their order.
#[derive(Default)]
pub struct Steps {
    done: Vec<Step>,
}

impl Steps {
    /// Prints the section header, runs `body`, prints how it ended unless `last` (whose own closing line
    /// must remain the last thing on the screen). An error counts as a failure and is printed.
    pub fn run(
        &mut self,
        name: &'static str,
        last: bool,
        body: impl FnOnce() -> Result<bool, String>,
    ) {
        println!("\n==== {name} ====");
        let start = Instant::now();
        let passed = body().unwrap_or_else(|message| {
            println!("error: {message}");
            false
        });
        let step = Step {
            name,
            passed,
            took: start.elapsed(),
        };
        if !last {
            println!("{}", step.line());
        }
        self.done.push(step);
    }

    /// The steps so far, one line each.
    pub fn print(&self) {
        println!("\n==== so far ====");
        for step in &self.done {
            println!("{}", step.line());
        }
    }

    /// The names of the steps that failed.
    pub fn failed(&self) -> Vec<&'static str> {
        let failed = self.done.iter().filter(|step| !step.passed);
        failed.map(|step| step.name).collect()
    }
}

impl Step {
    fn line(&self) -> String {
        let verdict = if self.passed { "ok" } else { "FAILED" };
        let seconds = self.took.as_secs_f64();
        format!("{verdict:<6} {:<20} {seconds:>7.1} s", self.name)
    }
}

/// Runs `command` with its output where ours goes; true when it exits with 0.
pub fn succeeds(command: &mut Command) -> Result<bool, String> {
    let shown = format!("{command:?}");
    match command.status() {
        Ok(status) => Ok(status.success()),
        Err(error) => Err(format!("`{shown}` did not start: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::{Steps, succeeds};
    use std::process::Command;

    #[test]
    fn failures_and_errors_are_both_remembered() {
        let mut steps = Steps::default();
        steps.run("good", false, || Ok(true));
        steps.run("bad", false, || Ok(false));
        steps.run("broken", true, || Err("no such thing".into()));
        assert_eq!(steps.failed(), ["bad", "broken"]);
        let lines: Vec<String> = steps.done.iter().map(super::Step::line).collect();
        assert!(lines[0].starts_with("ok     good"), "{lines:?}");
        assert!(lines[1].starts_with("FAILED bad"), "{lines:?}");
    }

    #[test]
    fn exit_codes_count_and_missing_programs_are_errors() {
        assert_eq!(succeeds(&mut Command::new("true")), Ok(true));
        assert_eq!(succeeds(&mut Command::new("false")), Ok(false));
        let missing = succeeds(&mut Command::new("countersign-no-such-program"));
        assert!(missing.unwrap_err().contains("did not start"));
    }
}
