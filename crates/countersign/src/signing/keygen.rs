//! Runs `ssh-keygen -Y sign`, which knows passphrases, agents and security keys. The statement goes
//! in on stdin; prompts go to the terminal; nothing secret is an argument.

use super::SigningError;
use countersign_domain::statement::SSH_NAMESPACE;
use countersign_domain::text::shown;
use countersign_verify::ssh::SIGNATURE_BYTES_MAX;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

const PROGRAM: &str = "ssh-keygen";

/// The program could not be run or talked to.
pub(super) fn unavailable(source: std::io::Error) -> SigningError {
    SigningError::Program {
        program: PROGRAM,
        source,
    }
}

/// Signs with the key in `path`; with `agent`, `path` names the public half of a key in the agent.
pub(super) fn sign(path: &Path, agent: bool, bytes: &[u8]) -> Result<String, SigningError> {
    let mut command = Command::new(PROGRAM);
    command.args(["-q", "-Y", "sign", "-n", SSH_NAMESPACE]);
    if agent {
        command.arg("-U");
    }
    // Prompts of security keys ("confirm user presence") come on stderr: the human has to see them.
    let mut child = command
        .arg("-f")
        .arg(path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .map_err(unavailable)?;
    if let Some(mut stdin) = child.stdin.take() {
        // A child that has ended already says more by its exit status than by a broken pipe.
        let _ = stdin.write_all(bytes);
    }
    let mut signature = String::new();
    if let Some(stdout) = child.stdout.take() {
        stdout
            .take(SIGNATURE_BYTES_MAX as u64)
            .read_to_string(&mut signature)
            .map_err(unavailable)?;
    }
    let status = child.wait().map_err(unavailable)?;
    if !status.success() {
        return Err(SigningError::Keygen(status.to_string()));
    }
    if signature.starts_with("-----BEGIN SSH SIGNATURE-----") {
        Ok(signature)
    } else {
        Err(SigningError::Keygen(format!(
            "it printed `{}`",
            shown(&signature, 60)
        )))
    }
}
