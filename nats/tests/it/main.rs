//! JetStream as it is: against a real nats-server.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "what can't be had fails the test")]

mod catalog;
mod consume;
mod dead_letters;
mod publish;
mod server;
mod topology;

use serde_json::json;
use spine_core::event::{Data, Event};

fn order(id: &str) -> Event {
    let mut event = Event::new("com.shop.order", "/shop", id);
    event.datacontenttype = Some("application/json".into());
    event.data = Data::Json(json!({"total": 7}));
    event
}
