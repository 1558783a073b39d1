//! How often each client may ask: a token bucket for each.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The most clients that are told apart: at some 100 bytes each, 1 MB. Those that have been quiet make room; where
/// none has, newcomers share one bucket.
const MAX_BUCKETS: usize = 10_000;

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Asker {
    /// A client that has said who it is.
    Client(String),
    /// A webhook, well signed.
    Hook(String),
    /// Somebody at this address; all of an IPv6 network of /64 are one.
    Address(IpAddr),
    /// Everybody else, when there are too many.
    Others,
}

impl Asker {
    /// Somebody who did not say who they are.
    pub(crate) fn at(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V6(address) => {
                let network = u128::from(address) & (u128::MAX << 64);
                Self::Address(IpAddr::V6(network.into()))
            }
            address @ IpAddr::V4(_) => Self::Address(address),
        }
    }
}

/// Everybody's buckets. Each holds two seconds' worth, and is full at first.
#[derive(Debug)]
pub(crate) struct Rate {
    per_second: f64,
    buckets: Mutex<HashMap<Asker, Bucket>>,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    left: f64,
    at: Instant,
}

impl Rate {
    pub(crate) fn new(per_second: usize) -> Self {
        Self { per_second: per_second as f64, buckets: Mutex::default() }
    }

    /// Takes one from `asker`'s bucket, or says how long it will be until there is one.
    pub(crate) fn take(&self, asker: Asker, now: Instant) -> Result<(), Duration> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= MAX_BUCKETS && !buckets.contains_key(&asker) {
            buckets.retain(|_, bucket| self.filled(*bucket, now).left < self.capacity());
        }
        let is_known = buckets.len() < MAX_BUCKETS || buckets.contains_key(&asker);
        let asker = if is_known { asker } else { Asker::Others };
        let bucket = buckets.entry(asker).or_insert(Bucket { left: self.capacity(), at: now });
        *bucket = self.filled(*bucket, now);
        if bucket.left < 1.0 {
            return Err(Duration::from_secs_f64((1.0 - bucket.left) / self.per_second));
        }
        bucket.left -= 1.0;
        Ok(())
    }

    fn capacity(&self) -> f64 {
        (self.per_second * 2.0).max(1.0)
    }

    fn filled(&self, bucket: Bucket, now: Instant) -> Bucket {
        let gained = now.saturating_duration_since(bucket.at).as_secs_f64() * self.per_second;
        Bucket { left: (bucket.left + gained).min(self.capacity()), at: now }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(name: impl ToString) -> Asker {
        Asker::Client(name.to_string())
    }

    #[test]
    fn a_bucket_is_emptied_and_fills_with_time() {
        let (rate, now) = (Rate::new(10), Instant::now());
        let take = |name: &str, millis| rate.take(client(name), now + Duration::from_millis(millis));
        (0..20).for_each(|_| assert_eq!(take("a", 0), Ok(())));
        assert_eq!(take("a", 0), Err(Duration::from_millis(100)));
        assert_eq!(take("b", 0), Ok(()));
        assert_eq!(take("a", 100), Ok(()));
        assert!(take("a", 100).is_err());
        (0..20).for_each(|_| assert_eq!(take("a", 60_000), Ok(())));
        assert!(take("a", 60_000).is_err());
    }

    #[test]
    fn there_are_never_more_buckets_than_fit() {
        let (rate, now) = (Rate::new(1), Instant::now());
        for name in 0..MAX_BUCKETS + 5 {
            assert_eq!(rate.take(client(name), now).is_ok(), name < MAX_BUCKETS + 2, "{name}");
        }
        assert_eq!(rate.buckets.lock().unwrap().len(), MAX_BUCKETS + 1);
        let later = now + Duration::from_secs(10);
        assert_eq!(rate.take(client("new"), later), Ok(()));
        assert_eq!(rate.buckets.lock().unwrap().len(), 1);
    }

    #[test]
    fn a_network_of_ipv6_is_one_asker() {
        let at = |text: &str| Asker::at(text.parse().unwrap());
        assert_eq!(at("2001:db8::1"), at("2001:db8::2"));
        assert_ne!(at("2001:db8::1"), at("2001:db8:0:1::1"));
        assert_eq!(at("::ffff:10.0.0.1"), at("10.0.0.1"));
        assert_ne!(at("10.0.0.1"), at("10.0.0.2"));
    }
}
