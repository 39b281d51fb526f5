//! The witness's own process: its folder, its key, and `add-checkpoint` over HTTP (C2SP
//! tlog-witness). Runs under its own user, apart from the server whose log it watches.

use super::heads::{FileHeads, HeadsError};
use crate::ambient;
use crate::serve::{Background, ServeError, bind, told};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use countersign_ledger::{
    AddCheckpoint, KeyError, KeyName, UpdateError, VerifierKey, Witness, WitnessSigner,
};
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

const KEY: &str = "witness.key";

/// A witness's folder: `witness.key` (its name and seed, mode 0600) and the heads it cosigned.
#[derive(Debug)]
pub struct WitnessDir {
    path: PathBuf,
    name: KeyName,
    seed: [u8; 32],
}

/// Why a witness does not start.
#[derive(Debug, thiserror::Error)]
pub enum WitnessError {
    /// There is no key yet.
    #[error("there is no witness in `{}`; make one with `countersign witness keygen --name NAME`", .0.display())]
    Absent(PathBuf),
    /// There is one already.
    #[error("`{}` holds a witness already; name another folder with `--dir`", .0.display())]
    Occupied(PathBuf),
    /// Others can read the key.
    #[error("`{}` can be read by others; run `chmod 600` on it", .0.display())]
    Exposed(PathBuf),
    /// The key file is not one of ours.
    #[error("`{}` is no witness key; restore it from a backup", .0.display())]
    Damaged(PathBuf),
    /// A name or key is malformed.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The system refused.
    #[error("`{}`: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// The heads.
    #[error(transparent)]
    Heads(#[from] HeadsError),
    /// The socket.
    #[error(transparent)]
    Serve(#[from] ServeError),
}

impl WitnessDir {
    /// Makes a key for a witness of this name.
    ///
    /// # Errors
    /// When there is one already, or the system refuses.
    pub fn create(path: &Path, name: &str) -> Result<Self, WitnessError> {
        let name = KeyName::new(name).map_err(KeyError::from)?;
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| WitnessError::File { path, source }
        };
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(failed(path))?;
        let seed: [u8; 32] = ambient::random();
        let key = path.join(KEY);
        let mut file = match File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&key)
        {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(WitnessError::Occupied(path.to_owned()));
            }
            opened => opened.map_err(failed(&key))?,
        };
        writeln!(file, "{name} {}", hex::encode(seed))
            .and_then(|()| file.sync_all())
            .map_err(failed(&key))?;
        Ok(Self {
            path: path.to_owned(),
            name,
            seed,
        })
    }

    /// Opens a witness's folder.
    ///
    /// # Errors
    /// When there is no key, or it cannot be used.
    pub fn open(path: &Path) -> Result<Self, WitnessError> {
        let key = path.join(KEY);
        let failed = |source| WitnessError::File {
            path: key.clone(),
            source,
        };
        let file = match File::open(&key) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(WitnessError::Absent(path.to_owned()));
            }
            opened => opened.map_err(failed)?,
        };
        if file.metadata().map_err(failed)?.permissions().mode() & 0o077 != 0 {
            return Err(WitnessError::Exposed(key));
        }
        let mut text = String::new();
        file.take(1000).read_to_string(&mut text).map_err(failed)?;
        let damaged = || WitnessError::Damaged(key.clone());
        let (name, hex_seed) = text.trim().split_once(' ').ok_or_else(damaged)?;
        let mut seed = [0; 32];
        hex::decode_to_slice(hex_seed, &mut seed).map_err(|_| damaged())?;
        Ok(Self {
            path: path.to_owned(),
            name: KeyName::new(name).map_err(|_| damaged())?,
            seed,
        })
    }

    /// The verifier key, for the roster and `deployment.toml`.
    ///
    /// # Errors
    /// Never in practice: no seed is known to give a weak key.
    pub fn vkey(&self) -> Result<String, WitnessError> {
        Ok(self.signer()?.vkey())
    }

    fn signer(&self) -> Result<WitnessSigner, WitnessError> {
        Ok(WitnessSigner::from_seed(self.name.clone(), &self.seed)?)
    }

    /// Starts to witness the logs whose keys are given.
    ///
    /// # Errors
    /// When the folder is in use, or the address cannot be had.
    pub fn start(
        &self,
        logs: Vec<VerifierKey>,
        listen: SocketAddr,
    ) -> Result<WitnessRunning, WitnessError> {
        let state = Arc::new(Watching {
            witness: Witness::new(self.signer()?, logs),
            heads: Mutex::new(FileHeads::open(&self.path)?),
            vkey: self.vkey()?,
        });
        let listener = bind(listen)?;
        let addr = listener.local_addr().map_err(ServeError::from)?;
        let router = Router::new()
            .route("/add-checkpoint", post(add_checkpoint))
            .route("/vkey", get(vkey))
            .layer(DefaultBodyLimit::max(AddCheckpoint::BODY_BYTES_MAX))
            .with_state(state);
        let beside = |stopped| Box::pin(told(stopped)) as _;
        let background =
            Background::start(listener, router, Box::new(beside)).map_err(ServeError::from)?;
        Ok(WitnessRunning { addr, background })
    }
}

/// A running witness. Stops when it is dropped.
pub struct WitnessRunning {
    /// Where it listens.
    pub addr: SocketAddr,
    background: Background,
}

impl WitnessRunning {
    /// Stops it.
    pub fn stop(mut self) {
        self.background.stop();
    }
}

struct Watching {
    witness: Witness,
    heads: Mutex<FileHeads>,
    vkey: String,
}

async fn vkey(State(watching): State<Arc<Watching>>) -> String {
    format!("{}\n", watching.vkey)
}

async fn add_checkpoint(State(watching): State<Arc<Watching>>, body: Bytes) -> Response {
    let wrong = |text: String| (StatusCode::BAD_REQUEST, format!("{text}\n")).into_response();
    let Ok(text) = std::str::from_utf8(&body) else {
        return wrong("the body is not text".into());
    };
    let request = match AddCheckpoint::parse(text) {
        Ok(request) => request,
        Err(error) => return wrong(error.to_string()),
    };
    // A time before 1970 reads as 1970.
    let now = u64::try_from(ambient::now().unix_seconds()).unwrap_or_default();
    let answer = tokio::task::block_in_place(|| {
        let mut heads = watching
            .heads
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        watching.witness.update(&mut *heads, &request, now)
    });
    match answer {
        Ok(line) => line.into_response(),
        Err(UpdateError::Conflict { size }) => (
            StatusCode::CONFLICT,
            [(CONTENT_TYPE, "text/x.tlog.size")],
            format!("{size}\n"),
        )
            .into_response(),
        Err(error) => {
            if matches!(error, UpdateError::SplitView { .. } | UpdateError::Store(_)) {
                eprintln!("countersign witness: {error}");
            }
            let status = StatusCode::from_u16(error.http_status())
                .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            (status, format!("{error}\n")).into_response()
        }
    }
}
