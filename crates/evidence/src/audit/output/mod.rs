//! The report in the forms that others take: each a pure function of the report and of how it came
//! about. Judges nothing, opens no file, asks no clock.

mod charts;
mod columns;
mod controls;
mod csv;
mod html;
mod ocsf;
mod oscal;

use super::report::Report;
use countersign_domain::Timestamp;
use std::io::Write;

/// A form that a report is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// One page for people, which needs nothing else.
    Html,
    /// The whole report, as it is.
    Json,
    /// One row an action, with the columns that auditors ask for.
    Csv,
    /// OCSF compliance findings, one a line.
    Ocsf,
    /// OSCAL assessment results.
    Oscal,
}

/// How a report came about: what it takes to make it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provenance {
    /// When it was made.
    pub made: Timestamp,
    /// The version of the program.
    pub version: String,
    /// The command and its arguments.
    pub command: Vec<String>,
    /// The sample that was drawn with it: its size and its seed.
    pub sample: Option<(usize, u64)>,
}

/// Why a report could not be written.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// What it is written to failed.
    #[error(transparent)]
    Write(#[from] std::io::Error),
    /// It has no CSV.
    #[error(transparent)]
    Csv(#[from] ::csv::Error),
    /// It has no JSON.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

impl Form {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Html, Self::Json, Self::Csv, Self::Ocsf, Self::Oscal];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Html => "html",
            Self::Json => "json",
            Self::Csv => "csv",
            Self::Ocsf => "ocsf",
            Self::Oscal => "oscal",
        }
    }

    /// How the names of its files end.
    #[must_use]
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Html => ".html",
            Self::Json => ".json",
            Self::Csv => ".csv",
            Self::Ocsf => ".ocsf.jsonl",
            Self::Oscal => ".oscal.json",
        }
    }

    /// The form that a file's name asks for: by the longest ending that fits.
    #[must_use]
    pub fn of_file(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        Self::ALL
            .into_iter()
            // A name that is an ending and nothing else is a hidden file without one.
            .filter(|form| name.ends_with(form.extension()) && name.len() > form.extension().len())
            .max_by_key(|form| form.extension().len())
    }

    /// Writes `report` in this form.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn write(
        self,
        report: &Report,
        provenance: &Provenance,
        mut out: impl Write,
    ) -> Result<(), OutputError> {
        match self {
            Self::Html => html::write(report, provenance, &mut out)?,
            Self::Json => {
                serde_json::to_writer_pretty(&mut out, report)?;
                writeln!(out)?;
            }
            Self::Csv => csv::write(report, provenance, &mut out)?,
            Self::Ocsf => ocsf::write(report, provenance, &mut out)?,
            Self::Oscal => oscal::write(report, provenance, &mut out)?,
        }
        out.flush()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Form;

    #[test]
    fn a_files_name_tells_its_form() {
        for form in Form::ALL {
            let name = format!("out/Report{}", form.extension());
            assert_eq!(Form::of_file(&name), Some(form), "{name}");
        }
        for name in ["report", "report.pdf", "csv", ".csv", "report.csv.gz", ""] {
            assert_eq!(Form::of_file(name), None, "{name}");
        }
    }
}
