//! Reads GitHub's pull requests and reviews, as the REST interface lists them and as webhooks send
//! them: a merge is an action, the pull request its change record, a review a decision.

use super::lenient::{Marks, Object, Text, clip, key, parse};
use super::references;
use super::{About, Context, JsonReader, Record, Taken};
use crate::audit::model::{
    Action, Actor, Change, ChangeKind, Decision, Exclusion, Format, Naming, Nature, Outcome, Plan,
    Reference, Row,
};
use crate::audit::moment::Moment;
use countersign_domain::Timestamp;
use memchr::memmem::Finder;
use serde::Deserialize;

/// What every pull request has, and every review.
static MARKS: Marks<2> = Marks::new(|| {
    let words = ["\"merge_commit_sha\"", "\"pull_request_url\""];
    words.map(Finder::new)
});

/// The reader.
pub(crate) struct GitHub;

/// A webhook's payload.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Payload {
    action: Text,
    pull_request: Option<Object<Pull>>,
    review: Option<Object<Review>>,
    repository: Object<Repository>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Pull {
    number: Text,
    url: Text,
    title: Text,
    body: Text,
    state: Text,
    user: Object<Account>,
    created_at: Text,
    merged_at: Text,
    merged_by: Object<Account>,
    merge_commit_sha: Text,
    auto_merge: Object<AutoMerge>,
    head: Object<End>,
    base: Object<End>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Review {
    id: Text,
    user: Object<Account>,
    state: Text,
    submitted_at: Text,
    commit_id: Text,
    pull_request_url: Text,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Account {
    login: Text,
    #[serde(rename = "type")]
    kind: Text,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct AutoMerge {
    enabled_by: Object<Account>,
}

/// One end of a pull request.
#[derive(Deserialize, Default)]
#[serde(default)]
struct End {
    #[serde(rename = "ref")]
    branch: Text,
    sha: Text,
    repo: Object<Repository>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Repository {
    full_name: Text,
}

impl JsonReader for GitHub {
    fn format(&self) -> Format {
        Format::GitHub
    }

    fn take(&self, record: Record<'_>, _: &Context, rows: &mut Vec<Row>) -> Taken {
        if MARKS.of(record.bytes) == [false, false] {
            return Taken::NotMine;
        }
        let Some(payload) = parse::<Payload>(record.bytes) else {
            return Taken::Unreadable("no JSON, nested too deeply, or a field twice");
        };
        let repository = &payload.repository.0;
        match (&payload.pull_request, &payload.review) {
            (_, Some(review)) => take_review(&review.0, record, rows),
            (Some(pull), None) if payload.action.0 == "closed" => {
                take_pull(&pull.0, repository, record, rows)
            }
            (Some(pull), None) => {
                rows.push(Row::Excluded(Exclusion::Other));
                Taken::Read(Moment::parse(&pull.0.created_at.0))
            }
            (None, None) => take_listed(record, rows),
        }
    }

    fn about(&self) -> About {
        About {
            format: Format::GitHub,
            reads: "GitHub pull requests and reviews: REST objects and lists, and the webhook \
                    payloads pull_request (closed) and pull_request_review",
            actions: "a merge, by whoever merged it or had it merged automatically",
            approvals: "a review that approves, of the commit it names; a review that requests \
                        changes, or was dismissed, speaks against until the same one approves again",
            people: "a person: accounts of type User; an automation: accounts of type Bot or \
                     Mannequin, and logins that end in [bot]; a program that uses an account of \
                     type User can be told by the registry alone",
            proven: true,
        }
    }
}

/// An object of the REST interface: a pull request, or a review.
fn take_listed(record: Record<'_>, rows: &mut Vec<Row>) -> Taken {
    let (Some(pull), Some(review)) = (parse::<Pull>(record.bytes), parse::<Review>(record.bytes))
    else {
        return Taken::Unreadable("nested too deeply, or a field twice");
    };
    if pull.number.some().is_some() && pull.head.0.sha.some().is_some() {
        take_pull(&pull, &Repository::default(), record, rows)
    } else if review.pull_request_url.some().is_some() && review.submitted_at.some().is_some() {
        take_review(&review, record, rows)
    } else {
        Taken::NotMine
    }
}

fn take_pull(pull: &Pull, of: &Repository, record: Record<'_>, rows: &mut Vec<Row>) -> Taken {
    let base = &pull.base.0.repo.0.full_name;
    let of_url = number_of(&pull.url.0);
    let repository = of.full_name.some().or(base.some());
    let repository = repository.or(of_url.as_ref().map(|(repository, _)| *repository));
    let (Some(repository), Ok(number)) = (repository, pull.number.0.parse::<u64>()) else {
        return Taken::Unreadable("it names no repository, or no number");
    };
    let repository = clip(repository);
    let name = format!("{repository}#{number}");
    let mut references = vec![Reference::Number(name.to_ascii_uppercase())];
    let merged = match pull.merged_at.some() {
        None => None,
        Some(text) => match Moment::parse(text) {
            None => return Taken::Unreadable("merged_at is no time"),
            merged => merged,
        },
    };
    let commit = references::commit(&pull.merge_commit_sha.0).filter(|_| merged.is_some());
    references.extend(commit.clone().map(Reference::Commit));
    rows.push(Row::Change(Box::new(Change {
        key: format!("github:{}", name.to_ascii_lowercase()),
        also: Vec::new(),
        format: Format::GitHub,
        places: vec![record.place],
        number: name.clone(),
        references: references.clone(),
        kind: ChangeKind::Normal,
        targets: vec![repository.clone()],
        window: None,
        requesters: actor(&pull.user.0).into_iter().collect(),
        withdrawn: merged.is_none() && pull.state.0 == "closed",
        pending: false,
        unclear: Vec::new(),
        // What is open may come to another commit yet.
        head: merged.and_then(|_| pull.head.0.sha.some().map(clip)),
        test: Plan::NotKept,
        rollback: Plan::NotKept,
        named: Naming::default(),
    })));
    let Some(started) = merged else {
        return Taken::Read(Moment::parse(&pull.created_at.0));
    };
    for text in [&pull.title, &pull.head.0.branch, &pull.body] {
        references::find(&text.0, &mut references);
    }
    let sha = pull.merge_commit_sha.0.as_str();
    let of = [name.as_str(), &pull.merged_at.0, sha];
    rows.push(Row::Action(Box::new(Action {
        key: key(Format::GitHub, &of),
        format: Format::GitHub,
        places: vec![record.place],
        started,
        ended: None,
        system: repository,
        environment: None,
        summary: clip(&format!("merge {name}: {}", pull.title.0)),
        items: commit.into_iter().collect(),
        actor: merger(pull),
        references,
    })));
    Taken::Read(Some(started))
}

/// Who merged. Where a program had a hand in it, it was the program.
fn merger(pull: &Pull) -> Actor {
    let (by, enabler) = (
        actor(&pull.merged_by.0),
        actor(&pull.auto_merge.0.enabled_by.0),
    );
    let automation = |actor: &Actor| actor.nature == Nature::Automation;
    match (by, enabler) {
        (Some(by), Some(enabler)) if automation(&enabler) && !automation(&by) => enabler,
        (Some(by), _) => by,
        (None, Some(enabler)) => enabler,
        (None, None) => Actor::new("not named", Nature::Unclear),
    }
}

fn take_review(review: &Review, record: Record<'_>, rows: &mut Vec<Row>) -> Taken {
    let Some((repository, number)) = number_of(&review.pull_request_url.0) else {
        return Taken::Unreadable("pull_request_url names no pull request");
    };
    let submitted = Moment::parse(&review.submitted_at.0);
    let (outcome, decided) = match review.state.0.to_ascii_uppercase().as_str() {
        "APPROVED" => (Outcome::Approved, submitted),
        "CHANGES_REQUESTED" => (Outcome::Rejected, submitted),
        // When it was dismissed is not told, but after it was given: another export of the same
        // review, from before, must not take the dismissal back.
        "DISMISSED" => (Outcome::Rejected, submitted.map(just_after)),
        "COMMENTED" | "PENDING" => {
            rows.push(Row::Excluded(Exclusion::Other));
            return Taken::Read(submitted);
        }
        _ => return Taken::Unreadable("the state of the review is none that is known"),
    };
    let Some(approver) = actor(&review.user.0) else {
        return Taken::Unreadable("the review names nobody");
    };
    rows.push(Row::Decision(Box::new(Decision {
        change: clip(&format!("github:{repository}#{number}")).to_ascii_lowercase(),
        format: Format::GitHub,
        places: vec![record.place],
        approver,
        entered_by: None,
        outcome,
        decided,
        commit: review.commit_id.some().map(clip),
    })));
    Taken::Read(submitted)
}

fn just_after(moment: Moment) -> Moment {
    let after = |at: Timestamp| Timestamp::from_unix_millis(at.unix_millis().saturating_add(1));
    Moment {
        earliest: after(moment.earliest),
        latest: after(moment.latest),
    }
}

/// Repository and number, from the address of a pull request.
fn number_of(url: &str) -> Option<(&str, u64)> {
    let (_, path) = url.rsplit_once("/repos/")?;
    let (repository, number) = path.split_once("/pulls/")?;
    let named = repository
        .split('/')
        .filter(|part| !part.is_empty())
        .count()
        == 2;
    let number = number.split('/').next()?.parse().ok()?;
    named.then_some((repository, number))
}

fn actor(account: &Account) -> Option<Actor> {
    let login = account.login.some()?;
    let nature = match account.kind.0.as_str() {
        _ if login.ends_with("[bot]") => Nature::Automation,
        "User" => Nature::Person,
        "Bot" | "Mannequin" => Nature::Automation,
        "Organization" => Nature::Group,
        _ => Nature::Unclear,
    };
    Some(Actor::new(clip(login), nature))
}

#[cfg(test)]
mod tests;
