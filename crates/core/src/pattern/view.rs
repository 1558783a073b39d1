//! Reading an event's fields where they are, without a copy of the event.

use std::cell::OnceCell;

use serde_json::Value;

use super::number::Exact;
use super::operator::Scalar;
use crate::event::{Data, Event};

/// What has an event's top-level fields.
pub(crate) trait Root {
    /// The field, if it is there.
    fn field(&self, name: &str) -> Option<Seen<'_>>;
}

/// A value that was found.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Seen<'a> {
    Text(&'a str),
    Json(&'a Value),
}

/// Where fields are looked up: at the top, or in all of some values.
pub(crate) enum Place<'a> {
    Root(&'a dyn Root),
    Values(Vec<Seen<'a>>),
}

impl<'a> Place<'a> {
    /// All values of this field; of lists, those of all elements.
    pub(super) fn field(&self, name: &str) -> Vec<Seen<'a>> {
        match self {
            Place::Root(root) => root.field(name).into_iter().collect(),
            Place::Values(values) => {
                let mut found = Vec::new();
                values.iter().for_each(|seen| fields_of(*seen, name, &mut found));
                found
            }
        }
    }
}

fn fields_of<'a>(seen: Seen<'a>, name: &str, found: &mut Vec<Seen<'a>>) {
    match seen {
        Seen::Json(Value::Object(map)) => found.extend(map.get(name).map(Seen::Json)),
        Seen::Json(Value::Array(items)) => items.iter().for_each(|item| fields_of(Seen::Json(item), name, found)),
        _ => {}
    }
}

/// Calls `visit` with the value, or with each element of a list, however deep lists stand in lists.
pub(crate) fn scalars<'a>(seen: Seen<'a>, visit: &mut dyn FnMut(Scalar<'a>)) {
    match seen {
        Seen::Text(text) => visit(Scalar::Text(text)),
        Seen::Json(Value::String(text)) => visit(Scalar::Text(text)),
        Seen::Json(Value::Number(number)) => visit(Scalar::Number(Exact::of(number))),
        Seen::Json(Value::Bool(value)) => visit(Scalar::Bool(*value)),
        Seen::Json(Value::Null) => visit(Scalar::Null),
        Seen::Json(Value::Array(items)) => items.iter().for_each(|item| scalars(Seen::Json(item), visit)),
        Seen::Json(Value::Object(_)) => {}
    }
}

impl Root for Value {
    fn field(&self, name: &str) -> Option<Seen<'_>> {
        self.get(name).map(Seen::Json)
    }
}

/// An event with the fields that [`Event::to_json`] would give it.
pub(crate) struct EventView<'e> {
    event: &'e Event,
    json: OnceCell<Value>,
}

impl<'e> EventView<'e> {
    pub(crate) fn new(event: &'e Event) -> Self {
        Self { event, json: OnceCell::new() }
    }
}

impl Root for EventView<'_> {
    fn field(&self, name: &str) -> Option<Seen<'_>> {
        let event = self.event;
        match name {
            "specversion" => Some(Seen::Text("1.0")),
            "id" => Some(Seen::Text(&event.id)),
            "source" => Some(Seen::Text(&event.source)),
            "type" => Some(Seen::Text(&event.event_type)),
            "subject" => event.subject.as_deref().map(Seen::Text),
            "time" => event.time.as_deref().map(Seen::Text),
            "datacontenttype" => event.datacontenttype.as_deref().map(Seen::Text),
            "dataschema" => event.dataschema.as_deref().map(Seen::Text),
            "data" => match &event.data {
                Data::Json(value) => Some(Seen::Json(value)),
                Data::Text(text) => Some(Seen::Text(text)),
                Data::None | Data::Binary(_) => None,
            },
            // The only field that has to be made first.
            "data_base64" if matches!(event.data, Data::Binary(_)) => {
                self.json.get_or_init(|| event.to_json()).get(name).map(Seen::Json)
            }
            extension => event.extensions.get(extension).map(Seen::Json),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_has_the_fields_of_its_json() {
        let mut event = Event::new("a.b", "/shop", "1");
        event.subject = Some("s".into());
        event.time = Some("2026-01-01T00:00:00Z".into());
        event.datacontenttype = Some("application/json".into());
        event.dataschema = Some("https://shop.example/s".into());
        event.extensions.insert("hops".into(), json!(3));
        for data in [Data::None, Data::Json(json!({"a": 1})), Data::Text("x".into()), Data::Binary(vec![1, 2])] {
            event.data = data;
            let json = event.to_json();
            let view = EventView::new(&event);
            let names =
                "specversion id source type subject time datacontenttype dataschema hops data data_base64 other";
            for name in names.split(' ') {
                let seen = view.field(name).map(|seen| match seen {
                    Seen::Text(text) => json!(text),
                    Seen::Json(value) => value.clone(),
                });
                assert_eq!(seen.as_ref(), json.get(name), "{name}");
            }
        }
    }
}
