//! A loaded policy: parsed, validated, linted, and its own cases fulfilled. Nothing less is ever in
//! force; a policy that does not load leaves the old one standing.

use crate::annotations::{Rule, RuleKind};
use crate::attributes::Attributes;
use crate::case_file;
use crate::cases::Case;
use crate::conditions::{self, Conjunct};
use crate::evaluation::Number;
use crate::finding::Finding;
use crate::reads::Reads;
use crate::rules::{self, RuleBook};
use crate::settings::{SETTINGS_PATH, Settings};
use crate::source::PolicySource;
use crate::vocabulary::Vocabulary;
use cedar_policy::PolicyId;
use countersign_domain::{Digest, RuleId};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A policy that can decide.
#[derive(Debug)]
pub struct Policy {
    digest: Digest,
    settings: Settings,
    book: RuleBook,
    vocabulary: Vocabulary,
    /// What rules for agents read of the context.
    attributes: Attributes,
    /// Conditions of standing rules, to say at once why none applied.
    standing: BTreeMap<PolicyId, Vec<(Number, Conjunct)>>,
    cases: Vec<Case>,
}

impl Policy {
    /// Loads a policy.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with its place: unreadable files, rules that do not
    /// parse or validate, annotations outside the closed list, cases that are not fulfilled.
    pub fn load(source: &PolicySource) -> Result<Self, Vec<Finding>> {
        let policy = Self::load_without_running_cases(source)?;
        let findings: Vec<_> = policy
            .cases
            .iter()
            .flat_map(|case| case.findings(&policy))
            .collect();
        if findings.is_empty() {
            Ok(policy)
        } else {
            Err(findings)
        }
    }

    /// Loads a policy whose cases may fail, so that `policy test` can show every result. Never put
    /// one into force that [`Self::load`] refuses.
    ///
    /// # Errors
    /// As [`Self::load`], but for cases that are well-formed and not fulfilled.
    pub fn load_without_running_cases(source: &PolicySource) -> Result<Self, Vec<Finding>> {
        let mut findings = Vec::new();
        let mut texts = BTreeMap::new();
        for (path, bytes) in source.files() {
            match role(path) {
                Ok(None) => {}
                Ok(Some(role)) => match std::str::from_utf8(bytes) {
                    Ok(text) => {
                        texts.insert((role, path.clone()), Arc::<str>::from(text));
                    }
                    Err(error) => findings.push(Finding::whole(
                        path,
                        format!("is not UTF-8 from byte {}", error.valid_up_to()),
                    )),
                },
                Err(message) => findings.push(Finding::whole(path, message)),
            }
        }
        let of = |wanted: Role| -> BTreeMap<String, Arc<str>> {
            texts
                .iter()
                .filter(|((role, _), _)| *role == wanted)
                .map(|((_, path), text)| (path.clone(), Arc::clone(text)))
                .collect()
        };
        let settings = match of(Role::Settings).get(SETTINGS_PATH) {
            Some(text) => Settings::read(text),
            None => Err(vec![Finding::whole(SETTINGS_PATH, "is missing").hint(
                "every policy folder has one; `policies/starter` shows its form",
            )]),
        };
        let settings = match settings {
            Ok(settings) if findings.is_empty() => settings,
            Ok(_) => return Err(findings),
            Err(found) => {
                findings.extend(found);
                return Err(findings);
            }
        };
        let vocabulary = Vocabulary::new().map_err(|message| {
            vec![Finding::whole(
                "schema",
                format!("this build's schema is broken: {message}"),
            )]
        })?;
        let mut book = rules::read(&of(Role::Rules), &settings, &vocabulary)?;
        let mut standing = BTreeMap::new();
        for policy in book.standing.whole().policies() {
            let conjuncts = conditions::conjuncts(policy)
                .map_err(|message| vec![Finding::whole("rules", message)])?;
            let numbered: Vec<_> = conjuncts
                .into_iter()
                .map(|one| (book.conditions.number(one.expression()), one))
                .collect();
            standing.insert(policy.id().clone(), numbered);
        }
        let attributes = Attributes::read(&Reads::of(book.for_agents()));
        let known = book.rules.values().map(|rule| rule.id.clone()).collect();
        let cases = case_file::read(&of(Role::Cases), &known)?;
        Ok(Self {
            digest: source.digest(),
            settings,
            book,
            vocabulary,
            attributes,
            standing,
            cases,
        })
    }

    /// The digest of its files: what the quorum signed.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// Its `policy.toml`.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// All rules, by id.
    pub fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.book.rules.values()
    }

    /// The rule `id`.
    #[must_use]
    pub fn rule(&self, id: &RuleId) -> Option<&Rule> {
        self.book.rules.get(&PolicyId::new(id.as_str()))
    }

    pub(crate) fn rules_of(&self, kind: RuleKind) -> impl Iterator<Item = &Rule> {
        self.rules().filter(move |rule| rule.kind == kind)
    }

    pub(crate) const fn book(&self) -> &RuleBook {
        &self.book
    }

    pub(crate) const fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    pub(crate) const fn attributes(&self) -> &Attributes {
        &self.attributes
    }

    pub(crate) const fn standing_conditions(&self) -> &BTreeMap<PolicyId, Vec<(Number, Conjunct)>> {
        &self.standing
    }

    pub(crate) fn cases(&self) -> &[Case] {
        &self.cases
    }
}

/// What a file in the policy folder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Role {
    Settings,
    Rules,
    Cases,
}

/// By path. A rule or case file where none is read would be ignored in silence: refused.
fn role(path: &str) -> Result<Option<Role>, String> {
    let folder = path.rsplit_once('/').map(|(folder, _)| folder);
    let extension = path.rsplit_once('.').map(|(_, extension)| extension);
    match (folder, extension) {
        (None, _) if path == SETTINGS_PATH => Ok(Some(Role::Settings)),
        (Some("rules"), Some("cedar")) => Ok(Some(Role::Rules)),
        (Some("cases"), Some("toml")) => Ok(Some(Role::Cases)),
        (_, Some("cedar")) => Err("rules are read from `rules/NAME.cedar` only; move it".into()),
        (_, Some("toml")) => {
            Err("`policy.toml` and `cases/NAME.toml` are read, no other; move it".into())
        }
        (Some("rules" | "cases"), _) => {
            Err("is not read: rules end in `.cedar`, cases in `.toml`; rename or move it".into())
        }
        _ => Ok(None),
    }
}
