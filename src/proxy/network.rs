//! Networks as they are written: an address, or an address and the length of its prefix (RFC 4632 §3.1).

use core::fmt;
use core::net::{IpAddr, Ipv6Addr};
use core::str::FromStr;

/// Addresses with a common prefix: `192.0.2.1`, `10.0.0.0/8`, `2001:db8::/32`.
///
/// ```
/// use yamabiko::proxy::{InvalidNetwork, Network};
///
/// let network: Network = "10.0.0.0/8".parse()?;
/// assert!(network.contains("10.255.0.1".parse().unwrap()));
/// assert!(network.contains("::ffff:10.0.0.1".parse().unwrap())); // the same address in IPv6
/// assert!("10.0.0.1/8".parse::<Network>().is_err());
/// # Ok::<(), InvalidNetwork>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// All bits behind the prefix are 0.
    address: IpAddr,
    prefix_bits: u8,
}

/// Why a text is no [`Network`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidNetwork {
    /// It does not begin with an address.
    Address,
    /// The length of the prefix is not a number from 0 to 32, or to 128 for IPv6.
    Prefix,
    /// The address has bits behind the prefix.
    BitsBehindPrefix,
}

impl Network {
    /// Whether the address is in this network. An IPv4 address that is mapped to IPv6 is the IPv4 address.
    pub fn contains(&self, address: IpAddr) -> bool {
        let behind = bits(self.address) - u32::from(self.prefix_bits);
        let address = address.to_canonical();
        let is_same_family = address.is_ipv4() == self.address.is_ipv4();
        is_same_family && prefix(address, behind) == prefix(self.address, behind)
    }
}

impl FromStr for Network {
    type Err = InvalidNetwork;

    fn from_str(text: &str) -> Result<Network, InvalidNetwork> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| InvalidNetwork::Address)?;
        let is_number = |text: &&str| text.bytes().all(|byte| byte.is_ascii_digit());
        let bits = bits(address);
        let length = match length {
            None => bits,
            Some(length) => Some(length)
                .filter(is_number)
                .and_then(|length| length.parse().ok())
                .filter(|length| *length <= bits)
                .ok_or(InvalidNetwork::Prefix)?,
        };
        let behind = bits - length;
        if behind > 0 && prefix(address, behind).checked_shl(behind).unwrap_or(0) != number(address)
        {
            return Err(InvalidNetwork::BitsBehindPrefix);
        }
        let is_mapped = address != address.to_canonical();
        let address = address.to_canonical();
        let length = match is_mapped {
            // 96 bits say that it is an IPv4 address.
            true => length.checked_sub(96).ok_or(InvalidNetwork::Prefix)?,
            false => length,
        };
        Ok(Network {
            address,
            // ≤ 128
            prefix_bits: u8::try_from(length).map_err(|_| InvalidNetwork::Prefix)?,
        })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match u32::from(self.prefix_bits) == bits(self.address) {
            true => self.address.fmt(f),
            false => write!(f, "{}/{}", self.address, self.prefix_bits),
        }
    }
}

impl fmt::Display for InvalidNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            InvalidNetwork::Address => "expected an address or a network such as 10.0.0.0/8",
            InvalidNetwork::Prefix => "expected a prefix of up to 32 bits, or 128 for IPv6",
            InvalidNetwork::BitsBehindPrefix => "the address has bits behind its prefix",
        })
    }
}

impl core::error::Error for InvalidNetwork {}

fn bits(address: IpAddr) -> u32 {
    match address {
        IpAddr::V4(_) => u32::BITS,
        IpAddr::V6(_) => Ipv6Addr::BITS,
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_bits().into(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// The address without so many of its last bits.
fn prefix(address: IpAddr, behind: u32) -> u128 {
    number(address).checked_shr(behind).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_contains_the_addresses_with_its_prefix() {
        for (network, inside, outside) in [
            ("10.0.0.0/8", "10.255.255.255", "11.0.0.0"),
            ("10.0.0.0/8", "::ffff:10.0.0.1", "::10.0.0.1"),
            ("192.0.2.1", "192.0.2.1", "192.0.2.0"),
            ("192.0.2.0/31", "192.0.2.1", "192.0.2.2"),
            ("0.0.0.0/0", "255.0.0.1", "::1"),
            ("::/0", "2001:db8::1", "192.0.2.1"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"),
            ("::1", "::1", "::2"),
            ("::ffff:10.0.0.0/104", "10.1.2.3", "11.0.0.0"),
        ] {
            let network: Network = network.parse().expect(network);
            assert!(
                network.contains(inside.parse().unwrap()),
                "{network} {inside}"
            );
            assert!(
                !network.contains(outside.parse().unwrap()),
                "{network} {outside}"
            );
        }
    }

    #[test]
    fn text_that_is_no_network_is_an_error() {
        for (text, error) in [
            ("", InvalidNetwork::Address),
            ("localhost", InvalidNetwork::Address),
            ("10.0.0.0/", InvalidNetwork::Prefix),
            ("10.0.0.0/33", InvalidNetwork::Prefix),
            ("10.0.0.0/+8", InvalidNetwork::Prefix),
            ("10.0.0.0/8/8", InvalidNetwork::Prefix),
            ("::/129", InvalidNetwork::Prefix),
            ("::/99999999999", InvalidNetwork::Prefix),
            ("10.0.0.1/8", InvalidNetwork::BitsBehindPrefix),
            ("10.0.0.0/0", InvalidNetwork::BitsBehindPrefix),
            ("2001:db8::1/64", InvalidNetwork::BitsBehindPrefix),
            ("10.0.0.0:80", InvalidNetwork::Address),
            ("[::1]", InvalidNetwork::Address),
        ] {
            assert_eq!(text.parse::<Network>(), Err(error), "{text}");
        }
    }

    #[test]
    fn network_is_written_as_it_is_read() {
        for text in [
            "10.0.0.0/8",
            "192.0.2.1",
            "::1",
            "2001:db8::/32",
            "0.0.0.0/0",
        ] {
            let network: Network = text.parse().expect(text);
            assert_eq!(alloc::format!("{network}"), text);
        }
    }
}
