//! The package index: what apt knows of a version before its file is fetched. Digests from here are
//! covered by the archive's signature, as apt checked it.

use super::{Apt, AptError, Spec};
use countersign_domain::{Architecture, Digest, PackageName, Version};
use std::collections::BTreeMap;

/// Versions asked for in one run.
const BATCH: usize = 100;

/// What the index says of one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The archive's section, such as `libs`.
    pub section: Option<String>,
    /// Essential, or of priority `required`.
    pub essential: bool,
    /// The source package.
    pub source: PackageName,
    /// The source package's version.
    pub source_version: Version,
    /// The digest of the file; none when the version is only installed, no longer offered.
    pub sha256: Option<Digest>,
    /// The size of the file, in bytes.
    pub size: u64,
}

impl Record {
    /// True when the archive still offers the file.
    #[must_use]
    pub const fn offered(&self) -> bool {
        self.sha256.is_some()
    }
}

/// What the index says of many versions.
pub type Records = BTreeMap<Spec, Record>;

impl Apt {
    /// Looks up versions; those that apt does not know are left out. A record that is malformed is
    /// passed over, as if apt did not know it, and told among the `gaps`.
    ///
    /// # Errors
    /// When apt could not be run to its end.
    pub fn index(&self, wanted: &[Spec], gaps: &mut Vec<String>) -> Result<Records, AptError> {
        let mut records = Records::new();
        for batch in wanted.chunks(BATCH) {
            let mut run = self.apt("apt-cache").args(["show", "--"]);
            for spec in batch {
                run = run.arg(self.argument(spec)?);
            }
            let ended = run.end()?;
            // Exit 100 when one of many is not known: the others are still shown.
            for (spec, record) in parse(&ended.text(), gaps) {
                if batch.contains(&spec) {
                    let known = records.entry(spec).or_insert_with(|| record.clone());
                    if !known.offered() {
                        *known = record;
                    }
                }
            }
        }
        Ok(records)
    }
}

/// Reads stanzas in the form of Debian's control files.
pub(super) fn stanzas(text: &str) -> Vec<BTreeMap<String, String>> {
    let mut all = Vec::new();
    let mut fields: BTreeMap<String, String> = BTreeMap::new();
    for line in text.lines() {
        if line.trim().is_empty() {
            if !fields.is_empty() {
                all.push(std::mem::take(&mut fields));
            }
        } else if !line.starts_with([' ', '\t'])
            && let Some((name, value)) = line.split_once(':')
        {
            // Only the first line of a field is of interest; the first field of a name counts.
            fields
                .entry(name.to_ascii_lowercase())
                .or_insert_with(|| value.trim().to_owned());
        }
    }
    if !fields.is_empty() {
        all.push(fields);
    }
    all
}

fn parse(text: &str, gaps: &mut Vec<String>) -> Vec<(Spec, Record)> {
    let mut records = Vec::new();
    for fields in stanzas(text) {
        match record(&fields) {
            Some(record) => records.push(record),
            None => {
                let name = fields.get("package").map_or("?", String::as_str);
                gaps.push(format!(
                    "the package index has a record of `{}` that is not understood; it is passed over",
                    countersign_domain::text::shown(name, 100)
                ));
            }
        }
    }
    records
}

fn record(fields: &BTreeMap<String, String>) -> Option<(Spec, Record)> {
    let field = |name: &str| fields.get(name).map(String::as_str);
    let spec = Spec {
        name: PackageName::new(field("package")?).ok()?,
        architecture: Architecture::new(field("architecture")?).ok()?,
        version: Version::new(field("version")?).ok()?,
    };
    // Only changelogs are found by it.
    let (source, source_version) =
        source(field("source"), &spec).unwrap_or_else(|| (spec.name.clone(), spec.version.clone()));
    let sha256 = match field("sha256") {
        Some(digits) => Some(format!("sha256:{digits}").parse().ok()?),
        None => None,
    };
    let record = Record {
        section: field("section").map(|text| countersign_domain::text::shown(text, 60)),
        essential: field("essential") == Some("yes") || field("priority") == Some("required"),
        source,
        source_version,
        sha256: sha256.filter(|_| field("filename").is_some()),
        size: field("size")
            .and_then(|text| text.parse().ok())
            .unwrap_or(0),
    };
    Some((spec, record))
}

/// `Source: openssl (3.0.22-1)`: by default the package itself, in its own version.
fn source(field: Option<&str>, spec: &Spec) -> Option<(PackageName, Version)> {
    let Some(text) = field else {
        return Some((spec.name.clone(), spec.version.clone()));
    };
    match text.split_once(" (") {
        Some((name, rest)) => Some((
            PackageName::new(name).ok()?,
            Version::new(rest.strip_suffix(')')?).ok()?,
        )),
        None => Some((PackageName::new(text).ok()?, spec.version.clone())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SHOWN: &str = "Package: libssl3\nSource: openssl (3.0.22-1)\nVersion: 3.0.22-1+b1\nArchitecture: amd64\nSection: libs\nPriority: optional\nFilename: pool/x.deb\nSize: 2030\nSHA256: ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\nDescription: a\n multi-line Version: 9\n\nPackage: dpkg\nEssential: yes\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.21.22\n";

    #[test]
    fn records_are_read() {
        let mut gaps = Vec::new();
        let records = parse(SHOWN, &mut gaps);
        assert!(gaps.is_empty(), "{gaps:?}");
        let (spec, openssl) = &records[0];
        assert_eq!(spec.version.as_str(), "3.0.22-1+b1");
        assert_eq!(openssl.source.as_str(), "openssl");
        assert_eq!(openssl.source_version.as_str(), "3.0.22-1");
        assert!(openssl.offered() && !openssl.essential);
        assert_eq!(openssl.size, 2030);
        let (_, dpkg) = &records[1];
        assert!(dpkg.essential && !dpkg.offered());
        assert_eq!(dpkg.source.as_str(), "dpkg");
    }

    #[test]
    fn a_malformed_record_is_passed_over_and_told() {
        let mut gaps = Vec::new();
        let wrong = "Package: x;y\nVersion: 1\nArchitecture: all\n";
        assert!(parse(wrong, &mut gaps).is_empty());
        assert!(gaps[0].contains("`x;y`"), "{gaps:?}");
        let one_is_wrong = SHOWN.replace("SHA256: ba", "SHA256: zz");
        let records = parse(&one_is_wrong, &mut gaps);
        assert_eq!((records.len(), gaps.len()), (1, 2));
        assert_eq!(records[0].0.name.as_str(), "dpkg");
    }

    #[test]
    fn an_odd_source_is_only_a_missing_changelog() {
        let text = SHOWN.replace("openssl (3.0.22-1)", "Odd_Source!");
        let mut gaps = Vec::new();
        let (spec, record) = &parse(&text, &mut gaps)[0];
        assert_eq!(record.source, spec.name);
        assert!(gaps.is_empty());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn nothing_makes_it_panic(text in "(Package: |Version: |Source: |\\n|[ -~]){0,30}") {
            let _ = parse(&text, &mut Vec::new());
        }
    }
}
