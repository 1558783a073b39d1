//! Activities and events as a web shop with many teams would have them.
//!
//! Of twenty activities on one type:
//!
//! | | ask for |
//! |---|---|
//! | 2 | the type alone |
//! | 5 | exact values: a country of 60 and a tier of 4 |
//! | 4 | a total above a bound, and a country |
//! | 2 | a range of totals |
//! | 2 | a prefix of the first item's sku |
//! | 2 | `anything-but` two countries, and a tier |
//! | 1 | a wildcard in the customer's address |
//! | 1 | `exists: false` of a coupon, and a channel |
//! | 1 | an `$or` of channel and tier, and the source |

use std::sync::Arc;

use serde_json::{Value, json};
use spine_core::activity::{self, Document};
use spine_core::event::Event;
use spine_core::matching::Entry;

const TIERS: [&str; 4] = ["free", "silver", "gold", "platinum"];
const CHANNELS: [&str; 5] = ["web", "ios", "android", "store", "phone"];
/// So few events stay in a cache, as one does that was just decoded.
pub(crate) const WARM: usize = 250;
/// So many do not, and meet parts of the index that do not either.
pub(crate) const COLD: usize = 4000;

pub(crate) fn event_type(number: usize) -> String {
    format!("com.shop.area-{:02}.thing-{number:04}.changed", number % 40)
}

/// `count` activities spread over `types` event types; no two ask for the same values.
pub(crate) fn entries(count: usize, types: usize) -> Vec<Entry> {
    (0..count).map(|at| entry(at, types)).collect()
}

fn entry(at: usize, types: usize) -> Entry {
    let mut trigger = json!({"event": event_type(at % types)});
    if let Some(pattern) = pattern(at / types, at) {
        trigger["match"] = pattern;
    }
    let text = json!({"apiVersion": "spine/v1", "kind": "Activity", "metadata": {"name": format!("activity-{at:06}")},
        "spec": {"on": [trigger], "tasks": [{"id": "t", "uses": "emit", "with": {"type": "com.shop.done"}}]}});
    match activity::parse("bench.json", &text.to_string()).map(|mut documents| documents.remove(0)) {
        Ok(Document::Activity(definition)) => {
            Entry { revision: 1, enabled: true, definition: Arc::new(definition.value) }
        }
        other => panic!("{text}: {other:?}"),
    }
}

fn country(at: usize) -> String {
    format!("C{}", mix(at) % 60)
}

fn pattern(place: usize, at: usize) -> Option<Value> {
    let (tier, channel) = (TIERS[mix(at + 1) % 4], CHANNELS[mix(at + 2) % 5]);
    let bound = mix(at + 3) % 2000;
    let data = match place % 20 {
        0 | 1 => return None,
        2..7 => json!({"customer": {"country": [country(at)], "tier": [tier]}}),
        7..11 => {
            json!({"total": [{"numeric": [">=", bound]}], "customer": {"country": [country(at), country(at + 7)]}})
        }
        11..13 => json!({"total": [{"numeric": [">", bound, "<=", bound + 50]}]}),
        13..15 => json!({"items": {"sku": [{"prefix": format!("sku-{:02}", mix(at + 4) % 100)}]}}),
        15..17 => {
            json!({"customer": {"country": [{"anything-but": [country(at), country(at + 1)]}], "tier": [tier]}, "channel": [channel]})
        }
        17 => json!({"customer": {"email": [{"wildcard": format!("*.{}@*.example", mix(at) % 100)}]}}),
        18 => json!({"coupon": [{"exists": false}], "channel": [channel], "customer": {"country": [country(at)]}}),
        _ => {
            json!({"$or": [{"channel": [channel]}, {"customer": {"tier": [tier]}}], "total": [{"numeric": ["<", bound / 20]}]})
        }
    };
    Some(if place % 20 == 19 {
        json!({"source": [{"prefix": "https://shop"}], "data": data})
    } else {
        json!({"data": data})
    })
}

/// `count` events of 1.2 KB over `types` event types, as they come off the wire.
pub(crate) fn bytes(count: usize, types: usize) -> Vec<Vec<u8>> {
    (0..count).map(|at| serde_json::to_vec(&event(at, types)).unwrap()).collect()
}

pub(crate) fn events(count: usize, types: usize) -> Vec<Event> {
    let bytes = bytes(count, types);
    let size = bytes.iter().map(Vec::len).sum::<usize>() / bytes.len();
    assert!((1100..1300).contains(&size), "an event has {size} bytes");
    bytes.iter().map(|bytes| Event::from_json(bytes).unwrap()).collect()
}

fn event(at: usize, types: usize) -> Value {
    let item = |number: usize| {
        json!({"sku": format!("sku-{:05}", mix(at + number) % 100_000), "name": "A thing of some length that is sold",
            "qty": 1 + number, "price": 12.5 + number as f64, "category": "household"})
    };
    let seed = mix(at);
    json!({
        "specversion": "1.0", "id": format!("order-{at:08}-{seed:016x}"), "source": "https://shop.example/checkout",
        "type": event_type(seed % types), "subject": format!("orders/{at}"), "time": "2026-03-01T12:30:00.123Z",
        "datacontenttype": "application/json", "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "data": {
            "order": format!("{at:08}"), "total": (mix(at + 1) % 200_000) as f64 / 100.0, "currency": "EUR",
            "channel": CHANNELS[mix(at + 2) % 5], "express": at.is_multiple_of(3),
            "customer": {"id": mix(at + 3) % 1_000_000, "country": country(at + 4), "tier": TIERS[mix(at + 5) % 4],
                "email": format!("someone.{}@mail.example", mix(at + 6) % 100),
                "address": {"street": "Long Street 12", "city": "Vienna", "zip": "1010"}},
            "items": [item(0), item(1), item(2)],
            "notes": "Please leave it with the neighbours if nobody is at home; the bell does not work, so please knock, or call the number on the parcel, and thank you very much for the trouble that this may be.",
            "payment": {"method": "card", "authorised": true, "attempts": 1},
            "flags": ["gift", "fragile"],
        }
    })
}

/// Numbers without a pattern, the same in every run.
fn mix(number: usize) -> usize {
    let mut z = (number as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(0x1234_5678);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    ((z ^ (z >> 27)) >> 8) as usize
}
