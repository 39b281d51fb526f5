//! One change split into many small ones, over the real API.

use crate::house::House;
use countersign_domain::{ChangeState, Environment};

#[test]
fn one_change_split_into_fifty_gains_nothing_over_the_api() {
    let names: Vec<String> = (0..50).map(|number| format!("web-{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let house = House::start(&names, Environment::Production, 2);
    let whole = house.prepared(&house.proposal("openssl", std::slice::from_ref(&names)));
    assert_eq!(whole.state, ChangeState::AwaitingApproval);
    let mut unasked = 0;
    for name in &names {
        let change = house.prepared(&house.proposal("curl", &[vec![name]]));
        match change.state {
            ChangeState::Authorized => unasked += 1,
            state => assert_eq!(state, ChangeState::AwaitingApproval, "{:?}", change.reasons),
        }
    }
    // Rule SA-200 lets ten hosts of one owner be in flight, in one change or in ten.
    assert_eq!(unasked, 10);
}
