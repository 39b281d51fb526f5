//! What the calendars say at an instant: in a window? frozen? until when? The answer for an instant
//! is kept until it ends, so that a decision costs no expansion.

use super::event::Span;
use super::{Calendars, HORIZON_SECONDS, Kind};
use countersign_domain::{Environment, Timestamp};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// What calendars say at an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// Inside a change window, or there are none for it.
    pub in_window: bool,
    /// A change freeze is on.
    pub frozen: bool,
    /// The first instant at which either may be otherwise.
    pub until: Timestamp,
    /// When the window that it is in ends, where one does so soon.
    pub window_ends: Option<Timestamp>,
    /// When the next freeze begins, where one does so soon and none is on.
    pub freeze_begins: Option<Timestamp>,
}

impl Answer {
    /// Where nothing can be said: frozen, and in no window (invariant 2).
    #[must_use]
    pub const fn unknown(at: Timestamp) -> Self {
        Self {
            in_window: false,
            frozen: true,
            until: at,
            window_ends: None,
            freeze_begins: None,
        }
    }

    /// Until when what is inside a window now, and not frozen, stays so.
    #[must_use]
    pub fn holds_until(&self) -> Option<Timestamp> {
        earlier(self.window_ends, self.freeze_begins)
    }

    /// What holds of two environments at once: the stricter.
    fn and(self, other: Self) -> Self {
        Self {
            in_window: self.in_window && other.in_window,
            frozen: self.frozen || other.frozen,
            until: self.until.min(other.until),
            window_ends: earlier(self.window_ends, other.window_ends),
            freeze_begins: earlier(self.freeze_begins, other.freeze_begins),
        }
    }
}

fn earlier(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// What happens next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Turn {
    /// A change window opens.
    WindowOpens,
    /// The change window closes.
    WindowCloses,
    /// A freeze begins.
    FreezeBegins,
    /// The freeze ends.
    FreezeEnds,
}

/// An event that says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cited {
    /// The file, by its path inside the policy folder.
    pub path: String,
    /// Its UID, made harmless to show.
    pub event: String,
    /// Its summary, made harmless to show.
    pub summary: String,
    /// Since when.
    pub from: Timestamp,
    /// Until when.
    pub until: Timestamp,
}

/// What calendars say of one environment, with the events that say so, and what comes next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Outlook {
    /// The environment.
    pub environment: Environment,
    /// When.
    pub at: Timestamp,
    /// What holds.
    #[serde(flatten)]
    pub answer: Answer,
    /// False where no file has windows for it, so that every hour is in the window.
    pub has_windows: bool,
    /// The events that hold now.
    pub because: Vec<Cited>,
    /// The next turns, at most ten.
    pub next: Vec<(Timestamp, Turn)>,
}

/// Turns that are told ahead.
const TURNS_MAX: usize = 10;

/// The spans of one kind, merged, within the horizon.
struct Ahead {
    spans: Vec<Span>,
}

impl Ahead {
    fn of(mut spans: Vec<Span>) -> Self {
        spans.sort_unstable();
        let mut merged: Vec<Span> = Vec::with_capacity(spans.len());
        for (from, to) in spans {
            match merged.last_mut() {
                Some(last) if from <= last.1 => last.1 = last.1.max(to),
                Some(_) | None => merged.push((from, to)),
            }
        }
        Self { spans: merged }
    }

    fn holding(&self, now: i64) -> Option<Span> {
        self.spans
            .iter()
            .copied()
            .find(|span| span.0 <= now && now < span.1)
    }

    fn following(&self, now: i64) -> Option<Span> {
        self.spans.iter().copied().find(|span| span.0 > now)
    }
}

impl Calendars {
    /// What holds in this environment.
    #[must_use]
    pub fn answer(&self, environment: Environment, at: Timestamp) -> Answer {
        match self.ahead(environment, at) {
            Some((windows, freezes)) => answer(windows.as_ref(), &freezes, at),
            None => Answer::unknown(at),
        }
    }

    /// What holds in this environment, which events say so, and what comes next.
    #[must_use]
    pub fn outlook(&self, environment: Environment, at: Timestamp) -> Outlook {
        let ahead = self.ahead(environment, at);
        let mut next: BTreeMap<i64, Vec<Turn>> = BTreeMap::new();
        let now = at.unix_seconds();
        let end = now.saturating_add(HORIZON_SECONDS);
        if let Some((windows, freezes)) = &ahead {
            let windows = windows.iter().flat_map(|ahead| &ahead.spans);
            let turns = windows
                .map(|span| (span, Turn::WindowOpens, Turn::WindowCloses))
                .chain(
                    freezes
                        .spans
                        .iter()
                        .map(|span| (span, Turn::FreezeBegins, Turn::FreezeEnds)),
                )
                .flat_map(|(span, begins, ends)| [(span.0, begins), (span.1, ends)]);
            for (when, turn) in turns.filter(|(when, _)| *when > now && *when < end) {
                next.entry(when).or_default().push(turn);
            }
        }
        Outlook {
            environment,
            at,
            answer: self.answer(environment, at),
            has_windows: ahead.as_ref().is_none_or(|(windows, _)| windows.is_some()),
            because: self.cited(environment, now),
            next: next
                .into_iter()
                .flat_map(|(when, turns)| turns.into_iter().map(move |turn| (seconds(when), turn)))
                .take(TURNS_MAX)
                .collect(),
        }
    }

    fn cited(&self, environment: Environment, now: i64) -> Vec<Cited> {
        let mut cited = Vec::new();
        for calendar in self.of(environment) {
            for event in &calendar.events {
                event.spans(
                    calendar.kind,
                    now,
                    now.saturating_add(1),
                    |(from, until)| {
                        cited.push(Cited {
                            path: calendar.path.clone(),
                            event: event.uid.clone(),
                            summary: event.summary.clone(),
                            from: seconds(from),
                            until: seconds(until),
                        });
                    },
                );
            }
        }
        cited
    }

    /// Windows, where there are any, and freezes from now on. Nothing where that cannot be said.
    fn ahead(&self, environment: Environment, at: Timestamp) -> Option<(Option<Ahead>, Ahead)> {
        let now = at.unix_seconds();
        let end = now.saturating_add(HORIZON_SECONDS);
        if !self.readable || !super::ANSWERABLE_SECONDS.contains(&end) {
            return None;
        }
        let (mut windows, mut freezes) = (None, Vec::new());
        for calendar in self.of(environment) {
            let spans = match calendar.kind {
                Kind::Window => windows.get_or_insert_with(Vec::new),
                Kind::Freeze => &mut freezes,
            };
            for event in &calendar.events {
                event.spans(calendar.kind, now, end, |span| spans.push(span));
            }
        }
        Some((windows.map(Ahead::of), Ahead::of(freezes)))
    }
}

fn answer(windows: Option<&Ahead>, freezes: &Ahead, at: Timestamp) -> Answer {
    let now = at.unix_seconds();
    let end = now.saturating_add(HORIZON_SECONDS);
    let soon = |when: i64| (when < end).then(|| seconds(when));
    let window = windows.and_then(|windows| windows.holding(now));
    let opens = windows.and_then(|windows| windows.following(now));
    let freeze = freezes.holding(now);
    let window_ends = window.and_then(|span| soon(span.1));
    let freeze_begins = match freeze {
        Some(_) => None,
        None => freezes.following(now).and_then(|span| soon(span.0)),
    };
    let turns = [
        window_ends,
        freeze_begins,
        freeze.and_then(|span| soon(span.1)),
        match window {
            Some(_) => None,
            None => opens.and_then(|span| soon(span.0)),
        },
    ];
    Answer {
        in_window: windows.is_none() || window.is_some(),
        frozen: freeze.is_some(),
        until: turns.into_iter().flatten().min().unwrap_or(seconds(end)),
        window_ends,
        freeze_begins,
    }
}

const fn seconds(seconds: i64) -> Timestamp {
    Timestamp::from_unix_seconds(seconds)
}

/// Calendars that remember their last answer for each environment until it ends.
#[derive(Debug)]
pub struct Remembered {
    calendars: Calendars,
    answers: Mutex<BTreeMap<Environment, (Timestamp, Answer)>>,
}

impl Remembered {
    /// Calendars, asked nothing yet.
    #[must_use]
    pub const fn new(calendars: Calendars) -> Self {
        Self {
            calendars,
            answers: Mutex::new(BTreeMap::new()),
        }
    }

    /// The calendars.
    #[must_use]
    pub const fn calendars(&self) -> &Calendars {
        &self.calendars
    }

    /// What holds for a change in all of these environments: inside a window in each, frozen where
    /// any is. Without one, nothing can be said.
    #[must_use]
    pub fn answer(
        &self,
        environments: impl IntoIterator<Item = Environment>,
        at: Timestamp,
    ) -> Answer {
        environments
            .into_iter()
            .map(|environment| self.one(environment, at))
            .reduce(Answer::and)
            .unwrap_or(Answer::unknown(at))
    }

    fn one(&self, environment: Environment, at: Timestamp) -> Answer {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        match answers.get(&environment) {
            Some((since, answer)) if *since <= at && at < answer.until => *answer,
            Some(_) | None => {
                let answer = self.calendars.answer(environment, at);
                answers.insert(environment, (at, answer));
                answer
            }
        }
    }
}
