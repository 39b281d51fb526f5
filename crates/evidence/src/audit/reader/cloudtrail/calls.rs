//! The calls of AWS that change software, and where their parameters name what they touch.

use super::is_instance;
use crate::audit::model::Exclusion;
use serde_json::{Map, Value};

/// A call that changes software.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Call {
    /// The service, before `.amazonaws.com`.
    source: &'static str,
    /// Its name, without the date of the interface that some services append.
    name: &'static str,
    /// Only if this parameter is given; empty for any.
    only_with: &'static str,
    /// Where its parameters name what is changed.
    resource: &'static [&'static str],
    /// Where they name what it is changed to.
    items: &'static [&'static str],
}

const fn call(
    source: &'static str,
    name: &'static str,
    only_with: &'static str,
    resource: &'static [&'static str],
    items: &'static [&'static str],
) -> Call {
    Call {
        source,
        name,
        only_with,
        resource,
        items,
    }
}

/// All of them.
#[rustfmt::skip]
const CALLS: [Call; 25] = [
    call("ssm", "SendCommand", "", &["documentName"], &["documentName"]),
    call("ssm", "StartAutomationExecution", "", &["documentName"], &["documentName", "documentVersion"]),
    call("ssm", "StartChangeRequestExecution", "", &["documentName"], &["documentName", "changeRequestName"]),
    call("ssm", "CreateAssociation", "", &["name"], &["name", "associationName"]),
    call("ssm", "UpdateAssociation", "", &["associationId"], &["name", "associationName"]),
    call("ssm", "StartAssociationsOnce", "", &["associationIds"], &["associationIds"]),
    call("lambda", "UpdateFunctionCode", "", &["functionName"], &["imageUri", "s3Key"]),
    call("ecs", "UpdateService", "", &["service"], &["taskDefinition"]),
    call("ecs", "UpdateContainerAgent", "", &["containerInstance"], &[]),
    call("eks", "UpdateClusterVersion", "", &["name", "clusterName"], &["version"]),
    call("eks", "UpdateNodegroupVersion", "", &["nodegroupName"], &["version", "releaseVersion"]),
    call("eks", "CreateAddon", "", &["addonName"], &["addonVersion"]),
    call("eks", "UpdateAddon", "", &["addonName"], &["addonVersion"]),
    call("rds", "ModifyDBInstance", "engineVersion", &["dBInstanceIdentifier"], &["engineVersion"]),
    call("rds", "ModifyDBCluster", "engineVersion", &["dBClusterIdentifier"], &["engineVersion"]),
    call("rds", "ApplyPendingMaintenanceAction", "", &["resourceIdentifier"], &["applyAction"]),
    call("elasticache", "ModifyCacheCluster", "engineVersion", &["cacheClusterId"], &["engineVersion"]),
    call("elasticache", "ModifyReplicationGroup", "engineVersion", &["replicationGroupId"], &["engineVersion"]),
    call("es", "UpgradeDomain", "", &["domainName"], &["targetVersion"]),
    call("es", "StartServiceSoftwareUpdate", "", &["domainName"], &[]),
    call("codedeploy", "CreateDeployment", "", &["deploymentGroupName", "applicationName"], &["applicationName"]),
    call("elasticbeanstalk", "UpdateEnvironment", "versionLabel", &["environmentName", "environmentId"], &["versionLabel"]),
    call("autoscaling", "StartInstanceRefresh", "", &["autoScalingGroupName"], &[]),
    call("ec2", "CreateReplaceRootVolumeTask", "", &["instanceId"], &["imageId"]),
    call("imagebuilder", "StartImagePipelineExecution", "", &["imagePipelineArn"], &[]),
];

/// The call, if it is one that changes software.
pub(super) fn find(source: &str, name: &str) -> Option<&'static Call> {
    let source = source.strip_suffix(".amazonaws.com")?;
    CALLS.iter().find(|call| {
        let version = (call.source == source)
            .then(|| name.strip_prefix(call.name))
            .flatten();
        version.is_some_and(|version| version.is_empty() || version.starts_with("20"))
    })
}

impl Call {
    /// Why the call changes nothing after all, as its parameters have it.
    pub(super) fn excluded(&self, request: &Map<String, Value>) -> Option<Exclusion> {
        if !self.only_with.is_empty() && request.get(self.only_with).is_none_or(Value::is_null) {
            return Some(Exclusion::Other);
        }
        let document = request.get("documentName").and_then(Value::as_str);
        if document == Some("AWS-GatherSoftwareInventory") {
            return Some(Exclusion::ReadOnly);
        }
        let parameters = request.get("parameters").and_then(Value::as_object);
        let operation = parameters
            .and_then(|given| given.get("Operation"))
            .map(texts);
        let scan = operation.is_some_and(|operation| operation == ["Scan"]);
        let dry = request.get("dryRun") == Some(&Value::Bool(true));
        let patching = document.is_some_and(|name| name.starts_with("AWS-RunPatchBaseline"));
        (dry || patching && scan).then_some(Exclusion::DryRun)
    }

    /// What is changed: its name, or the tags by which instances are chosen.
    pub(super) fn resource(&self, request: &Map<String, Value>) -> String {
        let targets = objects(request.get("targets")).map(|target| {
            let key = target
                .get("key")
                .and_then(Value::as_str)
                .unwrap_or_default();
            let values = target.get("values").map(texts).unwrap_or_default();
            format!("{key}={}", values.join(","))
        });
        let targets = targets.take(5).collect::<Vec<_>>().join(" ");
        if !targets.is_empty() {
            return targets;
        }
        let cluster = request.get("cluster").or(request.get("clusterName"));
        let name = self
            .resource
            .iter()
            .find_map(|key| first(request.get(*key)?));
        match (cluster.and_then(Value::as_str), name) {
            (Some(cluster), Some(name)) if cluster != name => format!("{cluster}/{name}"),
            (_, Some(name)) => name.to_owned(),
            (cluster, None) => cluster.unwrap_or(self.name).to_owned(),
        }
    }

    /// What it is changed to.
    pub(super) fn items<'a>(
        &'a self,
        request: &'a Map<String, Value>,
    ) -> impl Iterator<Item = &'a str> {
        let values = self.items.iter().filter_map(|key| request.get(*key));
        values.flat_map(texts)
    }
}

/// The instances that parameters name one by one.
pub(super) fn instances(parameters: &Map<String, Value>) -> Vec<String> {
    let listed = ["instanceIds", "instanceId"]
        .iter()
        .filter_map(|key| parameters.get(*key));
    let given = parameters.get("parameters").and_then(Value::as_object);
    let given = given.into_iter().flat_map(|given| {
        let keys = ["InstanceId", "InstanceIds"];
        keys.into_iter().filter_map(|key| given.get(key))
    });
    let chosen = objects(parameters.get("targets"))
        .filter(|target| target.get("key").and_then(Value::as_str) == Some("InstanceIds"))
        .filter_map(|target| target.get("values"));
    listed
        .chain(given)
        .chain(chosen)
        .flat_map(texts)
        .filter(|text| is_instance(text))
        .map(str::to_owned)
        .collect()
}

/// What somebody wrote beside the call: comments, descriptions, tags.
pub(super) fn remarks(request: &Map<String, Value>) -> impl Iterator<Item = &str> {
    const KEYS: [&str; 5] = [
        "comment",
        "description",
        "changeRequestName",
        "changeDetails",
        "associationName",
    ];
    let written = KEYS.iter().filter_map(|key| request.get(*key)?.as_str());
    let tags = objects(request.get("tags")).filter_map(|tag| tag.get("value")?.as_str());
    written.chain(tags)
}

/// What the service itself calls what it began.
pub(super) fn ids(response: &Map<String, Value>) -> impl Iterator<Item = &str> {
    const KEYS: [&str; 4] = [
        "automationExecutionId",
        "deploymentId",
        "instanceRefreshId",
        "commandId",
    ];
    let command = response.get("command").and_then(Value::as_object);
    let command = command.and_then(|command| command.get("commandId")?.as_str());
    let own = KEYS.iter().filter_map(|key| response.get(*key)?.as_str());
    command.into_iter().chain(own)
}

/// The texts of a value: itself, or those in its list.
fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn first(value: &Value) -> Option<&str> {
    texts(value).into_iter().next()
}

/// The objects of a list.
fn objects(value: Option<&Value>) -> impl Iterator<Item = &Map<String, Value>> {
    let list = value.and_then(Value::as_array).into_iter().flatten();
    list.filter_map(Value::as_object)
}
