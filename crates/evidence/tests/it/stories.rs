//! Whole changes, told by the steps of `tale`: what most tests begin with.

use crate::house::House;
use crate::people::{host, sign};
use crate::tale::Tale;
use countersign_domain::entry::{Event, change_digest};
use countersign_domain::jws::PLAN_TYP;
use countersign_domain::lease::HostPlan;
use countersign_domain::receipt::Ending;
use countersign_domain::warrant::{Ground, Warrant};
use countersign_domain::{ChangeId, Outcome, canonical};

impl Tale {
    /// Proposed for `web-1` and then, in a second wave, `web-2`; both prepared, and authorized.
    pub fn in_waves(house: &mut House) -> Self {
        let mut tale = Self::new(house);
        tale.proposal.waves.push(vec![host("web-2")]);
        tale.digest = canonical::digest(&tale.proposal).unwrap();
        tale.change = ChangeId::from_proposal(&tale.digest);
        tale.plan.proposal = tale.digest;
        let mut plans = tale.plans();
        let mut second = tale.plan.clone();
        second.host = host("web-2");
        plans.push(HostPlan {
            host: host("web-2"),
            plan: canonical::digest(&second).unwrap(),
        });
        tale.change_digest = change_digest(&tale.digest, &tale.proposal.waves, &plans).unwrap();
        tale.propose(house);
        tale.prepare(house);
        house.event(Event::Prepared {
            change: tale.change.clone(),
            host: host("web-2"),
            plan: sign("web-2", PLAN_TYP, &second),
        });
        let decision = tale.decision(house, Outcome::Allow);
        tale.decide_as(house, decision, plans);
        tale.authorize(house, Ground::Standing);
        tale
    }

    /// A warrant for the host of the second wave.
    pub fn drafted_second(&self, house: &House) -> Warrant {
        let mut warrant = self.drafted(house);
        let mut plan = self.plan.clone();
        plan.host = host("web-2");
        warrant.aud = host("web-2");
        let details = &mut warrant.authorization_details[0];
        details.locations = vec![host("web-2")];
        details.plan_digest = canonical::digest(&plan).unwrap();
        details.wave = 1;
        details.targets_max = 2;
        warrant
    }

    /// Proposed and prepared.
    pub fn open(house: &mut House) -> Self {
        let tale = Self::new(house);
        tale.propose(house);
        tale.prepare(house);
        tale
    }

    /// Under standing authority, from proposal to review.
    pub fn standing(house: &mut House) -> Self {
        let mut tale = Self::open(house);
        tale.decide(house, Outcome::Allow);
        tale.authorize(house, Ground::Standing);
        tale.redeem(house);
        tale.start(house);
        tale.settle(house, Ending::Succeeded);
        tale.require_review(house);
        tale
    }

    /// Asked, with its first votes cast by these people.
    pub fn asked(house: &mut House, voters: &[&str]) -> Self {
        let mut tale = Self::open(house);
        tale.decide(house, Outcome::Ask);
        for name in voters {
            tale.vote(house, name);
        }
        tale
    }

    /// Approved by two people; runs, fails, and is rolled back.
    pub fn approved(house: &mut House) -> Self {
        let mut tale = Self::asked(house, &["chen", "ana"]);
        tale.authorize(house, Ground::Approved);
        tale.redeem(house);
        tale.start(house);
        tale.settle(house, Ending::RolledBack);
        tale
    }
}
