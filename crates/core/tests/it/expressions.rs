//! What expressions give, what is told of wrong ones, and that hostile ones stay within their bounds.

mod hostile;
mod messages;
mod types;
mod values;

use serde_json::{Value, json};
use spine_core::expression::Scope;
use spine_core::expression::types::{Type, TypeEnv};

/// A run of the shop: its event, what was looked up, and what its tasks gave.
fn scope() -> Scope {
    Scope::new()
        .with("event", event())
        .with("config", json!({"crm_url": "https://crm.example", "limit": 500}))
        .with(
            "run",
            json!({"id": "r-1", "activity": "order-review", "revision": 3, "scheduledFor": "2026-01-05T00:00:00Z"}),
        )
        .with("context", json!({"customer": {"tier": "gold"}, "history": [{"orders": 4}], "low": [{"sku": "a"}]}))
        .with(
            "tasks",
            json!({
                "score": {"status": "completed", "output": {"risk": 0.9}, "error": null},
                "reserve": {"status": "completed", "output": [{"id": "r1"}, {"id": "r2"}], "error": null},
                "review": {"status": "skipped", "output": null, "error": null},
            }),
        )
        .with("item", json!({"sku": "a", "quantity": 2}))
        .with("index", json!(0))
}

fn event() -> Value {
    json!({
        "id": "e-1", "source": "https://shop.example/web", "type": "com.shop.order.placed", "specversion": "1.0",
        "subject": "order-7", "time": "2026-01-05T10:00:00Z", "tenant": "acme",
        "data": {
            "total": 620, "weight": 1.5, "vip": true, "coupon": null, "country": "AT", "note": "größer",
            "items": [{"sku": "a", "qty": 2, "price": 10.5, "tags": ["x"]}, {"sku": "b", "qty": 3, "price": 4.0, "tags": []}],
            "ids": [1, 2, 3], "address": {"city": "Wien", "zip": "1010"}, "big": 18_446_744_073_709_551_615_u64,
        },
    })
}

/// What an activity's expressions see.
fn env() -> TypeEnv {
    TypeEnv::new().with("event", Type::event()).with("run", Type::run()).with("tasks", Type::tasks())
}
