//! `cargo xtask sim`: builds the simulation and runs it. What it simulates is its own affair.

use crate::root::{cargo, locked};
use crate::step::succeeds;
use std::path::Path;

/// Builds and runs; `arguments` go to the simulation as they are.
pub fn run(root: &Path, arguments: &[String]) -> Result<bool, String> {
    let mut simulation = cargo(root);
    simulation.args(["run", "--quiet", "--package", "countersign-simulation"]);
    succeeds(simulation.args(locked()).arg("--").args(arguments))
}
