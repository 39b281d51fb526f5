//! Verdicts on actions, and the reasons for them, each with its code and its words.

use schemars::JsonSchema;
use serde::Serialize;

/// What an action is, as to its authorization.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// A named human approved exactly this, before it ran.
    Clean,
    /// There is a record, with gaps; the reasons name them.
    Partial,
    /// There is none, or only one from afterwards.
    Ungoverned,
}

impl Verdict {
    /// As reports write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Clean => "clean",
            Self::Partial => "partial",
            Self::Ungoverned => "ungoverned",
        }
    }
}

macro_rules! reasons {
    ($($name:ident = $code:literal: $words:literal;)*) => {
        /// Why a verdict is not clean.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
        #[serde(rename_all = "kebab-case")]
        pub enum Reason {
            $(#[doc = $words] $name,)*
        }

        impl Reason {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// Its code.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code),* }
            }

            /// What it says, in words.
            #[must_use]
            pub const fn words(self) -> &'static str {
                match self { $(Self::$name => $words),* }
            }
        }
    };
}

reasons! {
    NoRecord = "no-record": "no approval record was found for it";
    NotApproved = "not-approved": "its change record carries no approval";
    Withdrawn = "withdrawn": "its change record was rejected or cancelled";
    ApprovedLate = "approved-late": "the approval was given after it had begun";
    EmergencyApprovedAfter = "emergency-approved-after": "an emergency change, approved after it had begun";
    ClockUnclear = "clock-unclear": "the clocks do not tell whether the approval came first";
    NoDecisionTime = "no-decision-time": "the approval does not say when it was given";
    ApproverUnknown = "approver-unknown": "the approver is not in the registry of named humans";
    ApproverAutomation = "approver-automation": "the approver is an automation";
    ApproverGroup = "approver-group": "a group approved, no named human";
    SelfApproval = "self-approval": "the approver asked for it or ran it";
    EnteredByAnother = "entered-by-another": "somebody else entered the approval in the approver's name";
    Pending = "pending": "the record says that somebody whose approval it needs has not decided";
    Contested = "contested": "somebody rejected it, and that was not taken back";
    StaleCommit = "stale-commit": "another commit was approved than the one that was used";
    NoTemplateApprover = "no-template-approver": "a standard change whose template names no approver";
    WeakLink = "weak-link": "only the system and the time connect it with the approval";
    ControllerUnclear = "controller-unclear": "several controllers or instances may have given the id by which the approval is found";
    TargetNotNamed = "target-not-named": "the change record does not name this system";
    UsedUp = "used-up": "the approval had been used by an earlier run";
    OutsideWindow = "outside-window": "it ran outside the approved window";
    NoTest = "no-test": "the change record has no test plan";
    NoRollback = "no-rollback": "the change record has no way back";
}

#[cfg(test)]
mod tests {
    use super::Reason;

    #[test]
    fn codes_are_what_json_says() {
        for reason in Reason::ALL {
            let json = serde_json::to_string(reason).unwrap();
            assert_eq!(json, format!("\"{}\"", reason.as_str()));
        }
    }
}
