//! What is there from the start, and what clones share.

use super::*;

const INGRESS_OUTCOMES: &str = "accepted duplicate invalid too_large unsupported not_found unauthenticated forbidden \
                                rate_limited timed_out overloaded unavailable";

#[test]
fn every_label_set_is_there_from_the_start() -> Result<(), MetricsError> {
    let text = Metrics::new("1.2.3", &["invalid", "unauthorised"])?.render();
    let check = |line: &str| assert!(text.lines().any(|l| l == line), "{line} not in\n{text}");
    for (family, label, values) in [
        (names::ROUTER_DECISIONS, "outcome", "started signalled duplicate unmatched rejected"),
        (names::ROUTER_REDRIVEN, "outcome", "started signalled duplicate unmatched rejected"),
        (names::ROUTER_STARTS, "outcome", "started already_started failed"),
        (names::ROUTER_DEAD_LETTERS, "reason", "invalid unauthorised"),
        (names::ROUTER_RETRIES, "dependency", "temporal nats"),
        (names::INGRESS_REQUESTS, "outcome", INGRESS_OUTCOMES),
        (names::INGRESS_EVENTS, "outcome", "accepted duplicate rejected unavailable"),
        (names::WORKER_RUNS, "outcome", "completed failed duplicate"),
        (names::INBOX_DELIVERED, "to", "instance wait"),
        (names::RELAY_PUBLISHED, "outcome", "published duplicate"),
    ] {
        values.split(' ').for_each(|value| check(&format!("{family}{{{label}=\"{value}\"}} 0")));
    }
    for kind in ["http", "emit", "worker"] {
        for outcome in ["completed", "failed", "retried"] {
            check(&format!("{}{{kind=\"{kind}\",outcome=\"{outcome}\"}} 0", names::WORKER_TASKS));
        }
    }
    for name in [
        names::ROUTER_IN_FLIGHT,
        names::INGRESS_BODY_BYTES,
        names::INGRESS_IN_FLIGHT,
        names::INGRESS_CONNECTIONS,
        names::RELAY_PARKED_ROWS,
        names::ROUTER_CATALOG_VERSION,
        names::ROUTER_CATALOG_ACTIVITIES,
        names::RELAY_PARKED,
        names::RELAY_CATALOG_VERSION,
        names::RELAY_CATALOG_FAILURES,
        names::ROUTER_CATALOG_FAILURES,
        names::RELAY_PENDING_ROWS,
        names::RELAY_OLDEST_PENDING_SECONDS,
        names::INBOX_LAG,
        names::INBOX_CATALOG_VERSION,
        names::INBOX_CATALOG_FAILURES,
    ] {
        check(&format!("{name} 0"));
    }
    check(&format!("{}_bucket{{le=\"0.00001\"}} 0", names::ROUTER_START_ISSUE_SECONDS));
    check(&format!("{}_count 0", names::ROUTER_EVENT_SECONDS));
    check("spine_process_info{version=\"1.2.3\"} 1");
    Ok(())
}

#[test]
fn clones_count_together() -> Result<(), MetricsError> {
    let metrics = Metrics::new("1", &["invalid"])?;
    metrics.clone().worker.tasks.inc((TaskKind::Emit, TaskOutcome::Retried));
    metrics.router.dead_letters.inc("invalid");
    assert_eq!(metrics.worker.tasks.get((TaskKind::Emit, TaskOutcome::Retried)), 1);
    assert_eq!(metrics.router.dead_letters.get("invalid"), 1);
    Ok(())
}
