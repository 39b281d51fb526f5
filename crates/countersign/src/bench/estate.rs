//! Makes logs of the size and shape that organisations have: `CloudTrail` as it is delivered and as it
//! is exported, Kubernetes audit events, and apt's with dpkg's. The same size gives the same bytes.

use countersign_domain::Digest;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// The logs of an estate.
pub(super) struct Estate {
    /// Files that wrap a list, as the service delivers them.
    pub(super) delivered: PathBuf,
    /// One event a line.
    pub(super) cloudtrail: PathBuf,
    /// One event a line.
    pub(super) kubernetes: PathBuf,
    /// `history.log` and `dpkg.log` of one host, rotated.
    pub(super) apt: PathBuf,
}

/// Bytes of a file that the service delivers, about.
const DELIVERED_BYTES: u64 = 4_000_000;
/// One of so many events is a command; the others read, or change something else.
const COMMANDS_ONE_OF: u64 = 250;
/// One of so many requests changes a workload.
const PATCHES_ONE_OF: u64 = 60;

/// Writes so many megabytes into `folder`.
pub(super) fn make(folder: &Path, megabytes: u64) -> io::Result<Estate> {
    let estate = Estate {
        delivered: folder.join("cloudtrail-delivered"),
        cloudtrail: folder.join("cloudtrail.jsonl"),
        kubernetes: folder.join("kubernetes.jsonl"),
        apt: folder.join("apt"),
    };
    let share = |percent: u64| megabytes * 10_000 * percent;
    fs::create_dir(&estate.delivered)?;
    let (mut at, mut written) = (0, 0);
    while written < share(35) {
        let file = estate.delivered.join(format!("{written:012}.json"));
        let mut file = Counted::new(&file)?;
        file.put("{\"Records\":[")?;
        let mut first = true;
        while file.bytes < DELIVERED_BYTES && written + file.bytes < share(35) {
            file.put(if first { "" } else { "," })?;
            file.put(&event(at))?;
            (at, first) = (at + 1, false);
        }
        file.put("]}")?;
        written += file.end()?;
    }
    let mut lines = |path: &Path, bytes: u64, line: fn(u64) -> String| -> io::Result<()> {
        let mut file = Counted::new(path)?;
        while file.bytes < bytes {
            file.put(&line(at))?;
            file.put("\n")?;
            at += 1;
        }
        file.end().map(drop)
    };
    lines(&estate.cloudtrail, share(25), event)?;
    lines(&estate.kubernetes, share(35), request)?;
    apt(&estate.apt, share(5))?;
    Ok(estate)
}

/// A file, and how long it has become.
struct Counted {
    file: BufWriter<File>,
    bytes: u64,
}

impl Counted {
    fn new(path: &Path) -> io::Result<Self> {
        Ok(Self {
            file: BufWriter::with_capacity(1 << 20, File::create_new(path)?),
            bytes: 0,
        })
    }

    fn put(&mut self, text: &str) -> io::Result<()> {
        self.bytes += text.len() as u64;
        self.file.write_all(text.as_bytes())
    }

    fn end(mut self) -> io::Result<u64> {
        self.file.flush()?;
        Ok(self.bytes)
    }
}

/// What differs between records, drawn from their number.
struct Drawn {
    bytes: [u8; 32],
    hex: String,
}

impl Drawn {
    fn of(at: u64) -> Self {
        let digest = Digest::of(&at.to_be_bytes());
        Self {
            bytes: *digest.as_bytes(),
            hex: digest
                .as_bytes()
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect(),
        }
    }

    /// A number below `end`, which is at most 256.
    fn below(&self, which: usize, end: u64) -> u64 {
        u64::from(self.bytes.get(which).copied().unwrap_or_default()) * end / 256
    }

    fn pick<'a>(&self, which: usize, of: &[&'a str]) -> &'a str {
        let at = self.below(which, of.len() as u64);
        usize::try_from(at)
            .ok()
            .and_then(|at| of.get(at))
            .copied()
            .unwrap_or_default()
    }

    /// Digits of it.
    fn hex(&self, from: usize, count: usize) -> &str {
        self.hex.get(from..from + count).unwrap_or_default()
    }

    /// Within one month.
    fn time(&self) -> String {
        format!(
            "2026-10-{:02}T{:02}:{:02}:{:02}",
            1 + self.below(28, 30),
            self.below(29, 24),
            self.below(30, 60),
            self.below(31, 60)
        )
    }
}

/// A `CloudTrail` event.
fn event(at: u64) -> String {
    const READS: [(&str, &str); 6] = [
        ("ec2", "DescribeInstances"),
        ("sts", "GetCallerIdentity"),
        ("s3", "GetBucketAcl"),
        ("iam", "ListRoles"),
        ("kms", "Decrypt"),
        ("ssm", "DescribeInstanceInformation"),
    ];
    const WRITES: [(&str, &str); 3] = [
        ("logs", "CreateLogStream"),
        ("ec2", "AuthorizeSecurityGroupIngress"),
        ("s3", "PutBucketTagging"),
    ];
    let drawn = Drawn::of(at);
    let (time, account) = (drawn.time(), 123_456_789_000 + drawn.below(0, 7));
    let role = drawn.pick(
        1,
        &[
            "patch-agent",
            "deploy",
            "AWSReservedSSO_Admin",
            "backup",
            "inventory",
        ],
    );
    let session = drawn.hex(0, 16);
    let command = at.is_multiple_of(COMMANDS_ONE_OF);
    let (service, name, read, request, response) = if command {
        let id = drawn.hex(20, 12);
        let instance = drawn.hex(32, 17);
        let change = at % 100_000;
        (
            "ssm",
            "SendCommand",
            false,
            format!(
                r#"{{"documentName":"AWS-RunPatchBaseline","instanceIds":["i-{instance}"],"comment":"CHG{change:07} monthly patches","parameters":"HIDDEN_DUE_TO_SECURITY_REASONS","interactive":false}}"#
            ),
            format!(
                r#"{{"command":{{"commandId":"00000000-0000-4000-8000-{id}","documentName":"AWS-RunPatchBaseline","status":"Pending","expiresAfter":"{time}Z","targetCount":1,"deliveryTimedOutCount":0,"timeoutSeconds":3600}}}}"#
            ),
        )
    } else {
        let write = at.is_multiple_of(5);
        let table: &[(&str, &str)] = if write { &WRITES } else { &READS };
        let which = usize::try_from(drawn.below(2, table.len() as u64)).unwrap_or_default();
        let (service, name) = table.get(which).copied().unwrap_or_default();
        let bucket = drawn.hex(4, 10);
        (
            service,
            name,
            !write,
            format!(
                r#"{{"bucketName":"logs-{bucket}","Host":"logs-{bucket}.s3.eu-central-1.amazonaws.com","filterSet":{{"items":[{{"name":"tag:Environment","valueSet":{{"items":[{{"value":"production"}}]}}}}]}},"maxResults":1000}}"#
            ),
            "null".to_owned(),
        )
    };
    let (first, second, third) = (drawn.hex(8, 8), drawn.hex(16, 4), drawn.hex(24, 12));
    format!(
        r#"{{"eventVersion":"1.09","userIdentity":{{"type":"AssumedRole","principalId":"AROAEXAMPLE{session}:{role}","arn":"arn:aws:sts::{account}:assumed-role/{role}/{session}","accountId":"{account}","accessKeyId":"ASIAEXAMPLE{first}","sessionContext":{{"sessionIssuer":{{"type":"Role","principalId":"AROAEXAMPLE{first}","arn":"arn:aws:iam::{account}:role/{role}","accountId":"{account}","userName":"{role}"}},"webIdFederationData":{{}},"attributes":{{"creationDate":"{time}Z","mfaAuthenticated":"false"}}}}}},"eventTime":"{time}Z","eventSource":"{service}.amazonaws.com","eventName":"{name}","awsRegion":"eu-central-1","sourceIPAddress":"192.0.2.{}","userAgent":"Boto3/1.34.{} md/Botocore#1.34 ua/2.0 os/linux#6.1 md/arch#x86_64 lang/python#3.12 md/pyimpl#CPython cfg/retry-mode#standard","requestParameters":{request},"responseElements":{response},"requestID":"{first}-{second}-4{second}-a{second}-{third}","eventID":"{third}-{second}-4000-8000-{at:012}","readOnly":{read},"eventType":"AwsApiCall","managementEvent":true,"recipientAccountId":"{account}","eventCategory":"Management","tlsDetails":{{"tlsVersion":"TLSv1.3","cipherSuite":"TLS_AES_128_GCM_SHA256","clientProvidedHostHeader":"{service}.eu-central-1.amazonaws.com"}}}}"#,
        drawn.below(6, 256),
        drawn.below(7, 200)
    )
}

/// A Kubernetes audit event.
fn request(at: u64) -> String {
    let drawn = Drawn::of(at);
    let time = drawn.time();
    let patch = at.is_multiple_of(PATCHES_ONE_OF);
    let namespace = drawn.pick(1, &["shop", "billing", "search", "identity", "kube-system"]);
    let name = format!("svc-{}", drawn.hex(0, 6));
    let (user, agent, verb, resource, level) = if patch {
        (
            "system:serviceaccount:argocd:argocd-application-controller",
            "argocd/2.9",
            "patch",
            "deployments",
            "RequestResponse",
        )
    } else {
        let verb = drawn.pick(2, &["get", "list", "watch", "get", "update"]);
        (
            "system:node:node-7",
            "kubelet/v1.31",
            verb,
            drawn.pick(3, &["configmaps", "leases", "endpoints", "secrets"]),
            "Metadata",
        )
    };
    let object = if patch {
        let image = drawn.hex(16, 40);
        format!(
            r#","requestObject":{{"metadata":{{"annotations":{{"kubernetes.io/change-cause":"OPS-{at} new base image"}}}},"spec":{{"template":{{"spec":{{"containers":[{{"name":"{name}","image":"registry.example.org/{namespace}/{name}:{image}"}}]}}}}}}}}"#
        )
    } else {
        String::new()
    };
    let (first, second, third) = (drawn.hex(8, 8), drawn.hex(16, 4), drawn.hex(24, 12));
    format!(
        r#"{{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"{level}","auditID":"{first}-{second}-4000-8000-{third}","stage":"ResponseComplete","requestURI":"/apis/apps/v1/namespaces/{namespace}/{resource}/{name}?fieldManager={agent}","verb":"{verb}","user":{{"username":"{user}","uid":"{third}","groups":["system:nodes","system:authenticated"]}},"sourceIPs":["192.0.2.{}"],"userAgent":"{agent} (linux/amd64) kubernetes/{first}","objectRef":{{"resource":"{resource}","namespace":"{namespace}","name":"{name}","apiGroup":"apps","apiVersion":"v1","resourceVersion":"{at}"}},"responseStatus":{{"metadata":{{}},"code":200}}{object},"requestReceivedTimestamp":"{time}.{:06}Z","stageTimestamp":"{time}.{:06}Z","annotations":{{"authorization.k8s.io/decision":"allow","authorization.k8s.io/reason":"RBAC: allowed by ClusterRoleBinding \"{namespace}-edit\" of ClusterRole \"edit\" to ServiceAccount \"{name}/{namespace}\""}}}}"#,
        drawn.below(6, 256),
        at % 900_000,
        at % 900_000 + 1_000
    )
}

/// Stanzas of apt's with what dpkg wrote at the same times.
fn apt(folder: &Path, bytes: u64) -> io::Result<()> {
    fs::create_dir(folder)?;
    let mut history = Counted::new(&folder.join("history.log"))?;
    let mut dpkg = Counted::new(&folder.join("dpkg.log"))?;
    let mut at: u64 = 0;
    while history.bytes + dpkg.bytes < bytes {
        let minute = at % (30 * 24 * 60);
        let (day, hour, minute) = (1 + minute / 1_440, minute / 60 % 24, minute % 60);
        let time = format!("2026-10-{day:02} {hour:02}:{minute:02}");
        let version = format!("1.{}-{}", at / 43_200, at);
        let mut items = Vec::new();
        for package in 0..4 {
            let name = format!("lib{}{package}", Drawn::of(at % 500).hex(0, 7));
            items.push(format!("{name}:amd64 (1.0-1, {version})"));
            for line in [
                format!("upgrade {name}:amd64 1.0-1 {version}"),
                format!("status half-configured {name}:amd64 1.0-1"),
                format!("status unpacked {name}:amd64 {version}"),
                format!("status half-configured {name}:amd64 {version}"),
                format!("status installed {name}:amd64 {version}"),
            ] {
                dpkg.put(&format!("{time}:1{package} {line}\n"))?;
            }
        }
        let upgrades = items.join(", ");
        history.put(&format!(
            "\nStart-Date: {}  {}:09\nCommandline: /usr/bin/unattended-upgrade\nUpgrade: {upgrades}\nEnd-Date: {}  {}:20\n",
            &time.get(..10).unwrap_or_default(),
            &time.get(11..).unwrap_or_default(),
            &time.get(..10).unwrap_or_default(),
            &time.get(11..).unwrap_or_default(),
        ))?;
        at += 1;
    }
    history.end()?;
    dpkg.end().map(drop)
}
