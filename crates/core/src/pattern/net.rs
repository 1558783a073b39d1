//! Networks of IP addresses.

use std::fmt;
use std::net::IpAddr;

/// An address with its family, as a number of 32 or 128 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Address {
    v6: bool,
    bits: u128,
}

impl Address {
    /// The address that `text` is, and nothing else.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        Some(match text.parse().ok()? {
            IpAddr::V4(v4) => Self { v6: false, bits: u128::from(v4.to_bits()) },
            IpAddr::V6(v6) => Self { v6: true, bits: v6.to_bits() },
        })
    }

    /// How many bits an address of this family has.
    pub(crate) fn width(self) -> u32 {
        if self.v6 { 128 } else { 32 }
    }

    /// The first `length` bits; the others are 0.
    pub(crate) fn network(self, length: u32) -> Self {
        let dropped = self.width() - length.min(self.width());
        let bits = if dropped == 128 { 0 } else { self.bits >> dropped << dropped };
        Self { bits, ..self }
    }
}

/// All addresses with the same first bits.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Net {
    pub(crate) first: Address,
    pub(crate) length: u32,
    written: String,
}

impl Net {
    /// A network in CIDR notation; bits behind the length are ignored.
    pub(crate) fn parse(written: &str) -> Result<Self, String> {
        const WANTED: &str = "`cidr` takes a network such as 10.0.0.0/8 or 2001:db8::/32";
        let Some((address, length)) = written.split_once('/') else {
            return Err(match Address::parse(written) {
                Some(address) => format!("{WANTED}; for one address write {written}/{}", address.width()),
                None => format!("{WANTED}, not {written:?}"),
            });
        };
        let address = Address::parse(address).ok_or_else(|| format!("{WANTED}; {address:?} is no IP address"))?;
        let digits = length.bytes().all(|byte| byte.is_ascii_digit());
        match length.parse() {
            Ok(length) if digits && length <= address.width() => {
                Ok(Self { first: address.network(length), length, written: written.to_owned() })
            }
            _ => Err(format!("{WANTED}; the length is 0 to {}, not {length:?}", address.width())),
        }
    }

    pub(crate) fn contains(&self, address: Address) -> bool {
        address.network(self.length) == self.first
    }
}

impl fmt::Display for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(net: &str, address: &str, expected: bool) {
        let address = Address::parse(address).unwrap();
        assert_eq!(Net::parse(net).unwrap().contains(address), expected, "{net} {address:?}");
    }

    #[test]
    fn addresses_in_networks() {
        check("10.0.0.0/8", "10.255.0.1", true);
        check("10.0.0.0/8", "11.0.0.1", false);
        check("10.1.2.3/8", "10.9.9.9", true);
        check("0.0.0.0/0", "1.2.3.4", true);
        check("1.2.3.4/32", "1.2.3.4", true);
        check("1.2.3.4/32", "1.2.3.5", false);
        check("2001:db8::/32", "2001:db8:ffff::1", true);
        check("2001:db8::/32", "2001:db9::1", false);
        check("::/0", "::1", true);
        check("::1/128", "::1", true);
        check("::/0", "10.0.0.1", false);
        check("0.0.0.0/0", "::", false);
        check("::ffff:0:0/96", "::ffff:10.0.0.1", true);
        check("10.0.0.0/8", "::ffff:10.0.0.1", false);
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for (net, part) in [
            ("10.0.0.1", "write 10.0.0.1/32"),
            ("::1", "write ::1/128"),
            ("somewhere", "not \"somewhere\""),
            ("10.0.0.0/33", "0 to 32"),
            ("::/129", "0 to 128"),
            ("10.0.0.0/+8", "0 to 32"),
            ("10.0.0.0/", "0 to 32"),
            ("10.0.0/8", "no IP address"),
            ("010.0.0.0/8", "no IP address"),
        ] {
            let message = Net::parse(net).unwrap_err();
            assert!(message.contains(part), "{net}: {message}");
        }
    }
}
