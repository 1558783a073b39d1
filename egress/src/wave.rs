//! In which order rows are published: in waves, so that a key's rows stay in order though many are under
//! way at once.

use std::collections::BTreeMap;

use spine_store::OutboxRow;

/// The most events under way at once: beyond some hundred more waiting buys no throughput.
pub(crate) const MAX_WAVE: usize = 256;

/// Splits rows, which are in order, into waves. A wave has at most one row of a key, and a key's rows are
/// in waves of rising number.
pub(crate) fn waves(rows: Vec<OutboxRow>) -> Vec<Vec<OutboxRow>> {
    let mut waves: Vec<Vec<OutboxRow>> = Vec::new();
    let mut next_of_key: BTreeMap<String, usize> = BTreeMap::new();
    let mut first_with_room = 0;
    for row in rows {
        let earliest = next_of_key.get(&row.key).copied().unwrap_or(0).max(first_with_room);
        let room = waves.iter().skip(earliest).position(|wave| wave.len() < MAX_WAVE);
        let number = room.map_or(waves.len().max(earliest), |offset| earliest + offset);
        waves.resize_with(waves.len().max(number + 1), Vec::new);
        next_of_key.insert(row.key.clone(), number + 1);
        if let Some(wave) = waves.get_mut(number) {
            wave.push(row);
        }
        while waves.get(first_with_room).is_some_and(|wave| wave.len() >= MAX_WAVE) {
            first_with_room += 1;
        }
    }
    waves
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(keys: &str, expected: &[&str]) {
        let row = |(id, key): (usize, char)| OutboxRow {
            id: id as i64,
            key: key.to_string(),
            event: serde_json::Value::Null,
            age_seconds: 0.0,
        };
        let waves = waves(keys.chars().enumerate().map(row).collect());
        let found: Vec<String> = waves.iter().map(|wave| wave.iter().map(|row| row.key.as_str()).collect()).collect();
        assert_eq!(found, expected, "{keys}");
    }

    #[test]
    fn a_wave_has_a_key_once() {
        check("", &[]);
        check("abc", &["abc"]);
        check("aab", &["ab", "a"]);
        check("abacab", &["abc", "ab", "a"]);
    }

    #[test]
    fn waves_are_bounded_and_keys_stay_in_order() {
        let keys = ["a", "b", "a", "c", "a", "d", "e"].into_iter().cycle().take(5000);
        let row = |(id, key): (usize, &str)| {
            // Many keys, some of them hot.
            let key = if key < "d" { key.to_owned() } else { format!("{key}{id}") };
            OutboxRow { id: id as i64, key, event: serde_json::Value::Null, age_seconds: 0.0 }
        };
        let waves = waves(keys.enumerate().map(row).collect());
        let mut last: BTreeMap<String, i64> = BTreeMap::new();
        let mut count = 0;
        for wave in &waves {
            assert!(wave.len() <= MAX_WAVE);
            let distinct: std::collections::BTreeSet<_> = wave.iter().map(|row| &row.key).collect();
            assert_eq!(distinct.len(), wave.len());
            for row in wave {
                assert!(last.insert(row.key.clone(), row.id).is_none_or(|before| before < row.id));
                count += 1;
            }
        }
        assert_eq!(count, 5000);
    }
}
