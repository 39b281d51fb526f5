//! Calendars in force that cannot be read any more, or that say nothing of this instant: everything
//! is frozen then, and people decide. One alarm for a policy version says so; what calendars mean is
//! in `facts`.

use crate::error::GateError;
use crate::fold::CALENDARS_UNREAD;
use crate::state::{self, PolicyRecord};
use crate::world::PolicyInForce;
use crate::{Frame, Gate};
use countersign_domain::{Environment, Timestamp};
use countersign_facts::calendar::Answer;

impl Gate {
    /// Raises the alarm where it is due, and was not raised for this policy version.
    pub(crate) async fn sweep_calendars(&self, now: Timestamp) -> Result<(), GateError> {
        let world = self.world()?;
        let Some(problem) = world.policy.as_ref().and_then(|policy| unread(policy, now)) else {
            return Ok(());
        };
        let raised = |record: Option<PolicyRecord>| {
            record.is_none_or(|record| record.calendars_alarm.is_some())
        };
        if raised(self.store.read(|view| state::load(view, "current"))?) {
            return Ok(());
        }
        let frame = Frame::new(&world, now);
        self.submit(&world, move |tx| {
            if !raised(state::load(tx, "current")?) {
                frame.alarm(tx, CALENDARS_UNREAD, None, problem)?;
            }
            Ok(())
        })
        .await
    }
}

/// What is wrong with the calendars of this policy, in words.
fn unread(policy: &PolicyInForce, now: Timestamp) -> Option<String> {
    let version = policy.record.version;
    let what = "so everything is frozen and waits for people; sign a policy version with calendars \
                that `countersign policy check` takes";
    if let Some(problem) = &policy.calendars_unread {
        return Some(format!(
            "the calendars of policy version {version} cannot be read any more, {what}: {problem}"
        ));
    }
    let says_nothing =
        |environment| policy.calendars.answer([environment], now) == Answer::unknown(now);
    Environment::ALL.into_iter().any(says_nothing).then(|| {
        format!("the calendars of policy version {version} say nothing of this time, {what}")
    })
}
