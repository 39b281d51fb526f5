//! What people read before they sign the starter policy.

use countersign_policy::{Policy, authority_in_words, starter};

#[test]
fn the_starter_policy_in_words() {
    let policy = Policy::load(&starter()).unwrap();
    let mut lines = authority_in_words(&policy);
    assert!(lines[0].starts_with("Policy `starter`, version "));
    lines.remove(0);
    insta::assert_snapshot!("starter_authority", lines.join("\n"));
}
