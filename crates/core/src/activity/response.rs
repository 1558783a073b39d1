//! What an HTTP answer must be, and what of it is the output.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// `response`. As data it holds only what differs from the default: 2xx is success, and its body the output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Response {
    /// The statuses that count as success.
    #[serde(skip_serializing_if = "is_default_status")]
    pub status: Vec<Status>,
    /// The JSON Schema that the body of such an answer must meet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema: Option<Value>,
    /// What becomes the output.
    #[serde(skip_serializing_if = "Output::is_body")]
    pub output: Output,
}

/// What of an answer becomes the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Output {
    /// Its body.
    #[default]
    Body,
    /// Its status, headers and body.
    Full,
}

/// One status, or a class of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Value", into = "Value")]
pub enum Status {
    /// This one, 200 to 599.
    Code(u16),
    /// All from 100 times this, 2 to 5: `2xx`.
    Class(u16),
}

impl Default for Response {
    fn default() -> Self {
        Self { status: vec![Status::Class(2)], schema: None, output: Output::Body }
    }
}

impl Response {
    /// Whether an answer with this status is success.
    pub fn accepts(&self, status: u16) -> bool {
        self.status.iter().any(|known| match known {
            Status::Code(code) => *code == status,
            Status::Class(class) => *class == status / 100,
        })
    }

    /// Whether all of it is as it is without being written.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Output {
    fn is_body(&self) -> bool {
        *self == Self::Body
    }
}

fn is_default_status(status: &[Status]) -> bool {
    status == [Status::Class(2)]
}

impl TryFrom<Value> for Status {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        let code = value.as_u64().and_then(|code| u16::try_from(code).ok()).filter(|code| (200..600).contains(code));
        let class = || match value.as_str()?.as_bytes() {
            [class @ b'2'..=b'5', b'x', b'x'] => Some(u16::from(class - b'0')),
            _ => None,
        };
        let status = code.map(Status::Code).or_else(|| class().map(Status::Class));
        status.ok_or_else(|| "a status is a number from 200 to 599, or 2xx, 3xx, 4xx or 5xx".to_owned())
    }
}

impl From<Status> for Value {
    fn from(status: Status) -> Self {
        match status {
            Status::Code(code) => Value::from(code),
            Status::Class(class) => Value::from(format!("{class}xx")),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn statuses_are_codes_and_classes() {
        let response: Response = serde_json::from_value(json!({"status": ["2xx", 404]})).unwrap();
        for (status, accepted) in [(200, true), (299, true), (302, false), (404, true), (405, false), (500, false)] {
            assert_eq!(response.accepts(status), accepted, "{status}");
        }
        for wrong in [json!(199), json!(600), json!("1xx"), json!("2XX"), json!("200"), json!(200.5), json!(null)] {
            assert!(Status::try_from(wrong.clone()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_the_default_is_not_written() {
        assert_eq!(json!(Response::default()), json!({}));
        assert_eq!(serde_json::from_value::<Response>(json!({})).unwrap(), Response::default());
        let full = json!({"status": [200, "4xx"], "schema": true, "output": "full"});
        assert_eq!(json!(serde_json::from_value::<Response>(full.clone()).unwrap()), full);
    }
}
