//! Who may send what: the documents of `kind: Source`, of which one rules each event.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use time::OffsetDateTime;

use super::Rejection;
use crate::activity::Source;
use crate::decision::DeadReason;
use crate::event::Event;
use crate::pattern::Wildcard;

/// All sources that are named. A source that none of them names may send anything.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    exact: BTreeMap<String, Arc<Source>>,
    /// The closest first.
    wild: Vec<(Wildcard, Arc<Source>)>,
}

impl FromIterator<Arc<Source>> for Sources {
    fn from_iter<I: IntoIterator<Item = Arc<Source>>>(sources: I) -> Self {
        let (wild, exact): (Vec<_>, Vec<_>) = sources.into_iter().partition(|one| one.source.contains('*'));
        let mut wild: Vec<_> = wild.into_iter().map(|one| (Wildcard::of_source(&one.source), one)).collect();
        wild.sort_by_cached_key(|(_, one)| (Reverse(one.source.replace('*', "").len()), one.name.clone()));
        Self { exact: exact.into_iter().map(|one| (one.source.clone(), one)).collect(), wild }
    }
}

impl Sources {
    /// The document that rules what comes from `source`: the one that names it without a `*`, else the one
    /// with the most bytes beside its `*`.
    pub fn of(&self, source: &str) -> Option<&Source> {
        let exact = self.exact.get(source);
        let found = exact.or_else(|| self.wild.iter().find(|(wild, _)| wild.matches(source)).map(|(_, one)| one));
        found.map(Arc::as_ref)
    }

    /// Whether the event's source may send it, and it is signed as it must be. `at` is when the stream took it.
    pub fn check(&self, event: &Event, at: OffsetDateTime) -> Result<(), Rejection> {
        let Some(source) = self.of(&event.source) else { return Ok(()) };
        if !source.may_send(&event.event_type) {
            let detail = format!("Source {} lets {:?} not send type {:?}", source.name, event.source, event.event_type);
            return Err(Rejection::new(DeadReason::Unauthorized, detail));
        }
        source.check_signature(event, at).map_err(|problem| {
            let detail = format!("Source {} refuses the signature: {problem}", source.name);
            Rejection::new(DeadReason::BadSignature, detail)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activity::{Document, parse};
    use crate::signature::PrivateKey;

    const NOW: OffsetDateTime = time::macros::datetime!(2026-11-24 12:00 UTC);

    fn sources(specs: &[(&str, &str)]) -> Sources {
        let one = |(name, spec): &(&str, &str)| {
            let text = format!("{{apiVersion: spine/v1, kind: Source, metadata: {{name: {name}}}, spec: {spec}}}");
            match parse("source", &text).unwrap().remove(0) {
                Document::Source(definition) => Arc::new(definition.value),
                other => panic!("{other:?}"),
            }
        };
        specs.iter().map(one).collect()
    }

    fn check(source: &str, event_type: &str, expected: Option<&str>) {
        let sources = sources(&[
            ("everyone", "{source: '*', types: [com.public.*]}"),
            ("shop", "{source: /shop/*, types: [com.shop.*]}"),
            ("till", "{source: /shop/till, types: [com.till.opened]}"),
            ("tills", "{source: /shop/till*, types: []}"),
            ("partner", "{source: https://partner.example}"),
        ]);
        let verdict =
            sources.check(&Event::new(event_type, source, "1"), NOW).map_err(|rejection| rejection.to_string());
        let expected =
            expected.map(|name| format!("unauthorized: Source {name} lets {source:?} not send type {event_type:?}"));
        assert_eq!(verdict.err(), expected);
    }

    #[test]
    fn the_closest_document_rules() {
        check("/shop/web", "com.shop.order", None);
        check("/shop/web", "com.public.x", Some("shop"));
        check("/shop/till", "com.till.opened", None);
        check("/shop/till", "com.shop.order", Some("till"));
        check("/shop/till2", "com.shop.order", Some("tills"));
        check("https://partner.example", "any.thing", None);
        check("/elsewhere", "com.public.x", None);
        check("/elsewhere", "com.publicity", Some("everyone"));
    }

    fn check_signed(signature: &str, sign: Option<(&PrivateKey, &str)>, expected: &str) {
        let (old, new) = (key(1).public_key(), key(2).public_key());
        let spec = format!(
            "{{source: /till, signature: {signature}, keys: [{{id: old, publicKey: {old}, notAfter: \
             '2026-11-24T11:59:59Z'}}, {{id: new, publicKey: {new}}}, {{id: also, publicKey: {old}}}]}}"
        );
        let mut event = Event::new("a", "/till", "1");
        if let Some((key, id)) = sign {
            key.sign(&mut event, id);
        }
        let verdict = sources(&[("till", &spec)]).check(&event, NOW);
        assert_eq!(verdict.err().map_or(String::new(), |rejection| rejection.to_string()), expected);
    }

    fn key(seed: u8) -> PrivateKey {
        PrivateKey::from_seed(&[seed; 32]).unwrap()
    }

    #[test]
    fn signatures_of_any_key_that_is_good_count_and_others_are_refused_by_name() {
        let bad = |problem: &str| format!("bad_signature: Source till refuses the signature: {problem}");
        let changed = "it is not what key \"new\" signed: the event was changed, or signed with another key";
        check_signed("required", Some((&key(2), "new")), "");
        check_signed("required", Some((&key(1), "also")), "");
        check_signed("required", None, &bad("there is no `spinesignature`"));
        check_signed("required", Some((&key(1), "new")), &bad(changed));
        check_signed("required", Some((&key(2), "none")), &bad("key \"none\" is not known"));
        let late = "key \"old\" was good until 2026-11-24T11:59:59Z, and the event came later";
        check_signed("required", Some((&key(1), "old")), &bad(late));
        check_signed("optional", None, "");
        check_signed("optional", Some((&key(2), "new")), "");
        check_signed("optional", Some((&key(1), "new")), &bad(changed));
    }

    #[test]
    fn who_is_not_named_may_send_anything() {
        let sources = sources(&[("shop", "{source: /shop, types: []}")]);
        assert!(sources.check(&Event::new("a", "/elsewhere", "1"), NOW).is_ok());
        assert!(sources.check(&Event::new("a", "/shop", "1"), NOW).is_err());
        assert!(Sources::default().check(&Event::new("a", "/shop", "1"), NOW).is_ok());
    }
}
