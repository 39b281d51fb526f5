//! Acting because the glass was broken: the same as on a warrant (checks, intent, effect, health, way
//! back, receipt), with the quorum's permit in its place. What is spent is the order.

use super::leave::Leave;
use super::{ActError, Begun, Executor};
use crate::journal::Runner;
use crate::session::Session;
use countersign_domain::{Digest, PreparedPlan, Receipt};
use countersign_verify::emergency::EmergencyPermit;

impl Executor<'_> {
    /// Acts once on what the quorum signed. `bundle` is the digest of what was verified, which the
    /// caller keeps. When it may not start, nothing is spent and the reasons are returned.
    ///
    /// # Errors
    /// As [`Executor::execute`].
    pub fn execute_emergency(
        &mut self,
        permit: &EmergencyPermit,
        bundle: Digest,
        plan: &PreparedPlan,
    ) -> Result<Result<Receipt, Vec<String>>, ActError> {
        let session = Session::current().map_err(ActError::Session)?;
        let leave = Leave::by_quorum(permit, &self.config.host, bundle);
        match self.begin(&leave, plan, session, Runner::Host)? {
            Begun::Since(started_at) => Ok(Ok(self.act_and_settle(&leave, plan, started_at)?)),
            Begun::Not(reasons) => Ok(Err(reasons)),
        }
    }
}
