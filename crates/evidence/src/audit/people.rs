//! The registry of named humans: whom an approval may come from. Without an entry here nobody is a
//! named human, whatever a log says of them.

use super::model::{Actor, Nature};
use std::collections::{BTreeMap, BTreeSet};

/// The longest registry that is read, in bytes.
pub const PEOPLE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Who is who.
#[derive(Debug, Clone, Default)]
pub struct People {
    entries: Vec<Entry>,
    /// By name in lower case: whose it is. Where two entries share it, it names nobody.
    by_name: BTreeMap<String, BTreeSet<usize>>,
}

#[derive(Debug, Clone)]
struct Entry {
    name: String,
    nature: Nature,
}

/// What the registry knows of an actor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known<'a> {
    /// A named human, by their name in the registry.
    Person(&'a str),
    /// An automation.
    Automation,
    /// A group.
    Group,
    /// Not in it, or under names of several.
    Unknown,
}

/// Why a registry cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PeopleError {
    /// Not CSV.
    #[error("people: {0}")]
    Csv(#[from] csv::Error),
    /// No `name` column.
    #[error(
        "people: the first line must name the columns, `name` among them; \
         hint: `name,email,login`, then one person a line"
    )]
    Columns,
    /// An entry without a name.
    #[error("people: line {0} has no name")]
    Nameless(u64),
    /// A kind that there is not.
    #[error("people: line {0}: kind must be `person`, `automation` or `group`")]
    Kind(u64),
}

impl People {
    /// Reads a registry: CSV with a head. `name` is required; `kind` may be `person` (the default),
    /// `automation` or `group`; every other column holds further names of the same one (login,
    /// address, ARN), several with `;` between them.
    ///
    /// # Errors
    /// [`PeopleError`] names the line.
    pub fn read(text: impl std::io::Read) -> Result<Self, PeopleError> {
        let mut reader = csv::ReaderBuilder::new()
            .trim(csv::Trim::All)
            .flexible(true)
            .from_reader(text);
        let head: Vec<String> = reader
            .headers()?
            .iter()
            .map(str::to_ascii_lowercase)
            .collect();
        if !head.iter().any(|column| column == "name") {
            return Err(PeopleError::Columns);
        }
        let mut people = Self::default();
        for row in reader.records() {
            let row = row?;
            let line = row.position().map_or(0, csv::Position::line);
            let cell = |column: &str| {
                let at = head.iter().position(|name| name == column)?;
                row.get(at).filter(|text| !text.is_empty())
            };
            let name = cell("name").ok_or(PeopleError::Nameless(line))?;
            let nature = match cell("kind").map(str::to_ascii_lowercase).as_deref() {
                None | Some("person") => Nature::Person,
                Some("automation") => Nature::Automation,
                Some("group") => Nature::Group,
                Some(_) => return Err(PeopleError::Kind(line)),
            };
            let names = head
                .iter()
                .zip(&row)
                .filter(|(column, _)| *column != "kind")
                .flat_map(|(_, cell)| cell.split(';'));
            people.add(name, nature, names);
        }
        Ok(people)
    }

    fn add<'a>(&mut self, name: &str, nature: Nature, names: impl Iterator<Item = &'a str>) {
        let number = self.entries.len();
        self.entries.push(Entry {
            name: name.to_owned(),
            nature,
        });
        for name in names.map(|name| name.trim().to_lowercase()) {
            if name.is_empty() {
                continue;
            }
            self.by_name.entry(name).or_default().insert(number);
        }
    }

    /// With other names of people: each is whoever has the first already, or somebody new.
    pub(crate) fn with(&self, names: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut people = self.clone();
        for (known, other) in names {
            let owners = people.by_name.get(&known.to_lowercase()).cloned();
            match owners {
                Some(owners) => {
                    let of = people.by_name.entry(other.to_lowercase()).or_default();
                    of.extend(owners);
                }
                None => people.add(&known, Nature::Person, std::iter::once(other.as_str())),
            }
        }
        people
    }

    /// How many named humans are in it.
    #[must_use]
    pub fn persons(&self) -> usize {
        let person = |entry: &&Entry| entry.nature == Nature::Person;
        self.entries.iter().filter(person).count()
    }

    /// What it knows of `actor`. Names of several entries, or a name that several share, are nobody.
    #[must_use]
    pub fn look_up(&self, actor: &Actor) -> Known<'_> {
        let all: BTreeSet<usize> = self.owners(actor).flatten().copied().collect();
        match (all.first(), all.len()) {
            (Some(number), 1) => match self.entries.get(*number) {
                Some(entry) if entry.nature == Nature::Person => Known::Person(&entry.name),
                Some(entry) if entry.nature == Nature::Group => Known::Group,
                Some(_) => Known::Automation,
                None => Known::Unknown,
            },
            _ => Known::Unknown,
        }
    }

    /// Whose each of an actor's names is.
    fn owners<'a>(&'a self, actor: &'a Actor) -> impl Iterator<Item = &'a BTreeSet<usize>> {
        let names = actor.names();
        names.filter_map(|name| self.by_name.get(&name.to_lowercase()))
    }

    /// Whether two actors are or may be the same, as far as their names or the registry tell: a name that
    /// several share may be any of theirs.
    #[must_use]
    pub fn same(&self, one: &Actor, other: &Actor) -> bool {
        let of: BTreeSet<usize> = self.owners(one).flatten().copied().collect();
        if self.owners(other).flatten().any(|owner| of.contains(owner)) {
            return true;
        }
        one.names()
            .any(|name| other.names().any(|also| also.eq_ignore_ascii_case(name)))
    }
}

#[cfg(test)]
mod tests {
    use super::{Known, People, PeopleError};
    use crate::audit::model::{Actor, Nature};

    fn actor(name: &str) -> Actor {
        Actor::new(name, Nature::Person)
    }

    #[test]
    fn people_are_found_by_any_of_their_names() {
        let people = People::read(
            "Name,email,logins,kind\n\
             Ada Stone, ada@example.org ,ada;astone,\n\
             Ben Wood,ben@example.org,ben,person\n\
             Merge Bot,,merge-bot,automation\n\
             Change Board,,cab,group\n"
                .as_bytes(),
        )
        .unwrap();
        assert_eq!(people.persons(), 2);
        for name in ["Ada Stone", "ADA@example.org", "astone"] {
            assert_eq!(people.look_up(&actor(name)), Known::Person("Ada Stone"));
        }
        assert_eq!(people.look_up(&actor("merge-bot")), Known::Automation);
        assert_eq!(people.look_up(&actor("cab")), Known::Group);
        assert_eq!(people.look_up(&actor("mallory")), Known::Unknown);
        // One actor under the names of two is nobody.
        assert_eq!(people.look_up(&actor("ada").or("ben")), Known::Unknown);
        assert!(people.same(&actor("ada"), &actor("ada@example.org")));
        assert!(!people.same(&actor("ada"), &actor("ben")));
        assert!(people.same(&actor("Mallory"), &actor("x").or("mallory")));
    }

    #[test]
    fn a_name_of_two_people_names_nobody() {
        let people = People::read("name,login\nAda,admin\nBen,admin\n".as_bytes()).unwrap();
        assert_eq!(people.look_up(&actor("admin")), Known::Unknown);
        assert_eq!(people.look_up(&actor("Ada")), Known::Person("Ada"));
    }

    #[test]
    fn a_registry_that_cannot_be_used_says_where() {
        let read = |text: &str| People::read(text.as_bytes()).unwrap_err();
        assert!(matches!(read("login\nada\n"), PeopleError::Columns));
        assert!(matches!(
            read("name,login\n,ada\n"),
            PeopleError::Nameless(2)
        ));
        assert!(matches!(
            read("name,kind\nAda,robot\n"),
            PeopleError::Kind(2)
        ));
    }

    #[test]
    fn a_name_that_several_share_may_be_any_of_theirs() {
        let people = "name,login\nAda,ada;admin\nBen,ben;admin\nCy,cy\n";
        let people = People::read(people.as_bytes()).unwrap();
        let (ada, cy, admin) = (actor("ada"), actor("cy"), actor("admin"));
        assert_eq!(people.look_up(&admin), Known::Unknown);
        assert!(people.same(&ada, &admin) && people.same(&admin, &actor("ben")));
        assert!(!people.same(&cy, &admin));
        // Another name of somebody who is known, and of somebody who is not.
        let more = [("ada", "x:ada"), ("dee", "x:dee")];
        let people = people.with(more.map(|(one, other)| (one.to_owned(), other.to_owned())));
        assert_eq!(people.look_up(&actor("x:ada")), Known::Person("Ada"));
        assert_eq!(people.look_up(&actor("x:dee")), Known::Person("dee"));
        assert_eq!(people.look_up(&actor("dee")), Known::Unknown);
    }
}
