//! Reads AWX (Ansible Automation Platform, `/api/v2`): jobs, their events, and approvals in workflows.
//! An approval names the workflow's run by its id; so does every job of that run. Both are written by
//! the controller, not typed, which makes it a strong link.

use super::ansible::{Event, is_check};
use super::lenient::{Flag, Marks, Object, Text, clip, key, parse};
use super::references;
use super::{About, Context, JsonReader, Record, Taken};
use crate::audit::controllers::{Given, JOB, marked};
use crate::audit::model::{
    Action, Actor, Change, ChangeKind, Decision, Exclusion, FileNumber, Format, Naming, Nature,
    Outcome, Plan, Reference, Row,
};
use crate::audit::moment::Moment;
use crate::audit::runs::{Run, RunKey, Told};
use memchr::memmem::Finder;
use serde::Deserialize;

/// What jobs and approvals have; what their events have.
static MARKS: Marks<3> = Marks::new(|| {
    let words = ["\"launch_type\"", "\"event_data\"", "_event\""];
    words.map(Finder::new)
});
/// The most hosts of one job that become actions of their own.
const HOSTS_MAX: usize = 100;

/// The reader.
pub(crate) struct Awx;

#[derive(Deserialize, Default)]
#[serde(default)]
struct Job {
    id: Text,
    #[serde(rename = "type")]
    kind: Text,
    name: Text,
    description: Text,
    status: Text,
    created: Text,
    started: Text,
    finished: Text,
    timed_out: Flag,
    launch_type: Text,
    launched_by: Object<Launcher>,
    job_type: Text,
    playbook: Text,
    module_name: Text,
    limit: Text,
    extra_vars: Text,
    job_args: Text,
    job_tags: Text,
    scm_branch: Text,
    host_status_counts: Option<Object<Counts>>,
    summary_fields: Object<Summary>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Launcher {
    name: Text,
    #[serde(rename = "type")]
    kind: Text,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Counts {
    changed: Text,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Summary {
    created_by: Object<User>,
    approved_or_denied_by: Object<User>,
    inventory: Object<Named>,
    /// Of an event.
    job: Object<Named>,
    workflow_job: Object<Named>,
    source_workflow_job: Object<Named>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct User {
    username: Text,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Named {
    id: Text,
    name: Text,
}

/// What an event tells of its job.
#[derive(Deserialize, Default)]
#[serde(default)]
struct OfJob {
    #[serde(rename = "type")]
    kind: Text,
    job: Text,
    ad_hoc_command: Text,
    summary_fields: Object<Summary>,
}

impl JsonReader for Awx {
    fn format(&self) -> Format {
        Format::Awx
    }

    fn take(&self, record: Record<'_>, _: &Context, rows: &mut Vec<Row>) -> Taken {
        const NO_JSON: Taken = Taken::Unreadable("no JSON, nested too deeply, or a field twice");
        match MARKS.of(record.bytes) {
            [_, true, true] => {
                let (Some(event), Some(of)) =
                    (parse::<Event>(record.bytes), parse::<OfJob>(record.bytes))
                else {
                    return NO_JSON;
                };
                match of.kind.0.as_str() {
                    "job_event" | "ad_hoc_command_event" => {}
                    "project_update_event" | "inventory_update_event" | "system_job_event" => {
                        rows.push(Row::Excluded(Exclusion::Other));
                        return Taken::Read(None);
                    }
                    _ => return Taken::NotMine,
                }
                let id = of.job.some().or(of.ad_hoc_command.some());
                let job = id.map(|id| {
                    native(
                        "job",
                        id,
                        &of.summary_fields.0.job.0.name,
                        record.place.file,
                    )
                });
                event.take(Format::Awx, job.as_deref(), record, rows)
            }
            [true, _, _] => {
                let Some(job) = parse::<Job>(record.bytes) else {
                    return NO_JSON;
                };
                job.take(record, rows)
            }
            _ => Taken::NotMine,
        }
    }

    fn about(&self) -> About {
        About {
            format: Format::Awx,
            reads: "AWX, Automation Platform (/api/v2): jobs, ad_hoc_commands, job_events, \
                    workflow_approvals. An event's job tells whether it was a dry run, and who \
                    started it",
            actions: "each task that changed a host, where such events of the job were read; else the \
                      job, for each host that its limit names, or for its inventory; not dry runs \
                      (job_type check), nor jobs that failed or changed no host, nor updates of \
                      projects and inventories",
            approvals: "an approval in a workflow, of the run of that workflow and all its jobs: \
                        they carry the same id, which the controller gives",
            people: "a person: who started a job by hand (launch_type manual or relaunch, by a \
                     user), and who approved or denied, by user name; everything else is an \
                     automation",
            proven: false,
        }
    }
}

/// The id of a run, as the controller gives it. Its name belongs to it, and so does the file until the
/// controllers are known: they count alike.
fn native(what: &str, id: &str, name: &Text, file: FileNumber) -> String {
    marked(
        &clip(&format!("awx {what} {} {}", clip(id), name.clip())),
        file,
    )
}

impl Job {
    fn take(&self, record: Record<'_>, rows: &mut Vec<Row>) -> Taken {
        let Some(id) = self.id.some() else {
            return Taken::NotMine;
        };
        let other = match self.kind.0.as_str() {
            "job" | "ad_hoc_command" | "workflow_approval" => false,
            "workflow_job" | "project_update" | "inventory_update" | "system_job" => true,
            _ => return Taken::NotMine,
        };
        let mut times = [None; 3];
        for (at, text) in times
            .iter_mut()
            .zip([&self.created, &self.started, &self.finished])
        {
            *at = match text.some() {
                None => None,
                Some(text) => match Moment::parse(text) {
                    None => return Taken::Unreadable("a time that is none"),
                    time => time,
                },
            };
        }
        let [created, started, finished] = times;
        if other {
            rows.push(Row::Excluded(Exclusion::Other));
            return Taken::Read(started.or(created));
        }
        let taken = if self.kind.0 == "workflow_approval" {
            match self.approval(finished, record, rows) {
                Some(taken) => taken,
                None => return Taken::Unreadable("the approval names no workflow job"),
            }
        } else {
            self.job(id, started, finished, record, rows);
            Taken::Read(started.or(created))
        };
        rows.push(Row::Given(Box::new(Given {
            file: record.place.file,
            id: clip(id),
            kind: match self.kind.0.as_str() {
                "workflow_approval" => "approval",
                _ => JOB,
            },
            to: clip(&format!("{} {}", self.created.clip(), self.name.clip())),
        })));
        taken
    }

    /// The workflow's run that it is in.
    fn workflow(&self, file: FileNumber) -> Option<(&Named, String)> {
        let of = &self.summary_fields.0;
        let run = [&of.source_workflow_job.0, &of.workflow_job.0]
            .into_iter()
            .find(|run| run.id.some().is_some())?;
        Some((run, native("workflow job", &run.id.0, &run.name, file)))
    }

    fn job(
        &self,
        id: &str,
        started: Option<Moment>,
        ended: Option<Moment>,
        record: Record<'_>,
        rows: &mut Vec<Row>,
    ) {
        let job = native("job", id, &self.name, record.place.file);
        let mut references = vec![Reference::Native(job.clone())];
        if let Some((_, workflow)) = self.workflow(record.place.file) {
            references::add(&mut references, Reference::Native(workflow));
        }
        for text in [
            &self.name,
            &self.description,
            &self.extra_vars,
            &self.job_args,
            &self.job_tags,
            &self.scm_branch,
        ] {
            references::find(&text.0, &mut references);
        }
        let excluded = self.excluded(started.is_some());
        let failed = self.status.0 != "successful" && self.status.0 != "running";
        let (actor, mut actions) = (self.actor(), Vec::new());
        if let (None, Some(started)) = (excluded, started) {
            let error = if failed { ", with an error" } else { "" };
            let what = self.playbook.some().or(self.module_name.some());
            let what = what.unwrap_or("no playbook");
            let summary = clip(&format!("job {}: {what}{error}", self.name.clip()));
            for system in self.systems() {
                actions.push(Action {
                    key: key(Format::Awx, &[id, &self.created.0, &self.name.0, &system]),
                    format: Format::Awx,
                    places: vec![record.place],
                    started,
                    ended,
                    system,
                    environment: None,
                    summary: summary.clone(),
                    items: Vec::new(),
                    actor: actor.clone(),
                    references: references.clone(),
                });
            }
        }
        rows.extend(excluded.map(Row::Excluded));
        rows.push(Row::Run(Box::new(Run {
            by: RunKey::Native(job),
            told: Told {
                known: true,
                events: false,
                dry_run: excluded == Some(Exclusion::DryRun),
                actor: Some(actor),
                references,
                actions,
                ..Told::default()
            },
        })));
    }

    /// Why the job by itself is no action.
    fn excluded(&self, began: bool) -> Option<Exclusion> {
        let arguments: Vec<String> = serde_json::from_str(&self.job_args.0).unwrap_or_default();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        // The program's own name stands first.
        if self.job_type.0 == "check" || is_check(arguments.get(1..).unwrap_or_default()) {
            return Some(Exclusion::DryRun);
        }
        let changed = self.host_status_counts.as_ref().map(|counts| {
            let count = counts.0.changed.0.parse::<u64>();
            count.unwrap_or(0) > 0
        });
        match (self.status.0.as_str(), changed) {
            _ if !began => Some(Exclusion::Other),
            ("new" | "pending" | "waiting", _) => Some(Exclusion::Other),
            ("successful", Some(false)) => Some(Exclusion::ReadOnly),
            ("successful" | "running", _) | (_, Some(true)) => None,
            _ => Some(Exclusion::Failed),
        }
    }

    /// The hosts that its limit names, one by one; else its inventory as a whole.
    fn systems(&self) -> Vec<String> {
        let limit = self.limit.0.trim();
        let plain = |host: &str| {
            host.starts_with(|c: char| c.is_ascii_alphanumeric())
                && host
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
                && !matches!(host, "all" | "ungrouped" | "localhost")
        };
        let hosts: Vec<&str> = limit
            .split([',', ':'])
            .map(str::trim)
            .filter(|host| !host.is_empty())
            .collect();
        if !hosts.is_empty() && hosts.len() <= HOSTS_MAX && hosts.iter().all(|host| plain(host)) {
            let mut hosts: Vec<String> = hosts.into_iter().map(clip).collect();
            hosts.sort();
            hosts.dedup();
            return hosts;
        }
        let inventory = self.summary_fields.0.inventory.0.name.clip();
        vec![clip(&format!("inventory {inventory} {}", clip(limit)))]
    }

    /// Who started it.
    fn actor(&self) -> Actor {
        let (by, created) = (&self.launched_by.0, &self.summary_fields.0.created_by.0);
        let launch = self.launch_type.clip();
        let by_hand = matches!(launch.as_str(), "manual" | "relaunch");
        let user = match by.kind.0.as_str() {
            "user" => by.name.some(),
            "" => created.username.some(),
            _ => None,
        };
        match user {
            Some(user) if by_hand => Actor::new(clip(user), Nature::Person),
            _ if by_hand => Actor::new("awx, not named", Nature::Unclear),
            _ => Actor::new(
                clip(&format!("awx, {launch} {}", by.name.clip())),
                Nature::Automation,
            ),
        }
    }

    /// None where it names no run.
    fn approval(
        &self,
        finished: Option<Moment>,
        record: Record<'_>,
        rows: &mut Vec<Row>,
    ) -> Option<Taken> {
        let (run, workflow) = self.workflow(record.place.file)?;
        let change = workflow.to_ascii_lowercase();
        let timed_out = self.timed_out.0 == Some(true);
        let outcome = match self.status.0.as_str() {
            "successful" => Some(Outcome::Approved),
            "failed" => Some(Outcome::Rejected),
            _ => None,
        };
        let requester = self.summary_fields.0.created_by.0.username.some();
        let requester = requester.map(|name| Actor::new(clip(name), Nature::Unclear));
        rows.push(Row::Change(Box::new(Change {
            key: change.clone(),
            also: Vec::new(),
            format: Format::Awx,
            places: vec![record.place],
            number: clip(&format!(
                "workflow job {} {}",
                run.id.clip(),
                run.name.clip()
            )),
            references: vec![Reference::Native(workflow)],
            kind: ChangeKind::Normal,
            targets: Vec::new(),
            window: None,
            requesters: requester.into_iter().collect(),
            withdrawn: self.status.0 == "canceled",
            pending: false,
            unclear: Vec::new(),
            head: None,
            test: Plan::NotKept,
            rollback: Plan::NotKept,
            named: Naming::default(),
        })));
        match outcome {
            None => rows.push(Row::Excluded(Exclusion::Other)),
            Some(outcome) => {
                let by = &self.summary_fields.0.approved_or_denied_by.0;
                let approver = match by.username.some() {
                    _ if timed_out => Actor::new("awx, by time-out", Nature::Automation),
                    Some(name) => Actor::new(clip(name), Nature::Person),
                    None => Actor::new("not named", Nature::Unclear),
                };
                rows.push(Row::Decision(Box::new(Decision {
                    change,
                    format: Format::Awx,
                    places: vec![record.place],
                    approver,
                    entered_by: None,
                    outcome,
                    decided: finished,
                    commit: None,
                })));
            }
        }
        Some(Taken::Read(finished))
    }
}

#[cfg(test)]
mod tests;
