//! Reports of `countersign audit` in files and on stdout: which form, whether it can be written at
//! all, and then whole or not at all. What stands in them is `evidence::audit`'s.

use super::{Exit, Failure};
use countersign_domain::Timestamp;
use countersign_evidence::audit::{Form, Provenance, Report};
use std::io::{BufWriter, ErrorKind};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// What is written besides the summary.
#[derive(Debug, clap::Args)]
pub(super) struct Reports {
    /// Write a report too, its form told by how the name ends; may be given several times
    #[arg(long = "report", value_name = "FILE", value_parser = file)]
    files: Vec<(PathBuf, Form)>,
    /// Write this form to stdout, in place of the summary
    #[arg(long, value_name = "FORM", value_parser = form, conflicts_with_all = ["explain", "sample"])]
    format: Option<Form>,
}

impl Reports {
    /// Whether all of it could be written.
    pub(super) fn check(&self, json: bool) -> Result<(), Failure> {
        if json && self.format.is_some_and(|form| form != Form::Json) {
            return Err(Failure::usage("`--json` and `--format` ask for two forms")
                .hint("leave one of them out; `--report FILE` writes further forms"));
        }
        for (number, (path, _)) in self.files.iter().enumerate() {
            if path.is_dir() {
                return Err(unwritable(path, &ErrorKind::IsADirectory.into()));
            }
            if self
                .files
                .iter()
                .take(number)
                .any(|(other, _)| other == path)
            {
                return Err(Failure::usage(format!(
                    "`--report {}` is given twice",
                    path.display()
                )));
            }
            beside(path).map_err(|error| unwritable(path, &error))?;
        }
        Ok(())
    }

    /// Writes the files: each whole, or none.
    pub(super) fn write(&self, report: &Report, provenance: &Provenance) -> Result<(), Failure> {
        for (path, form) in &self.files {
            let failed = |error: std::io::Error| unwritable(path, &error);
            let scratch = beside(path).map_err(failed)?;
            form.write(report, provenance, BufWriter::new(scratch.as_file()))
                .map_err(|error| failed(std::io::Error::other(error)))?;
            scratch.as_file().sync_all().map_err(failed)?;
            scratch.persist(path).map_err(|error| failed(error.error))?;
            eprintln!("written: {}", shown(path));
        }
        Ok(())
    }

    /// Writes to stdout where a form was asked for; false where none was.
    pub(super) fn stdout(&self, report: &Report, provenance: &Provenance) -> Result<bool, Failure> {
        let Some(form) = self.format else {
            return Ok(false);
        };
        let mut out = CountsBroken {
            out: std::io::stdout().lock(),
            broken: false,
        };
        let written = form.write(report, provenance, BufWriter::new(&mut out));
        match written {
            Ok(()) => Ok(true),
            // A reader that has gone away (`| head`) is no failure of the command.
            Err(_) if out.broken => Ok(true),
            Err(error) => Err(Failure::new(Exit::Usage, format!("stdout: {error}"))),
        }
    }
}

/// Remembers whether whoever reads has gone away.
struct CountsBroken<W> {
    out: W,
    broken: bool,
}

impl<W: std::io::Write> std::io::Write for CountsBroken<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.out.write(bytes);
        self.broken |= matches!(&written, Err(error) if error.kind() == ErrorKind::BrokenPipe);
        written
    }

    fn flush(&mut self) -> std::io::Result<()> {
        let flushed = self.out.flush();
        self.broken |= matches!(&flushed, Err(error) if error.kind() == ErrorKind::BrokenPipe);
        flushed
    }
}

/// How this report came about.
pub(super) fn provenance(sample: Option<(usize, u64)>, made: Timestamp) -> Provenance {
    let words = std::env::args_os().skip(1);
    let words = words.map(|word| word.to_string_lossy().into_owned());
    Provenance {
        made,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        command: std::iter::once("countersign".to_owned())
            .chain(words)
            .collect(),
        sample,
    }
}

/// A file that is not there yet, in the folder of `path`; gone unless it is put in its place.
fn beside(path: &Path) -> std::io::Result<tempfile::NamedTempFile> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    tempfile::Builder::new()
        .prefix(".countersign-report-")
        // What the umask leaves of it, as for any file that a command writes.
        .permissions(std::fs::Permissions::from_mode(0o666))
        .tempfile_in(folder)
}

fn unwritable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(
        Exit::Usage,
        format!("the report `{}` cannot be written: {error}", path.display()),
    )
    .hint("name a file in a folder that is there and that you may write to")
}

fn shown(path: &Path) -> String {
    countersign_domain::text::shown(&path.to_string_lossy(), 400)
}

fn file(text: &str) -> Result<(PathBuf, Form), String> {
    let path = PathBuf::from(text);
    let name = path.file_name().map(|name| name.to_string_lossy());
    let form = name.and_then(|name| Form::of_file(&name)).ok_or_else(|| {
        let endings: Vec<_> = Form::ALL.map(Form::extension).to_vec();
        format!("its form is told by how it ends: {}", endings.join(", "))
    })?;
    Ok((path, form))
}

fn form(text: &str) -> Result<Form, String> {
    Form::ALL
        .into_iter()
        .find(|form| form.as_str() == text)
        .ok_or_else(|| format!("one of: {}", Form::ALL.map(Form::as_str).join(", ")))
}
