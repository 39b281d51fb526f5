//! Which hosts changes have reserved, and the sums that limits are checked against.
//!
//! A row counts as in flight from reserve to release. Rows of standing changes also count in the
//! sliding windows; their edge is rounded outward to the whole minute, so that a window never
//! counts less than it says.

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use crate::contract::{Reservation, ReservationQuery, StoreError};
use crate::engine::column;
use countersign_domain::facts::Reservations;
use countersign_domain::{HostId, Timestamp};

const MINUTE_MILLIS: i64 = 60_000;
const HOUR_MILLIS: i64 = 60 * MINUTE_MILLIS;
const DAY_MILLIS: i64 = 24 * HOUR_MILLIS;

/// The owner under which everybody's hosts are summed; no person has an empty id.
const EVERYBODY: &str = "";

/// What a row adds to the sums.
struct Share {
    agent: String,
    owner: String,
    service: Option<String>,
    environment: String,
    standing: bool,
    at: i64,
    in_flight: bool,
}

/// Columns as [`share`] reads them.
macro_rules! select_share {
    ($rest:literal) => {
        concat!(
            "SELECT agent, owner, service, environment, standing, at, released_at IS NULL
             FROM reservations ",
            $rest
        )
    };
}

fn share(row: &Row<'_>) -> rusqlite::Result<Share> {
    Ok(Share {
        agent: row.get(0)?,
        owner: row.get(1)?,
        service: row.get(2)?,
        environment: row.get(3)?,
        standing: row.get(4)?,
        at: row.get(5)?,
        in_flight: row.get(6)?,
    })
}

/// Reserves a host; reserving the same again replaces it.
pub(crate) fn reserve(conn: &Connection, reservation: &Reservation) -> Result<(), StoreError> {
    let (opened, host) = (column(reservation.opened)?, reservation.host.as_str());
    let replaced = conn
        .prepare_cached(select_share!("WHERE opened = ?1 AND host = ?2"))?
        .query_row(params![opened, host], share)
        .optional()?;
    if let Some(replaced) = replaced {
        sum_in_flight(conn, &replaced, -1)?;
        sum_windows(conn, &replaced, -1)?;
    }
    let added = Share {
        agent: reservation.agent.to_string(),
        owner: reservation.owner.to_string(),
        service: reservation.service.clone(),
        environment: reservation.environment.as_str().to_owned(),
        standing: reservation.standing,
        at: reservation.at.unix_millis(),
        in_flight: true,
    };
    conn.prepare_cached(
        "INSERT OR REPLACE INTO reservations
         (opened, host, agent, owner, service, environment, standing, at, released_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, NULL)",
    )?
    .execute(params![
        opened,
        host,
        added.agent,
        added.owner,
        added.service,
        added.environment,
        added.standing,
        added.at
    ])?;
    sum_in_flight(conn, &added, 1)?;
    sum_windows(conn, &added, 1)
}

/// No longer in flight: one host of a change, or all.
pub(crate) fn release(
    conn: &Connection,
    opened: u64,
    host: Option<&HostId>,
    at: Timestamp,
) -> Result<(), StoreError> {
    for share in shares(conn, opened, host)? {
        sum_in_flight(conn, &share, -1)?;
    }
    conn.prepare_cached(
        "UPDATE reservations SET released_at = ?3
         WHERE opened = ?1 AND (?2 IS NULL OR host = ?2) AND released_at IS NULL",
    )?
    .execute(params![
        column(opened)?,
        host.map(HostId::as_str),
        at.unix_millis()
    ])?;
    Ok(())
}

/// Takes reservations back: they count nowhere any more.
pub(crate) fn unreserve(
    conn: &Connection,
    opened: u64,
    host: Option<&HostId>,
) -> Result<(), StoreError> {
    for share in shares(conn, opened, host)? {
        sum_in_flight(conn, &share, -1)?;
        sum_windows(conn, &share, -1)?;
    }
    conn.prepare_cached(
        "DELETE FROM reservations WHERE opened = ?1 AND (?2 IS NULL OR host = ?2)",
    )?
    .execute(params![column(opened)?, host.map(HostId::as_str)])?;
    Ok(())
}

fn shares(conn: &Connection, opened: u64, host: Option<&HostId>) -> Result<Vec<Share>, StoreError> {
    let mut statement = conn.prepare_cached(select_share!(
        "WHERE opened = ?1 AND (?2 IS NULL OR host = ?2)"
    ))?;
    let rows = statement.query_map(params![column(opened)?, host.map(HostId::as_str)], share)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// What other changes have in flight on a host.
fn in_flight_on(
    conn: &Connection,
    host: &HostId,
    opened: Option<i64>,
) -> Result<Vec<Share>, StoreError> {
    let mut statement = conn.prepare_cached(select_share!(
        "WHERE host = ?1 AND opened IS NOT ?2 AND released_at IS NULL"
    ))?;
    let rows = statement.query_map(params![host.as_str(), opened], share)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn sum_in_flight(conn: &Connection, share: &Share, hosts: i64) -> Result<(), StoreError> {
    if !share.in_flight {
        return Ok(());
    }
    const REST: &str = " ON CONFLICT (scope, name) DO UPDATE SET hosts = hosts + excluded.hosts";
    const START: &str = "INSERT INTO in_flight (scope, name, hosts)
        VALUES ('agent', ?1, ?4), ('owner', ?2, ?4), ('environment', ?3, ?4)";
    let (agent, owner, environment) = (&share.agent, &share.owner, &share.environment);
    match &share.service {
        None => conn
            .prepare_cached(&[START, REST].concat())?
            .execute(params![agent, owner, environment, hosts])?,
        Some(service) => conn
            .prepare_cached(&[START, ", ('service', ?5, ?4)", REST].concat())?
            .execute(params![agent, owner, environment, hosts, service])?,
    };
    Ok(())
}

fn sum_windows(conn: &Connection, share: &Share, hosts: i64) -> Result<(), StoreError> {
    if !share.standing {
        return Ok(());
    }
    conn.prepare_cached(
        "INSERT INTO windows (owner, width, start, hosts)
         VALUES (?1, ?3, ?4, ?7), (?2, ?3, ?4, ?7), (?1, ?5, ?6, ?7), (?2, ?5, ?6, ?7)
         ON CONFLICT (owner, width, start) DO UPDATE SET hosts = hosts + excluded.hosts",
    )?
    .execute(params![
        share.owner,
        EVERYBODY,
        MINUTE_MILLIS,
        floor(share.at, MINUTE_MILLIS),
        HOUR_MILLIS,
        floor(share.at, HOUR_MILLIS),
        hosts
    ])?;
    Ok(())
}

const fn floor(millis: i64, width: i64) -> i64 {
    millis - millis.rem_euclid(width)
}

/// How many hosts other changes have reserved.
pub(crate) fn query(
    conn: &Connection,
    query: &ReservationQuery<'_>,
) -> Result<Reservations, StoreError> {
    let own = match query.opened {
        Some(opened) => shares(conn, opened, None)?,
        None => Vec::new(),
    };
    let opened = query.opened.map(column).transpose()?;
    let mut same_hosts = Vec::new();
    for host in query.hosts {
        same_hosts.extend(in_flight_on(conn, host, opened)?);
    }
    let own_in_flight = |fits: &dyn Fn(&Share) -> bool| {
        let own = own.iter().chain(&same_hosts);
        own.filter(|share| share.in_flight && fits(share)).count() as i64
    };
    let in_flight = |scope: &str, name: &str, own: i64| -> Result<u32, StoreError> {
        let sql = "SELECT hosts FROM in_flight WHERE scope = ?1 AND name = ?2";
        let sum: Option<i64> = conn
            .prepare_cached(sql)?
            .query_row([scope, name], |row| row.get(0))
            .optional()?;
        others(sum.unwrap_or(0), own)
    };
    let (agent, owner) = (query.agent.as_str(), query.owner.as_str());
    let mut in_flight_service = 0;
    for service in query.services {
        let own = own_in_flight(&|share| share.service.as_ref() == Some(service));
        in_flight_service = in_flight_service.max(in_flight("service", service, own)?);
    }
    let mut in_flight_environment = 0;
    for environment in query.environments {
        let name = environment.as_str();
        let own = own_in_flight(&|share| share.environment == name);
        in_flight_environment = in_flight_environment.max(in_flight("environment", name, own)?);
    }
    let fleet: i64 = conn
        .prepare_cached(
            "SELECT coalesce(sum(hosts), 0) FROM in_flight WHERE scope = 'environment'",
        )?
        .query_row([], |row| row.get(0))?;
    let now = query.now.unix_millis();
    let since = |millis: i64| floor(now.saturating_sub(millis), MINUTE_MILLIS);
    let window = |owner: &str, since: i64| -> Result<u32, StoreError> {
        let own = own.iter().filter(|share| {
            let whose = owner == EVERYBODY || share.owner == owner;
            share.standing && whose && share.at >= since
        });
        others(window_sum(conn, owner, since)?, own.count() as i64)
    };
    Ok(Reservations {
        in_flight_agent: in_flight("agent", agent, own_in_flight(&|s| s.agent == agent))?,
        in_flight_owner: in_flight("owner", owner, own_in_flight(&|s| s.owner == owner))?,
        in_flight_service,
        in_flight_environment,
        in_flight_fleet: others(fleet, own_in_flight(&|_| true))?,
        hour_owner: window(owner, since(HOUR_MILLIS))?,
        hour_fleet: window(EVERYBODY, since(HOUR_MILLIS))?,
        day_owner: window(owner, since(DAY_MILLIS))?,
        day_fleet: window(EVERYBODY, since(DAY_MILLIS))?,
    })
}

/// Minutes up to the next full hour, hours from there on: about 80 rows for a day.
fn window_sum(conn: &Connection, owner: &str, since: i64) -> Result<i64, StoreError> {
    let full_hour = floor(since + HOUR_MILLIS - 1, HOUR_MILLIS);
    let mut statement = conn.prepare_cached(
        "SELECT (SELECT coalesce(sum(hosts), 0) FROM windows
                 WHERE owner = ?1 AND width = ?2 AND start >= ?3 AND start < ?4)
              + (SELECT coalesce(sum(hosts), 0) FROM windows
                 WHERE owner = ?1 AND width = ?5 AND start >= ?4)",
    )?;
    Ok(statement.query_row(
        params![owner, MINUTE_MILLIS, since, full_hour, HOUR_MILLIS],
        |row| row.get(0),
    )?)
}

/// A sum without the change's own share. A sum that cannot be is damage, which denies.
fn others(sum: i64, own: i64) -> Result<u32, StoreError> {
    u32::try_from(sum - own).map_err(|_| {
        StoreError::Damaged(format!(
            "`{sum}` hosts are reserved, `{own}` of them by one change"
        ))
    })
}

/// The sums that do not equal what the rows give, in words.
pub(crate) fn wrong_sums(conn: &Connection) -> Result<Vec<String>, StoreError> {
    let mut statement = conn.prepare(
        "WITH counted (scope, name, hosts) AS (
            SELECT 'agent', agent, count(*) FROM reservations WHERE released_at IS NULL GROUP BY 2
            UNION ALL
            SELECT 'owner', owner, count(*) FROM reservations WHERE released_at IS NULL GROUP BY 2
            UNION ALL
            SELECT 'environment', environment, count(*) FROM reservations
                WHERE released_at IS NULL GROUP BY 2
            UNION ALL
            SELECT 'service', service, count(*) FROM reservations
                WHERE released_at IS NULL AND service IS NOT NULL GROUP BY 2
            UNION ALL
            SELECT 'minute of ' || owner, at / 60000 * 60000, count(*) FROM reservations
                WHERE standing GROUP BY 1, 2
            UNION ALL
            SELECT 'hour of ' || owner, at / 3600000 * 3600000, count(*) FROM reservations
                WHERE standing GROUP BY 1, 2
            UNION ALL
            SELECT 'minute of ', at / 60000 * 60000, count(*) FROM reservations
                WHERE standing GROUP BY 2
            UNION ALL
            SELECT 'hour of ', at / 3600000 * 3600000, count(*) FROM reservations
                WHERE standing GROUP BY 2
        ), stored (scope, name, hosts) AS (
            SELECT scope, name, hosts FROM in_flight WHERE hosts <> 0
            UNION ALL
            SELECT CASE width WHEN 60000 THEN 'minute of ' ELSE 'hour of ' END || owner, start, hosts
            FROM windows WHERE hosts <> 0
        )
        SELECT scope, name, 'rows give ' || hosts FROM (SELECT * FROM counted EXCEPT SELECT * FROM stored)
        UNION ALL
        SELECT scope, name, 'stored is ' || hosts FROM (SELECT * FROM stored EXCEPT SELECT * FROM counted)
        LIMIT 100",
    )?;
    let rows = statement.query_map([], |row| {
        let name: rusqlite::types::Value = row.get(1)?;
        let name = match name {
            rusqlite::types::Value::Text(text) => text,
            other => format!("{other:?}"),
        };
        Ok(format!(
            "{} `{name}`: {}",
            row.get::<_, String>(0)?,
            row.get::<_, String>(2)?
        ))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}
