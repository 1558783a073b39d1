//! JSON as it is signed: RFC 8785, but integers of up to 64 bits exactly.
//!
//! Written out here and not left to a library: a release that lays out a number otherwise would break every
//! signature.

use serde_json::{Number, Value};

/// From this many digits before the point on, a number has an exponent (ECMA-262, `Number::toString`).
const MOST_DIGITS: i32 = 21;

pub(super) fn text(value: &Value) -> String {
    let mut out = String::new();
    write(value, &mut out);
    out
}

fn write(value: &Value, out: &mut String) {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by(|(one, _), (other, _)| one.encode_utf16().cmp(other.encode_utf16()));
            list(('{', '}'), entries, out, |(name, item), out| {
                out.push_str(&Value::from(name.as_str()).to_string());
                out.push(':');
                write(item, out);
            });
        }
        Value::Array(items) => list(('[', ']'), items, out, write),
        Value::Number(number) => out.push_str(&number_text(number)),
        leaf => out.push_str(&leaf.to_string()),
    }
}

fn list<T>(
    (open, close): (char, char),
    items: impl IntoIterator<Item = T>,
    out: &mut String,
    write: impl Fn(T, &mut String),
) {
    out.push(open);
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write(item, out);
    }
    out.push(close);
}

fn number_text(number: &Number) -> String {
    match (number.as_i64(), number.as_u64(), number.as_f64()) {
        (Some(whole), ..) => whole.to_string(),
        (_, Some(whole), _) => whole.to_string(),
        (.., Some(float)) => float_text(float),
        _ => number.to_string(),
    }
}

/// The shortest decimal that reads as the same number, laid out as ECMAScript does.
fn float_text(float: f64) -> String {
    if float == 0.0 {
        return "0".into();
    }
    let sign = if float < 0.0 { "-" } else { "" };
    let shortest = format!("{:e}", float.abs());
    let (mantissa, exponent) = shortest.split_once('e').unwrap_or((&shortest, "0"));
    let digits = mantissa.replace('.', "");
    let (count, before) = (digits.len(), exponent.parse::<i32>().unwrap_or(0) + 1);
    let zeros = |count: i32| "0".repeat(usize::try_from(count).unwrap_or(0));
    let missing = before - i32::try_from(count).unwrap_or(i32::MAX);
    let laid_out = if (0..=MOST_DIGITS).contains(&before) && missing >= 0 {
        format!("{digits}{}", zeros(missing))
    } else if (1..=MOST_DIGITS).contains(&before) {
        let (whole, rest) = digits.split_at(usize::try_from(before).unwrap_or(0));
        format!("{whole}.{rest}")
    } else if (-5..=0).contains(&before) {
        format!("0.{}{digits}", zeros(-before))
    } else {
        let (first, rest) = digits.split_at(1);
        let point = if rest.is_empty() { "" } else { "." };
        format!("{first}{point}{rest}e{:+}", before - 1)
    };
    format!("{sign}{laid_out}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_laid_out_as_rfc_8785_says() {
        // Appendix B of RFC 8785, and what lies around the places where the layout changes.
        for (float, expected) in [
            (0.0, "0"),
            (-0.0, "0"),
            (5e-324, "5e-324"),
            (-1.7976931348623157e308, "-1.7976931348623157e+308"),
            (9_007_199_254_740_992.0, "9007199254740992"),
            (295_147_905_179_352_830_000.0, "295147905179352830000"),
            (9.999999999999997e22, "9.999999999999997e+22"),
            (1e23, "1e+23"),
            (999999999999999700000.0, "999999999999999700000"),
            (1e21, "1e+21"),
            (9.999999999999997e-7, "9.999999999999997e-7"),
            (0.000001, "0.000001"),
            (333333333.3333332, "333333333.3333332"),
            (0.1, "0.1"),
            (100.0, "100"),
            (1.5, "1.5"),
        ] {
            assert_eq!(float_text(float), expected);
        }
    }

    #[test]
    fn whole_numbers_are_exact_and_keys_are_sorted() {
        let value: Value =
            serde_json::from_str(r#"{"b": 18446744073709551615, "a": [-9223372036854775808, "é\n\u001f"]}"#).unwrap();
        assert_eq!(text(&value), "{\"a\":[-9223372036854775808,\"é\\n\\u001f\"],\"b\":18446744073709551615}");
        // U+FF61 stands after U+1F600 in UTF-16.
        assert_eq!(text(&serde_json::json!({"\u{ff61}": 1, "\u{1f600}": 2})), "{\"\u{1f600}\":2,\"\u{ff61}\":1}");
    }
}
