//! P6: offline verification of one warrant with its proof, as an auditor does it, beside the bare
//! signature verifications that it contains.

use super::bed::Bed;
use super::figures::{median, rounded};
use super::fleet::Kind;
use super::{BenchError, Figured, failed, scratch};
use countersign_ledger::TlogProof;
use countersign_verify::log::verify_proof;
use countersign_verify::warrant::verify_past;
use countersign_verify::{Ed25519Key, LogKeys};
use ed25519_dalek::{Signer as _, SigningKey};
use serde::Serialize;
use std::hint::black_box;
use std::path::PathBuf;
use std::time::Instant;

/// Arguments of `bench p6`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Authorizations before, so that the proof has the length that proofs have
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u16).range(1..=20_000))]
    authorizations: u16,
    /// Rounds
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u16).range(1..=99))]
    rounds: u16,
    /// Verifications in a round
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    verifications: u32,
    /// A folder on the disk to use [default: the system's temporary folder]
    #[arg(long, value_name = "DIR")]
    scratch: Option<PathBuf>,
}

/// What was measured.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    what: &'static str,
    version: &'static str,
    rounds: u16,
    /// Hashes of the inclusion proof.
    proof_hashes: usize,
    /// Signatures in it: the warrant's and the checkpoint's.
    signatures: usize,
    /// Microseconds for one verification, whole.
    verify_us: f64,
    /// Microseconds for the bare signatures.
    bare_us: f64,
    /// The median of the rounds' own ratios.
    verify_to_bare: f64,
}

const WHAT: &str = "P6: one warrant with its proof, from text: signature, form, inner consistency, inclusion \
    under a checkpoint that the log's pinned key signed; beside bare Ed25519 verifications of as \
    many messages of the same lengths, keys decoded, in turns";

pub(super) fn measure(arguments: &Arguments) -> Result<Report, BenchError> {
    const OF_THE_PROOF: &str = "the proof";
    let scratch = scratch(arguments.scratch.as_deref())?;
    let dir = scratch.path().join("deployment");
    let mut bed = Bed::found(&dir, Kind::Production, 20, 200)?;
    bed.over_http(16, usize::from(arguments.authorizations))?;
    let handover = bed.handover()?;
    let world = bed
        .deployment()
        .gate()
        .world()
        .map_err(failed("the roster"))?;
    let keys = LogKeys::authorizations(&world.roster, 0).map_err(failed(OF_THE_PROOF))?;
    let gate: Ed25519Key = world
        .roster
        .gate
        .warrant
        .parse()
        .map_err(failed("the gate's key"))?;
    let deployment = world.deployment().clone();
    bed.finish(&dir)?;

    let verify = || -> Result<(), BenchError> {
        verify_past(black_box(&handover.warrant), &gate, &deployment)
            .map_err(failed("the warrant"))?;
        let entry = black_box(handover.warrant.as_bytes());
        verify_proof(entry, black_box(&handover.proof), &keys).map_err(failed(OF_THE_PROOF))?;
        Ok(())
    };
    verify()?;
    let proof = TlogProof::parse(&handover.proof).map_err(failed(OF_THE_PROOF))?;
    let input = handover
        .warrant
        .rsplit_once('.')
        .map_or("", |(input, _)| input);
    let note = proof.checkpoint().to_string();
    let body = note.split_once("\n\n").map_or("", |(body, _)| body);
    let messages = [signed(input.as_bytes())?, signed(body.as_bytes())?];
    let bare = || messages.iter().all(Message::holds);
    let (mut of_verify, mut of_bare) = (Vec::new(), Vec::new());
    for round in 0..=arguments.rounds {
        let each = |elapsed: std::time::Duration| {
            elapsed.as_secs_f64() * 1e6 / f64::from(arguments.verifications)
        };
        let started = Instant::now();
        for _ in 0..arguments.verifications {
            verify()?;
        }
        let whole = each(started.elapsed());
        let started = Instant::now();
        for _ in 0..arguments.verifications {
            if !black_box(bare()) {
                return Err(BenchError::Void("a bare signature does not hold".into()));
            }
        }
        // The first round warms up.
        if round > 0 {
            of_verify.push(whole);
            of_bare.push(each(started.elapsed()));
        }
    }
    let ratios = of_verify
        .iter()
        .zip(&of_bare)
        .map(|(verify, bare)| verify / bare.max(f64::MIN_POSITIVE))
        .collect();
    Ok(Report {
        what: WHAT,
        version: env!("CARGO_PKG_VERSION"),
        rounds: arguments.rounds,
        proof_hashes: proof.hashes().len(),
        signatures: messages.len(),
        verify_us: rounded(median(of_verify), 1),
        bare_us: rounded(median(of_bare), 1),
        verify_to_bare: rounded(median(ratios), 2),
    })
}

/// A message of the same length as one that is verified, signed by a key of its own: what a
/// verification costs does not depend on the key.
struct Message {
    key: Ed25519Key,
    bytes: Vec<u8>,
    signature: [u8; 64],
}

impl Message {
    fn holds(&self) -> bool {
        self.key.verifies(black_box(&self.bytes), &self.signature)
    }
}

fn signed(bytes: &[u8]) -> Result<Message, BenchError> {
    let key = SigningKey::from_bytes(&crate::ambient::random());
    Ok(Message {
        key: Ed25519Key::from_bytes(&key.verifying_key().to_bytes()).map_err(failed("a key"))?,
        signature: key.sign(bytes).to_bytes(),
        bytes: bytes.to_vec(),
    })
}

impl Figured for Report {
    fn table(&self) -> String {
        format!(
            "{}.\n\nwhole {:.1} µs, {} bare signatures {:.1} µs, ratio {:.2}; {} hashes in the proof\n\
             countersign {}, medians of {} rounds",
            self.what,
            self.verify_us,
            self.signatures,
            self.bare_us,
            self.verify_to_bare,
            self.proof_hashes,
            self.version,
            self.rounds
        )
    }
}
