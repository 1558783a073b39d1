//! The web-shop example, carried in the binary so that it works from any folder.

use spine_core::activity::{self, Document};

macro_rules! files {
    ($($path:literal),+ $(,)?) => {
        [$((concat!("examples/shop/", $path), include_str!(concat!("../../examples/shop/", $path)))),+]
    };
}

/// Each file of activities and event types: its name and text.
pub(crate) const FILES: [(&str, &str); 7] = files![
    "activities/order-fulfilment.yaml",
    "activities/order-review.yaml",
    "activities/stock-watch.yaml",
    "event-types/com.shop.order.placed.yaml",
    "event-types/com.shop.order.reviewed.yaml",
    "event-types/com.shop.order.shipped.yaml",
    "event-types/com.shop.stock.low.yaml",
];

/// The event of the tutorial.
pub(crate) const ORDER_PLACED: &str = include_str!("../../examples/events/order-placed.json");

/// All documents of the example.
pub(crate) fn documents() -> anyhow::Result<Vec<Document>> {
    let parsed = FILES.iter().map(|(name, text)| Ok(activity::parse_with(name, text, spine_schemas::check)?));
    Ok(parsed.collect::<anyhow::Result<Vec<_>>>()?.into_iter().flatten().collect())
}
