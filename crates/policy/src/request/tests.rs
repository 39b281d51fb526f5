//! The schema has the domain's words, and whatever facts there are, what is built of them fits it.

use super::*;
use crate::attributes::impact_word;
use crate::reads::Reads;
use crate::strategies::{
    BACKS, CATEGORIES, ENVIRONMENTS, EXPLOITATIONS, FACT_NAMES, IMPACTS, PATHS, PRIORITIES, SCOPES,
    STARTER, TIMELINES, sheets,
};
use crate::vocabulary::{ACTIONS, SCHEMA};
use countersign_domain::facts::Known;
use proptest::prelude::*;

/// The words of `entity NAME enum [...]`.
fn words(name: &str) -> Vec<String> {
    let head = format!("entity {name} enum [");
    let start = SCHEMA.find(&head).unwrap() + head.len();
    let list = &SCHEMA[start..start + SCHEMA[start..].find(']').unwrap()];
    list.split(',')
        .map(|word| word.trim().trim_matches('"').to_owned())
        .collect()
}

#[test]
fn the_schema_has_exactly_the_words_of_the_domain() {
    let fact_names: Vec<_> = FACT_NAMES
        .iter()
        .map(|name| {
            serde_json::to_value(name)
                .unwrap()
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    for (name, domain) in [
        (
            "Environment",
            ENVIRONMENTS.map(|word| word.as_str()).to_vec(),
        ),
        ("Path", PATHS.map(|word| word.as_str()).to_vec()),
        ("Category", CATEGORIES.map(|word| word.as_str()).to_vec()),
        ("RollbackSource", BACKS.map(|word| word.as_str()).to_vec()),
        ("Scope", SCOPES.map(scope_word).to_vec()),
        (
            "Exploitation",
            EXPLOITATIONS.map(|word| word.as_str()).to_vec(),
        ),
        ("Impact", IMPACTS.map(impact_word).to_vec()),
        ("Timeline", TIMELINES.map(|word| word.as_str()).to_vec()),
        ("Priority", PRIORITIES.map(|word| word.as_str()).to_vec()),
        ("FactName", fact_names.iter().map(String::as_str).collect()),
    ] {
        assert_eq!(words(name), domain, "{name}");
    }
}

#[test]
fn every_action_of_the_schema_is_known_here() {
    let vocabulary = Vocabulary::new().unwrap();
    let groups: HashSet<_> = ACTIONS.iter().map(|(_, group)| *group).collect();
    let mut found: Vec<_> = vocabulary
        .schema
        .actions()
        .map(|uid| uid.id().unescaped().to_owned())
        .filter(|name| !groups.contains(name.as_str()))
        .collect();
    found.sort_unstable();
    let mut known = ACTIONS.map(|(action, _)| action.to_owned()).to_vec();
    known.sort_unstable();
    assert_eq!(found, known);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn all_facts_fit_the_schema(sheet in sheets()) {
        let facts = sheet.facts().unwrap();
        let vocabulary = STARTER.vocabulary();
        let schema = &vocabulary.schema;
        let situations = vocabulary.situations(&facts, &Attributes::read(&Reads::everything())).unwrap();
        prop_assert_eq!(situations.len(), facts.scopes.len());
        for situation in situations {
            for request in [&situation.execute, &situation.request] {
                let checked = Request::new(
                    request.principal().unwrap().clone(),
                    request.action().unwrap().clone(),
                    request.resource().unwrap().clone(),
                    request.context().unwrap().clone(),
                    Some(schema),
                );
                prop_assert!(checked.is_ok(), "{}", checked.unwrap_err());
            }
            let entities = Entities::from_entities(situation.entities.iter().cloned(), Some(schema));
            prop_assert!(entities.is_ok(), "{}", entities.unwrap_err());
        }
    }
}

#[test]
fn facts_that_cannot_be_are_refused() {
    let good = crate::sheet::FactSheet::default().facts().unwrap();
    let vocabulary = STARTER.vocabulary();
    assert!(vocabulary.situations(&good, STARTER.attributes()).is_ok());
    let mut none = good.clone();
    none.scopes.clear();
    let mut empty = good.clone();
    empty.scopes[0].assets.clear();
    let mut cvss = good.clone();
    cvss.vulnerability.cvss_tenths.value = Known::Fresh(101);
    let mut epss = good;
    epss.vulnerability.epss_ten_thousandths.value = Known::Fresh(10_001);
    for wrong in [none, empty, cvss, epss] {
        assert!(vocabulary.situations(&wrong, STARTER.attributes()).is_err());
    }
}
