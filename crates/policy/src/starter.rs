//! The starter policy that `init` and `quickstart` write, embedded from `policies/starter`.

use crate::source::PolicySource;
use countersign_domain::PersonId;
use std::collections::BTreeMap;

/// Whom the starter policy names as owner until somebody says otherwise.
const OWNER: &str = "\"policy-owner\"";

const FILES: [(&str, &str); 7] = [
    (
        "policy.toml",
        include_str!("../../../policies/starter/policy.toml"),
    ),
    (
        "rules/standing.cedar",
        include_str!("../../../policies/starter/rules/standing.cedar"),
    ),
    (
        "rules/requests.cedar",
        include_str!("../../../policies/starter/rules/requests.cedar"),
    ),
    (
        "rules/limits.cedar",
        include_str!("../../../policies/starter/rules/limits.cedar"),
    ),
    (
        "rules/people.cedar",
        include_str!("../../../policies/starter/rules/people.cedar"),
    ),
    (
        "cases/agents.toml",
        include_str!("../../../policies/starter/cases/agents.toml"),
    ),
    (
        "cases/people.toml",
        include_str!("../../../policies/starter/cases/people.toml"),
    ),
];

/// The starter policy as it lies in `policies/starter`.
#[must_use]
pub fn starter() -> PolicySource {
    embedded(|_, text| text.to_owned())
}

/// The starter policy with `person` answering for its rules, as a deployment writes it.
#[must_use]
pub fn starter_for(person: &PersonId) -> PolicySource {
    // A person id has no character that TOML would escape.
    embedded(|path, text| match path {
        "policy.toml" => text.replace(OWNER, &format!("\"{person}\"")),
        _ => text.to_owned(),
    })
}

fn embedded(text_of: impl Fn(&str, &str) -> String) -> PolicySource {
    let files: BTreeMap<_, _> = FILES
        .iter()
        .map(|(path, text)| ((*path).to_owned(), text_of(path, text).into_bytes()))
        .collect();
    // INVARIANT: these seven files are part of the build and far below every bound; a test loads
    // them.
    PolicySource::new(files).expect("the embedded starter policy is within bounds")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::from_folder;
    use crate::policy::Policy;
    use std::path::Path;

    #[test]
    fn the_embedded_starter_is_the_folder() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies/starter");
        assert_eq!(from_folder(&folder).unwrap(), starter());
    }

    #[test]
    fn a_deployment_puts_its_own_person_in() {
        let person = PersonId::new("maria.ortiz").unwrap();
        let policy = Policy::load(&starter_for(&person)).unwrap();
        assert!(policy.rules().all(|rule| rule.owners == [person.clone()]));
    }
}
