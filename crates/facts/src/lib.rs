//! Everything looked up: intelligence, inventory, observations, with source, time and digest.
