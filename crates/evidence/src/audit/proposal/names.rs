//! How columns are called in exports of patch tools and of tickets, field by field.

/// A field, and how its columns are called, the likeliest first.
pub(super) struct Likely {
    pub(super) field: &'static str,
    /// What it holds.
    pub(super) holds: Holds,
    /// Without it there is no such record.
    pub(super) required: bool,
    /// Names without what differs between spellings of them.
    pub(super) names: &'static [&'static str],
}

/// What a field holds.
#[derive(PartialEq)]
pub(super) enum Holds {
    Text,
    Time,
}

const fn likely(field: &'static str, names: &'static [&'static str]) -> Likely {
    Likely {
        field,
        holds: Holds::Text,
        required: false,
        names,
    }
}

const fn must(likely: Likely) -> Likely {
    Likely {
        required: true,
        ..likely
    }
}

const fn time(likely: Likely) -> Likely {
    Likely {
        holds: Holds::Time,
        ..likely
    }
}

pub(super) const ACTION: &[Likely] = &[
    must(likely(
        "system",
        &[
            "host",
            "hostname",
            "server",
            "servername",
            "device",
            "devicename",
            "machine",
            "computer",
            "computername",
            "asset",
            "assetname",
            "endpoint",
            "node",
            "dnsname",
            "netbiosname",
            "instance",
            "target",
            "system",
            "ip",
            "ipaddress",
        ],
    )),
    must(time(likely(
        "started",
        &[
            "started",
            "startedat",
            "starttime",
            "start",
            "executedat",
            "installedat",
            "installdate",
            "installtime",
            "deployedat",
            "timestamp",
            "eventtime",
            "time",
            "date",
            "createdat",
            "created",
        ],
    ))),
    time(likely(
        "ended",
        &[
            "ended",
            "endedat",
            "endtime",
            "end",
            "finished",
            "finishedat",
            "completed",
            "completedat",
        ],
    )),
    likely(
        "id",
        &["id", "jobid", "runid", "eventid", "uuid", "executionid"],
    ),
    likely("environment", &["environment", "env", "stage"]),
    likely(
        "summary",
        &[
            "patch",
            "patchname",
            "job",
            "jobname",
            "title",
            "policy",
            "policyname",
            "name",
            "description",
        ],
    ),
    likely(
        "items",
        &[
            "packages", "package", "software", "kb", "kbid", "patches", "cves", "cve",
        ],
    ),
    likely(
        "actor",
        &[
            "runby",
            "actor",
            "user",
            "username",
            "initiatedby",
            "triggeredby",
            "executedby",
            "createdby",
        ],
    ),
    likely(
        "references",
        &[
            "ticket",
            "changenumber",
            "changeid",
            "change",
            "changerequest",
            "reference",
            "comment",
        ],
    ),
];

pub(super) const CHANGE: &[Likely] = &[
    must(likely(
        "number",
        &["number", "changenumber", "changeid", "key", "ticket", "id"],
    )),
    likely(
        "targets",
        &[
            "targets",
            "hosts",
            "servers",
            "systems",
            "configurationitems",
            "ci",
            "assets",
        ],
    ),
    time(likely(
        "from",
        &[
            "plannedstart",
            "windowstart",
            "scheduledstart",
            "startdate",
            "from",
        ],
    )),
    time(likely(
        "until",
        &[
            "plannedend",
            "windowend",
            "scheduledend",
            "enddate",
            "until",
        ],
    )),
    likely(
        "requester",
        &["requestedby", "requester", "reporter", "openedby"],
    ),
    likely("test", &["testplan", "tests", "test"]),
    likely("rollback", &["backoutplan", "rollbackplan", "rollback"]),
];

pub(super) const DECISION: &[Likely] = &[
    must(likely(
        "change",
        &[
            "changenumber",
            "changeid",
            "change",
            "ticket",
            "request",
            "key",
            "number",
        ],
    )),
    must(likely(
        "approver",
        &[
            "approver",
            "approvedby",
            "decidedby",
            "reviewer",
            "approvername",
        ],
    )),
    time(likely(
        "decided",
        &[
            "decidedat",
            "approvedat",
            "decisiondate",
            "approvaldate",
            "date",
            "updated",
        ],
    )),
];

/// Columns that say how it went, or what was decided.
pub(super) const OUTCOMES: [&str; 8] = [
    "status",
    "state",
    "result",
    "outcome",
    "decision",
    "approval",
    "vote",
    "approvalstatus",
];
