//! Runs a child process with a deadline, a clean environment and bounded output. The only place of
//! this crate that starts a process. No shell: argv is given word by word.

use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// The only search path that children get.
pub(crate) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// How long a child that was asked to end may take before it is killed.
const GRACE: Duration = Duration::from_secs(5);
/// How long to wait for output after the child itself has ended: a daemon that it left behind may
/// hold the pipe open for ever.
const LINGER: Duration = Duration::from_secs(2);

/// Why a child could not be run to its end.
#[derive(Debug, thiserror::Error)]
pub enum ChildError {
    /// There is no such program.
    #[error("`{0}` is not installed, or not in {PATH}")]
    Missing(String),
    /// It could not be started or watched.
    #[error("`{program}` could not be run: {source}")]
    Io {
        /// The program.
        program: String,
        /// Why.
        source: std::io::Error,
    },
    /// It took too long and was killed, with its process group.
    #[error("`{program}` did not end within {seconds} s and was stopped")]
    TimedOut {
        /// The program.
        program: String,
        /// The limit.
        seconds: u64,
    },
    /// It wrote more than was allowed and was killed.
    #[error("`{program}` wrote more than {bytes_max} bytes and was stopped")]
    TooMuchOutput {
        /// The program.
        program: String,
        /// The limit.
        bytes_max: usize,
    },
}

/// How a child ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
}

impl Ended {
    /// What it wrote, as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// The last lines of what it complained about, made harmless, for an error message.
    pub(crate) fn complaint(&self) -> String {
        let all = String::from_utf8_lossy(&self.stderr);
        let all = if all.trim().is_empty() {
            String::from_utf8_lossy(&self.stdout)
        } else {
            all
        };
        let lines: Vec<_> = all.lines().filter(|line| !line.trim().is_empty()).collect();
        let tail = lines.len().saturating_sub(6);
        let joined = lines.get(tail..).unwrap_or_default().join("; ");
        countersign_domain::text::shown(&joined, 600)
    }
}

/// What to run.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    program: OsString,
    arguments: Vec<OsString>,
    environment: Vec<(String, OsString)>,
    folder: Option<PathBuf>,
    seconds: u64,
    bytes_max: usize,
}

impl Run {
    /// `program` with a clean environment, 60 s and 4 MiB of output.
    pub(crate) fn new(program: impl AsRef<OsStr>) -> Self {
        let environment = [
            ("LC_ALL", "C.UTF-8"),
            ("PATH", PATH),
            ("HOME", "/nonexistent"),
        ];
        Self {
            program: program.as_ref().to_owned(),
            arguments: Vec::new(),
            environment: environment
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value.into()))
                .collect(),
            folder: None,
            seconds: 60,
            bytes_max: 4 * 1024 * 1024,
        }
    }

    pub(crate) fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    pub(crate) fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments
            .extend(arguments.into_iter().map(|a| a.as_ref().to_owned()));
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.environment
            .push((name.to_owned(), value.as_ref().to_owned()));
        self
    }

    pub(crate) fn folder(mut self, folder: &Path) -> Self {
        self.folder = Some(folder.to_owned());
        self
    }

    pub(crate) const fn seconds(mut self, seconds: u64) -> Self {
        self.seconds = seconds;
        self
    }

    pub(crate) const fn bytes_max(mut self, bytes_max: usize) -> Self {
        self.bytes_max = bytes_max;
        self
    }

    /// Runs it to its end, whatever its exit status.
    ///
    /// # Errors
    /// When it is missing, takes too long or writes too much; its whole process group is then ended.
    pub(crate) fn end(self) -> Result<Ended, ChildError> {
        self.end_with(Stdio::null())
    }

    /// Runs `self | reader`; the status and output of both.
    ///
    /// # Errors
    /// As [`Run::end`], for either.
    pub(crate) fn pipe_into(self, reader: Self) -> Result<(ExitStatus, Ended), ChildError> {
        let mut first = self.spawn(Stdio::null(), Stdio::null())?;
        let handed = first.stdout.take().map_or_else(Stdio::null, Stdio::from);
        let read = reader.end_with(handed);
        // The reader is done: a writer that is still writing gets SIGPIPE, or is ended here.
        let status = match wait_until(&mut first, Instant::now() + LINGER) {
            Ok(Some(status)) => status,
            Ok(None) | Err(_) => stop(&mut first).map_err(|source| self.io(source))?,
        };
        read.map(|ended| (status, ended))
    }

    fn io(&self, source: std::io::Error) -> ChildError {
        let program = self.program.to_string_lossy().into_owned();
        if source.kind() == std::io::ErrorKind::NotFound {
            ChildError::Missing(program)
        } else {
            ChildError::Io { program, source }
        }
    }

    fn spawn(&self, stdin: Stdio, stderr: Stdio) -> Result<Child, ChildError> {
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .process_group(0)
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(stderr);
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        command.spawn().map_err(|source| self.io(source))
    }

    fn end_with(self, stdin: Stdio) -> Result<Ended, ChildError> {
        let mut child = self.spawn(stdin, Stdio::piped())?;
        let stdout = collect(child.stdout.take(), self.bytes_max);
        let stderr = collect(child.stderr.take(), self.bytes_max);
        let deadline = Instant::now() + Duration::from_secs(self.seconds);
        let mut out = Output::default();
        let mut err = Output::default();
        let status = loop {
            out.take(&stdout);
            err.take(&stderr);
            if out.overflow || err.overflow {
                let _ = stop(&mut child);
                return Err(ChildError::TooMuchOutput {
                    program: self.program.to_string_lossy().into_owned(),
                    bytes_max: self.bytes_max,
                });
            }
            match child.try_wait() {
                Ok(Some(status)) => break status,
                Ok(None) if Instant::now() >= deadline => {
                    let _ = stop(&mut child);
                    return Err(ChildError::TimedOut {
                        program: self.program.to_string_lossy().into_owned(),
                        seconds: self.seconds,
                    });
                }
                Ok(None) => std::thread::sleep(Duration::from_millis(4)),
                Err(source) => return Err(self.io(source)),
            }
        };
        let linger = Instant::now() + LINGER;
        out.finish(&stdout, linger);
        err.finish(&stderr, linger);
        if out.overflow || err.overflow {
            return Err(ChildError::TooMuchOutput {
                program: self.program.to_string_lossy().into_owned(),
                bytes_max: self.bytes_max,
            });
        }
        Ok(Ended {
            status,
            stdout: out.bytes,
            stderr: err.bytes,
        })
    }
}

/// What a reading thread sends: a piece of output, or word that there was too much of it.
enum Piece {
    Bytes(Vec<u8>),
    Overflow,
}

#[derive(Default)]
struct Output {
    bytes: Vec<u8>,
    overflow: bool,
    ended: bool,
}

impl Output {
    fn put(&mut self, piece: Piece) {
        match piece {
            Piece::Bytes(bytes) => self.bytes.extend_from_slice(&bytes),
            Piece::Overflow => self.overflow = true,
        }
    }

    fn take(&mut self, pieces: &Receiver<Piece>) {
        while let Ok(piece) = pieces.try_recv() {
            self.put(piece);
        }
    }

    fn finish(&mut self, pieces: &Receiver<Piece>, until: Instant) {
        while !self.ended && !self.overflow {
            let left = until.saturating_duration_since(Instant::now());
            match pieces.recv_timeout(left) {
                Ok(piece) => self.put(piece),
                Err(_) => self.ended = true,
            }
        }
    }
}

fn collect(pipe: Option<impl Read + Send + 'static>, bytes_max: usize) -> Receiver<Piece> {
    let (sender, receiver) = channel();
    if let Some(mut pipe) = pipe {
        std::thread::spawn(move || {
            let mut total = 0_usize;
            let mut buffer = [0_u8; 16 * 1024];
            while let Ok(count) = pipe.read(&mut buffer) {
                if count == 0 {
                    return;
                }
                total = total.saturating_add(count);
                let piece = if total > bytes_max {
                    Piece::Overflow
                } else {
                    Piece::Bytes(buffer.get(..count).unwrap_or_default().to_vec())
                };
                if sender.send(piece).is_err() || total > bytes_max {
                    return;
                }
            }
        });
    }
    receiver
}

fn wait_until(child: &mut Child, deadline: Instant) -> std::io::Result<Option<ExitStatus>> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= deadline {
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(4));
    }
}

/// Asks the child's whole process group to end, then makes it.
fn stop(child: &mut Child) -> std::io::Result<ExitStatus> {
    let group = i32::try_from(child.id())
        .ok()
        .and_then(rustix::process::Pid::from_raw);
    if let Some(group) = group {
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::TERM);
        if let Some(status) = wait_until(child, Instant::now() + GRACE)? {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
            return Ok(status);
        }
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    } else {
        child.kill()?;
    }
    child.wait()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_is_clean_and_output_is_kept() {
        let ended = Run::new("env").env("A", "b").end().unwrap();
        assert!(ended.status.success());
        let mut lines: Vec<_> = ended.text().lines().map(str::to_owned).collect();
        lines.sort();
        assert_eq!(
            lines,
            [
                "A=b",
                "HOME=/nonexistent",
                "LC_ALL=C.UTF-8",
                &format!("PATH={PATH}")
            ]
        );
    }

    #[test]
    fn a_slow_child_is_stopped_with_its_whole_group() {
        let started = Instant::now();
        let error = Run::new("sh")
            .args(["-c", "sleep 50 & sleep 50"])
            .seconds(1)
            .end()
            .unwrap_err();
        assert!(matches!(error, ChildError::TimedOut { seconds: 1, .. }));
        assert!(started.elapsed() < Duration::from_secs(8));
    }

    #[test]
    fn a_flood_is_stopped() {
        let error = Run::new("yes").bytes_max(100_000).end().unwrap_err();
        assert!(matches!(error, ChildError::TooMuchOutput { .. }));
    }

    #[test]
    fn a_daemon_left_behind_does_not_hold_us_up() {
        let started = Instant::now();
        let ended = Run::new("sh")
            .args(["-c", "echo here; sleep 20 &"])
            .end()
            .unwrap();
        assert_eq!(ended.text(), "here\n");
        assert!(started.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn a_pipe_hands_bytes_over() {
        let (status, ended) = Run::new("printf")
            .arg("b\\na\\n")
            .pipe_into(Run::new("sort"))
            .unwrap();
        assert!(status.success() && ended.status.success());
        assert_eq!(ended.text(), "a\nb\n");
        assert!(matches!(
            Run::new("no-such-program-here").end(),
            Err(ChildError::Missing(_))
        ));
    }
}
