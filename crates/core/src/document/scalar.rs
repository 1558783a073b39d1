//! The core schema of YAML 1.2 (chapter 10.3): which plain texts are null, booleans and numbers.

use serde_json::Number;

use super::NodeValue;

/// The value of a plain scalar. Fails for numbers that JSON can't hold exactly.
pub(super) fn resolve(text: &str) -> Result<NodeValue, String> {
    Ok(match text {
        "" | "~" | "null" | "Null" | "NULL" => NodeValue::Null,
        "true" | "True" | "TRUE" => NodeValue::Bool(true),
        "false" | "False" | "FALSE" => NodeValue::Bool(false),
        text if is_special(text) => {
            return Err(format!("`{text}` is no number that JSON has; write it in quotes if it is a text"));
        }
        text => match number(text)? {
            Some(number) => NodeValue::Number(number),
            None => NodeValue::String(text.to_owned()),
        },
    })
}

/// `.inf` and `.nan` with their variants.
fn is_special(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN")
}

fn number(text: &str) -> Result<Option<Number>, String> {
    if let Some(digits) = text.strip_prefix("0x").filter(|digits| all(digits, |c| c.is_ascii_hexdigit())) {
        return whole(text, u64::from_str_radix(digits, 16).ok().map(Number::from));
    }
    if let Some(digits) = text.strip_prefix("0o").filter(|digits| all(digits, |c| matches!(c, '0'..='7'))) {
        return whole(text, u64::from_str_radix(digits, 8).ok().map(Number::from));
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if all(unsigned, |c| c.is_ascii_digit()) {
        let positive = text.strip_prefix('+').unwrap_or(text);
        let number = positive.parse::<i64>().map(Number::from).or_else(|_| positive.parse::<u64>().map(Number::from));
        return whole(text, number.ok());
    }
    if !is_decimal(unsigned) {
        return Ok(None);
    }
    match text.parse().ok().and_then(Number::from_f64) {
        Some(number) => Ok(Some(number)),
        None => Err(format!("{} is too large for a number; write it in quotes", shown(text))),
    }
}

fn whole(text: &str, number: Option<Number>) -> Result<Option<Number>, String> {
    let message =
        || format!("{} does not fit into 64 bits, so it could not be kept exactly; write it in quotes", shown(text));
    number.map(Some).ok_or_else(message)
}

/// `[0-9]+ ( \. [0-9]* )?` or `\. [0-9]+`, then an optional exponent.
fn is_decimal(text: &str) -> bool {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let exponent_is_right =
        exponent.is_none_or(|e| all(e.strip_prefix(['-', '+']).unwrap_or(e), |c| c.is_ascii_digit()));
    let (before, after) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = |part: &str| part.chars().all(|c| c.is_ascii_digit());
    exponent_is_right && digits(before) && digits(after) && !(before.is_empty() && after.is_empty())
}

fn all(text: &str, is: impl Fn(char) -> bool) -> bool {
    !text.is_empty() && text.chars().all(is)
}

fn shown(text: &str) -> String {
    if text.len() <= 40 { text.to_owned() } else { format!("{}…", text.chars().take(40).collect::<String>()) }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn check(text: &str, expected: Value) {
        let node =
            crate::document::Node { pos: crate::document::Pos::START, value: resolve(text).unwrap(), text_start: None };
        assert_eq!(node.to_value(), expected, "{text}");
    }

    #[test]
    fn core_schema() {
        check("~", json!(null));
        check("yes", json!("yes"));
        check("NO", json!("NO"));
        check("True", json!(true));
        check("-12", json!(-12));
        check("+12", json!(12));
        check("0x1F", json!(31));
        check("0o17", json!(15));
        check("0x", json!("0x"));
        check("18446744073709551615", json!(u64::MAX));
        check("-9223372036854775808", json!(i64::MIN));
        check("1.5e3", json!(1500.0));
        check(".5", json!(0.5));
        check("5.", json!(5.0));
        check(".", json!("."));
        check("1e", json!("1e"));
        check("1.2.3", json!("1.2.3"));
        check("12:30", json!("12:30"));
        check("inf", json!("inf"));
    }

    #[test]
    fn what_json_can_not_hold_is_refused() {
        for text in
            ["18446744073709551616", "-9223372036854775809", "1e999", ".inf", "-.INF", ".nan", "0xFFFFFFFFFFFFFFFFF"]
        {
            assert!(resolve(text).unwrap_err().contains("quotes"), "{text}");
        }
    }
}
