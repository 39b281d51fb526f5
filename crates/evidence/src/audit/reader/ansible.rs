//! Reads the events of Ansible's runs, as ansible-runner keeps them and AWX lists them: a task that
//! changed a host is an action on it. An event does not say whether its run was a dry one (`--check`):
//! the file `command` beside a run's events does, and so does the record of AWX's job.

use super::lenient::{Flag, Marks, Object, Text, clip, key, parse};
use super::references;
use super::{About, Context, JsonReader, Record, Taken};
use crate::audit::controllers::Given;
use crate::audit::model::{Action, Actor, Exclusion, Format, Nature, Reference, Row};
use crate::audit::moment::Moment;
use crate::audit::runs::{Run, RunKey, Told};
use jiff::tz::TimeZone;
use memchr::memmem::Finder;
use serde::Deserialize;
use serde_json::Value;

/// What every event has; what runner's file `command` has.
static MARKS: Marks<3> = Marks::new(|| {
    let words = ["\"event_data\"", "\"command\"", "\"cwd\""];
    words.map(Finder::new)
});
/// The most packages that an action lists.
const ITEMS_MAX: usize = 50;
/// Modules that change settings, files, people or what Ansible itself knows, and no software. Whatever
/// is not here counts, also what is not known.
const NO_SOFTWARE: [&str; 46] = [
    "add_host",
    "alternatives",
    "assemble",
    "assert",
    "authorized_key",
    "blockinfile",
    "copy",
    "cron",
    "cronvar",
    "debug",
    "fetch",
    "file",
    "find",
    "firewalld",
    "gather_facts",
    "getent",
    "group",
    "group_by",
    "hostname",
    "include_vars",
    "ini_file",
    "iptables",
    "known_hosts",
    "lineinfile",
    "locale_gen",
    "meta",
    "mount",
    "pause",
    "reboot",
    "replace",
    "seboolean",
    "selinux",
    "service",
    "service_facts",
    "set_fact",
    "set_stats",
    "setup",
    "slurp",
    "stat",
    "sysctl",
    "systemd",
    "systemd_service",
    "tempfile",
    "template",
    "timezone",
    "user",
];
/// Modules that run commands: in a dry run they do nothing, and say so.
const COMMANDS: [&str; 7] = [
    "command",
    "expect",
    "raw",
    "script",
    "shell",
    "win_command",
    "win_shell",
];

/// The reader.
pub(crate) struct AnsibleRunner;

/// An event of a run.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Event {
    uuid: Text,
    counter: Text,
    event: Text,
    created: Text,
    runner_ident: Text,
    stdout: Text,
    event_data: Object<Data>,
    /// Of AWX.
    #[serde(rename = "type")]
    kind: Text,
    host_name: Text,
    changed: Flag,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Data {
    playbook: Text,
    play: Text,
    task: Text,
    task_action: Text,
    resolved_action: Text,
    host: Text,
    start: Text,
    end: Text,
    res: Object<Res>,
}

/// What a task came to.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Res {
    changed: Flag,
    /// Of a task that hides what it does.
    censored: Option<Text>,
    rc: Text,
    cmd: Value,
    invocation: Object<Invocation>,
    #[serde(rename = "_ansible_delegated_vars")]
    delegated: Object<Delegated>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Invocation {
    module_args: Object<Arguments>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Arguments {
    name: Value,
    pkg: Value,
    package: Value,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Delegated {
    ansible_host: Text,
}

/// runner's file `command`. Its environment holds secrets, and is not looked at.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Command {
    command: super::lenient::List<Text>,
}

impl JsonReader for AnsibleRunner {
    fn format(&self) -> Format {
        Format::AnsibleRunner
    }

    fn take(&self, record: Record<'_>, _: &Context, rows: &mut Vec<Row>) -> Taken {
        match MARKS.of(record.bytes) {
            [true, _, _] => {
                let Some(event) = parse::<Event>(record.bytes) else {
                    return Taken::Unreadable("no JSON, nested too deeply, or a field twice");
                };
                if event.is_awx() {
                    return Taken::NotMine;
                }
                event.take(Format::AnsibleRunner, None, record, rows)
            }
            [false, true, true] => of_command(record, rows),
            _ => Taken::NotMine,
        }
    }

    fn about(&self) -> About {
        About {
            format: Format::AnsibleRunner,
            reads: "ansible-runner's job events (artifacts/…/job_events, or lines of --json), with \
                    the file `command` beside them, which alone says whether it was a dry run",
            actions: "each task that changed a host, on the host that it was delegated to if it \
                      was: package modules, commands and every module that is not known to change \
                      settings, files or users only; not its single items, nor what failed, was \
                      skipped, changed nothing or ran with --check",
            approvals: "none; a change number in the names of the play or the task, in a command, or \
                        in the runner's command line (--extra-vars) refers to one",
            people: "the runner is an automation: who started it is not in its events",
            proven: true,
        }
    }
}

impl Event {
    /// As AWX lists it.
    pub(super) fn is_awx(&self) -> bool {
        self.kind.some().is_some()
    }

    /// Reads the event of a run of `job`, where one is named.
    pub(super) fn take(
        &self,
        format: Format,
        job: Option<&str>,
        record: Record<'_>,
        rows: &mut Vec<Row>,
    ) -> Taken {
        let name = self.event.0.as_str();
        if !name.starts_with("runner_") && !name.starts_with("playbook_on_") {
            return Taken::NotMine;
        }
        let data = &self.event_data.0;
        let started = data.start.some().or(self.created.some());
        let Some(started) = started.and_then(time) else {
            return Taken::Unreadable("the event has no time");
        };
        if job.is_none() {
            let beginning = name == "playbook_on_start";
            let told = Told {
                names: self.runner_ident.some().map(clip).into_iter().collect(),
                beginnings: beginning.then(|| self.uuid.clip()).into_iter().collect(),
                ..Told::default()
            };
            let by = RunKey::Within(record.place.file);
            rows.push(Row::Run(Box::new(Run { by, told })));
        }
        let excluded = match name {
            "runner_on_ok" => self.excluded(),
            "runner_item_on_ok" | "runner_on_async_ok" => Some(Exclusion::Repeated),
            "runner_on_failed" | "runner_on_unreachable" | "runner_on_async_failed" => {
                Some(Exclusion::Failed)
            }
            "runner_item_on_failed" | "runner_retry" => Some(Exclusion::Repeated),
            "runner_on_skipped" | "runner_item_on_skipped" => Some(Exclusion::ReadOnly),
            // Beginnings, ends and what is printed between.
            _ => return Taken::Read(Some(started)),
        };
        if let Some(exclusion) = excluded {
            rows.push(Row::Excluded(exclusion));
            return Taken::Read(Some(started));
        }
        let of = data.host.some().or(self.host_name.some());
        let Some(host) = data.res.0.delegated.0.ansible_host.some().or(of) else {
            return Taken::Unreadable("the event names no host, or its data was left out");
        };
        let module = data.module();
        let task = data.task.some().unwrap_or(module);
        let mut found = Vec::new();
        for text in [&data.play, &data.task, &data.playbook] {
            references::find(&text.0, &mut found);
        }
        for text in texts(&data.res.0.cmd) {
            references::find(text, &mut found);
        }
        if let Some(job) = job {
            references::add(&mut found, Reference::Native(job.to_owned()));
            // Only what became an action takes the place of the job's own.
            let told = Told {
                events: true,
                ..Told::default()
            };
            let by = RunKey::Native(job.to_owned());
            rows.push(Row::Run(Box::new(Run { by, told })));
            rows.push(Row::Given(Box::new(Given::event(record.place.file))));
        }
        let parts = [
            &self.uuid.0,
            &self.created.0,
            &self.counter.0,
            &self.runner_ident.0,
            &data.task.0,
            host,
        ];
        let key = key(format, &parts);
        if COMMANDS.contains(&module) && data.res.0.rc.some().is_some() {
            rows.push(Row::Certain(key));
        }
        rows.push(Row::Action(Box::new(Action {
            key,
            format,
            places: vec![record.place],
            started,
            ended: data.end.some().and_then(time),
            system: clip(host),
            environment: None,
            summary: clip(&format!("{module}: {task}")),
            items: data.items(),
            actor: Actor::new("ansible", Nature::Automation),
            references: found,
        })));
        Taken::Read(Some(started))
    }

    /// Why a task that went well is no action.
    fn excluded(&self) -> Option<Exclusion> {
        let res = &self.event_data.0.res.0;
        let changed = match (res.changed.0.or(self.changed.0), &res.censored) {
            (Some(changed), _) => changed,
            // A task that hides its result still prints which it was.
            (None, Some(_)) => !self.stdout.0.contains("ok: ["),
            (None, None) => false,
        };
        if !changed {
            return Some(Exclusion::ReadOnly);
        }
        let module = self.event_data.0.module();
        NO_SOFTWARE.contains(&module).then_some(Exclusion::Other)
    }
}

impl Data {
    /// The module, without the collections that come with Ansible itself: of any other, a module of the same
    /// name is another one.
    fn module(&self) -> &str {
        let action = self.resolved_action.some().or(self.task_action.some());
        let action = action.unwrap_or("task");
        let own = ["ansible.builtin.", "ansible.legacy."].iter();
        let mut own = own.filter_map(|prefix| action.strip_prefix(prefix));
        own.next().unwrap_or(action)
    }

    /// Packages that it names.
    fn items(&self) -> Vec<String> {
        if COMMANDS.contains(&self.module()) {
            return Vec::new();
        }
        let arguments = &self.res.0.invocation.0.module_args.0;
        [&arguments.name, &arguments.pkg, &arguments.package]
            .into_iter()
            .flat_map(texts)
            .take(ITEMS_MAX)
            .map(clip)
            .filter(|item| !item.is_empty())
            .collect()
    }
}

/// A text, or the texts of a list.
fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// Older runners wrote UTC without saying so.
fn time(text: &str) -> Option<Moment> {
    Moment::parse(text).or_else(|| Moment::local(text, &TimeZone::UTC))
}

fn of_command(record: Record<'_>, rows: &mut Vec<Row>) -> Taken {
    let Some(command) = parse::<Command>(record.bytes) else {
        return Taken::NotMine;
    };
    let words: Vec<&str> = command
        .command
        .0
        .iter()
        .map(|word| word.0.as_str())
        .collect();
    let is_program = |word: &&str| {
        let name = word.rsplit('/').next().unwrap_or_default();
        matches!(name, "ansible" | "ansible-playbook")
    };
    let Some(at) = words.iter().position(is_program) else {
        return Taken::NotMine;
    };
    let arguments = words.get(at + 1..).unwrap_or_default();
    let mut references = Vec::new();
    for word in arguments {
        references::find(word, &mut references);
    }
    rows.push(Row::Run(Box::new(Run {
        by: RunKey::Folder(record.place.file),
        told: Told {
            known: true,
            dry_run: is_check(arguments),
            references,
            ..Told::default()
        },
    })));
    Taken::Read(None)
}

/// Whether a command line asks for a dry run: `--check`, also shortened, or `-C`, also among others.
pub(super) fn is_check(arguments: &[&str]) -> bool {
    /// Short options that a value follows.
    const WITH_VALUE: &str = "eiltucfTMmasxPBU";
    let mut value = false;
    for argument in arguments {
        if std::mem::take(&mut value) {
            continue;
        }
        if matches!(*argument, "--ch" | "--che" | "--chec" | "--check") {
            return true;
        }
        if let Some(long) = argument.strip_prefix("--") {
            const LONG: [&str; 5] = ["extra-vars", "inventory", "limit", "tags", "skip-tags"];
            value = LONG.contains(&long);
            continue;
        }
        let Some(short) = argument.strip_prefix('-') else {
            continue;
        };
        for (at, letter) in short.char_indices() {
            if letter == 'C' {
                return true;
            }
            if WITH_VALUE.contains(letter) {
                value = at + 1 == short.len();
                break;
            }
        }
    }
    false
}

#[cfg(test)]
mod tests;
