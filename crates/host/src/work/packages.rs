//! Reporting this host's packages: whenever it observes, and as soon as dpkg's log has grown. Nothing
//! is acted on here, and a gate that does not take a report stops no other work.

use super::answer::refusal;
use super::{Host, WorkError, World};
use crate::transitions::{Next, Subject, log_mark};

/// Reports handed in at once at most; what is more follows in the next round.
const REPORTS_MAX: usize = 50;
/// The word of a gate that knows another last report than this host.
const OTHER_CHAIN: &str = "conflict";

impl Host {
    /// True when dpkg's log is not what it was when it was reported last.
    pub(super) fn packages_due(&self) -> bool {
        self.log_mark != log_mark(&self.apt)
    }

    /// Hands in what there is to report; how many reports were taken. What cannot be read here is
    /// told and stops no other work.
    ///
    /// # Errors
    /// When the gate does not answer.
    pub(super) fn report_packages(&mut self, world: World<'_>) -> Result<usize, WorkError> {
        let mark = log_mark(&self.apt);
        match self.report_all(world, mark) {
            Err(WorkError::Report(error)) => {
                let text = format!("error: packages are not reported: {error}");
                world.progress.line(text);
                self.log_mark = mark;
                Ok(0)
            }
            other => other,
        }
    }

    fn report_all(
        &mut self,
        world: World<'_>,
        mark: Option<(u64, u64)>,
    ) -> Result<usize, WorkError> {
        let mut taken = 0;
        for _ in 0..REPORTS_MAX {
            let subject = Subject {
                deployment: &self.config.deployment,
                key: &self.key,
                apt: &self.apt,
                at_rest: self.journal.state().open().next().is_none(),
            };
            let caller = crate::client::Caller {
                key: &self.key,
                deployment: &self.config.deployment,
                now: (world.clock)(),
            };
            let Some(report) = self.reports.next(subject, (world.clock)())? else {
                return Ok(taken);
            };
            match self.client.packages_reported(caller, report) {
                Ok(()) => {
                    taken += 1;
                    match self.reports.taken()? {
                        Next::More => {}
                        Next::State => return Ok(taken),
                        Next::Rest => {
                            self.log_mark = mark;
                            return Ok(taken);
                        }
                    }
                }
                Err(error) if refusal(&error).is_some() => {
                    let text = format!("the gate did not take the report of packages: {error}");
                    world.progress.line(text);
                    if error.word() == Some(OTHER_CHAIN) && !self.reports.is_first() {
                        self.reports.begin_anew()?;
                        continue;
                    }
                    self.reports.put_off()?;
                    // The same would be refused again: the next one is due with the observation.
                    self.log_mark = mark;
                    return Ok(taken);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(taken)
    }
}
