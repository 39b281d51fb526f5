//! The two tables in use and how their inputs follow from facts. Other tables are refused, since
//! nothing here could say where their inputs come from.
//!
//! What stands in for what:
//! - BOD 26-04 *Publicly Exposed*: the inventory's exposure `open`.
//! - Deployer *System Exposure*: the inventory's exposure, word for word.
//! - Deployer *Human Impact*, which joins safety and mission impact: the inventory's criticality
//!   (low, medium, high, vital for very high). The inventory has no separate safety rating, so the
//!   criticality has to include it; its `vital` is worded so.

use super::{DecisionTable, TableError};
use countersign_domain::asset::{Asset, Criticality, Exposure};
use countersign_domain::facts::{
    Exploitation, PatchPriority, RemediationTimeline, TechnicalImpact,
};

const BOD_26_04: &str = include_str!("../../tables/bod-26-04.toml");
const DEPLOYER: &str = include_str!("../../tables/deployer-patch-priority.toml");

const BOD_INPUTS: [(&str, &[&str]); 4] = [
    ("cisa:KEV:1.0.0", &["N", "Y"]),
    ("cisa:PE:1.0.0", &["N", "Y"]),
    ("ssvc:A:2.0.0", &["N", "Y"]),
    ("ssvc:TI:1.0.0", &["P", "T"]),
];
const BOD_OUTCOME: (&str, &[&str]) = ("cisa:BOD2604:1.0.0", &["FSU", "60D", "14D", "3D", "3DF"]);
const DEPLOYER_INPUTS: [(&str, &[&str]); 4] = [
    ("ssvc:A:2.0.0", &["N", "Y"]),
    ("ssvc:E:1.1.0", &["N", "P", "A"]),
    ("ssvc:EXP:1.0.1", &["S", "C", "O"]),
    ("ssvc:HI:2.0.2", &["L", "M", "H", "VH"]),
];
const DEPLOYER_OUTCOME: (&str, &[&str]) = ("ssvc:DSOI:1.0.0", &["D", "S", "O", "I"]);

/// The decision tables in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tables {
    bod_26_04: DecisionTable,
    deployer: DecisionTable,
}

/// What is known of one CVE for BOD 26-04; the asset gives the rest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BodInput {
    /// In the catalogue of known exploited vulnerabilities.
    pub kev: Option<bool>,
    /// SSVC automatable.
    pub automatable: Option<bool>,
    /// SSVC technical impact.
    pub technical_impact: Option<TechnicalImpact>,
}

/// What is known of one CVE for the deployer's table; the asset gives the rest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DeployerInput {
    /// SSVC exploitation.
    pub exploitation: Option<Exploitation>,
    /// SSVC automatable.
    pub automatable: Option<bool>,
}

impl Tables {
    /// The tables that come with Countersign.
    ///
    /// # Errors
    /// None is known: the tables are part of the program, and a test reads them.
    pub fn embedded() -> Result<Self, TableError> {
        let bod_26_04 = DecisionTable::from_toml(BOD_26_04)?;
        let deployer = DecisionTable::from_toml(DEPLOYER)?;
        let mut tables = Self {
            bod_26_04: bod_26_04.clone(),
            deployer: deployer.clone(),
        };
        // Through the same door as an imported table, which checks their decision points.
        tables.replace(bod_26_04)?;
        tables.replace(deployer)?;
        Ok(tables)
    }

    /// Puts `table` in the place of the one with the same namespace and key.
    ///
    /// # Errors
    /// When it is neither of the two in use, or has other decision points, versions or values than
    /// those that facts are derived for here.
    pub fn replace(&mut self, table: DecisionTable) -> Result<(), TableError> {
        let (slot, inputs, outcome) = match (table.namespace.as_str(), table.key.as_str()) {
            ("cisa", "DT_BOD2604") => (&mut self.bod_26_04, BOD_INPUTS, BOD_OUTCOME),
            ("ssvc", "DT_DP") => (&mut self.deployer, DEPLOYER_INPUTS, DEPLOYER_OUTCOME),
            (_, _) => return Err(TableError::Unknown(table.id())),
        };
        let fits = |point: &super::Point, (id, values): (&str, &[&str])| {
            point.id == id
                && point
                    .values
                    .iter()
                    .map(String::as_str)
                    .eq(values.iter().copied())
        };
        let all = table.inputs.len() == inputs.len()
            && table
                .inputs
                .iter()
                .zip(inputs)
                .all(|(p, want)| fits(p, want))
            && fits(&table.outcome, outcome);
        if !all {
            let wanted: Vec<&str> = inputs.iter().map(|(id, _)| *id).collect();
            return Err(TableError::Field {
                field: "decision_points",
                problem: format!(
                    "expected exactly `{}` and the outcome `{}`, with their values in order",
                    wanted.join("`, `"),
                    outcome.0
                ),
            });
        }
        *slot = table;
        Ok(())
    }

    /// The table of BOD 26-04.
    #[must_use]
    pub const fn bod_26_04(&self) -> &DecisionTable {
        &self.bod_26_04
    }

    /// The deployer's patch application priority.
    #[must_use]
    pub const fn deployer(&self) -> &DecisionTable {
        &self.deployer
    }

    /// The least and the most urgent timeline possible for a CVE on an asset. None only when the
    /// table does not answer, which a complete table always does.
    #[must_use]
    pub fn timeline(
        &self,
        input: BodInput,
        asset: &Asset,
    ) -> Option<(RemediationTimeline, RemediationTimeline)> {
        let exposed = asset.exposure == Exposure::Open;
        let (least, most) = self.bod_26_04.range(&[
            input.kev.map(yes_no),
            Some(yes_no(exposed)),
            input.automatable.map(yes_no),
            input.technical_impact.map(|impact| match impact {
                TechnicalImpact::Partial => "P",
                TechnicalImpact::Total => "T",
            }),
        ])?;
        Some((timeline(least)?, timeline(most)?))
    }

    /// The least and the most urgent priority possible for a CVE on an asset. None as in
    /// [`Tables::timeline`].
    #[must_use]
    pub fn priority(
        &self,
        input: DeployerInput,
        asset: &Asset,
    ) -> Option<(PatchPriority, PatchPriority)> {
        let (least, most) = self.deployer.range(&[
            input.automatable.map(yes_no),
            input.exploitation.map(|exploitation| match exploitation {
                Exploitation::None => "N",
                Exploitation::PublicPoc => "P",
                Exploitation::Active => "A",
            }),
            Some(match asset.exposure {
                Exposure::Small => "S",
                Exposure::Controlled => "C",
                Exposure::Open => "O",
            }),
            Some(match asset.criticality {
                Criticality::Low => "L",
                Criticality::Medium => "M",
                Criticality::High => "H",
                Criticality::Vital => "VH",
            }),
        ])?;
        Some((priority(least)?, priority(most)?))
    }
}

const fn yes_no(value: bool) -> &'static str {
    if value { "Y" } else { "N" }
}

// `replace` checked the outcomes' values and their order.
const fn timeline(position: usize) -> Option<RemediationTimeline> {
    Some(match position {
        0 => RemediationTimeline::OnSystemUpgrade,
        1 => RemediationTimeline::Days60,
        2 => RemediationTimeline::Days14,
        3 => RemediationTimeline::Days3,
        4 => RemediationTimeline::Days3Forensics,
        _ => return None,
    })
}

const fn priority(position: usize) -> Option<PatchPriority> {
    Some(match position {
        0 => PatchPriority::Defer,
        1 => PatchPriority::Scheduled,
        2 => PatchPriority::OutOfCycle,
        3 => PatchPriority::Immediate,
        _ => return None,
    })
}
