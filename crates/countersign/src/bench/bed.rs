//! What is measured: a server in this process, under the starter policy, with its agents and hosts.

use super::check::{self, Checked, Samples};
use super::figures::Figures;
use super::fleet::{self, Fleet, Kind};
use super::{BenchError, clients, failed, lives, prepared};
use crate::ambient;
use crate::deployment::Deployment;
use crate::serve::{Reach, Running, Server};
use countersign_domain::lease::Handover;
use std::path::Path;

/// A run under way.
pub(super) struct Bed {
    running: Running,
    pub(super) fleet: Fleet,
    samples: Samples,
    /// Authorizations so far.
    used: usize,
    /// Those of them that are still in flight.
    in_flight: usize,
    /// Authorizations that the starter policy allows to be in flight.
    capacity: usize,
}

impl Bed {
    /// Founds a deployment in a new folder, and serves it.
    pub(super) fn found(
        dir: &Path,
        kind: Kind,
        agents: u16,
        hosts: u16,
    ) -> Result<Self, BenchError> {
        eprintln!("founding a deployment: {agents} agents, {hosts} hosts");
        let (deployment, fleet) = fleet::found(dir, kind, agents, hosts)?;
        let running =
            Server::start(deployment, Reach::ephemeral()).map_err(failed("starting the server"))?;
        Ok(Self {
            running,
            fleet,
            samples: Samples::default(),
            used: 0,
            in_flight: 0,
            capacity: match kind {
                Kind::Staging => usize::from(agents) * fleet::IN_FLIGHT_MAX,
                Kind::Production => usize::MAX,
            },
        })
    }

    pub(super) fn deployment(&self) -> &Deployment {
        self.running.deployment()
    }

    /// Authorizations that the policy still allows.
    pub(super) fn left(&self) -> usize {
        self.capacity - self.in_flight
    }

    /// One round over HTTP: signed before the clock starts, checked after it stopped.
    pub(super) fn over_http(&mut self, clients: u16, count: usize) -> Result<Figures, BenchError> {
        if count > self.left() {
            return Err(BenchError::Void(format!(
                "the starter policy allows {} authorizations in flight; use more `--agents`",
                self.capacity
            )));
        }
        let before = check::checkpoint(self.running.deployment())?;
        let work = prepared::sign(&self.fleet, self.used, count, &before, ambient::now())?;
        self.used += count;
        self.in_flight += count;
        let round = clients::run(self.running.addr, clients, work)?;
        self.samples
            .check(self.running.deployment(), &before, &round)?;
        Ok(Figures::of(round.latencies, round.elapsed))
    }

    /// What a host is handed for one authorization more.
    pub(super) fn handover(&mut self) -> Result<Handover, BenchError> {
        let before = check::checkpoint(self.running.deployment())?;
        let work = prepared::sign(&self.fleet, self.used, 1, &before, ambient::now())?;
        self.used += 1;
        self.in_flight += 1;
        let round = clients::run(self.running.addr, 1, work)?;
        let body = round.kept.first().map(|(_, body)| body.as_slice());
        serde_json::from_slice(body.unwrap_or_default()).map_err(failed("a handover"))
    }

    /// Whole lives over HTTP: nothing of them is in flight afterwards.
    pub(super) fn lives(&mut self, clients: u16, count: usize) -> Result<Figures, BenchError> {
        let size = check::checkpoint(self.running.deployment())?.size;
        let figures = lives::run(
            &self.fleet,
            self.running.addr,
            clients,
            self.used,
            count,
            size,
        )?;
        self.used += count;
        Ok(figures)
    }

    /// Stops the server, and checks that everything that was answered is there and whole.
    pub(super) fn finish(self, dir: &Path) -> Result<Checked, BenchError> {
        eprintln!("checking what was issued");
        check::logged(self.running.deployment(), self.used)?;
        let vkeys = check::vkeys(self.running.deployment());
        self.running.stop();
        check::database(dir, &vkeys, self.used, &self.samples)
    }
}
