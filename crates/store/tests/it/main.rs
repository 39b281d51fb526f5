//! Tests of the store from outside: what every backend has to pass, and what SQLite promises on top.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod conformance;
mod cosigning;
mod crash;
mod damage;
mod fixture;
mod guards;
mod interleaving;
mod reading;
mod repair;
