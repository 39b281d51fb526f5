//! The policy decision point: Cedar, outcomes, explanations.
