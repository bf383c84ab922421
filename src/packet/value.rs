//! A field's value in words.

use std::net::IpAddr;

use super::fields::Value;
use super::put::Put;

/// Appends a value: numbers in decimal, addresses as tcpdump has them, bytes in hexadecimal.
pub fn write_value(out: &mut Vec<u8>, value: &Value<'_>) {
    match value {
        Value::Number(number) => out.extend(itoa::Buffer::new().format(*number).as_bytes()),
        Value::Bool(is_so) => out.push(if *is_so { b'1' } else { b'0' }),
        Value::Text(text) => out.extend(text.as_bytes()),
        Value::Mac(address) => _ = out.mac(address),
        Value::Ip(IpAddr::V4(address)) => _ = out.ipv4(address.octets()),
        Value::Ip(IpAddr::V6(address)) => _ = out.ipv6(address.octets()),
        Value::Bytes(bytes) => _ = out.hex_bytes(bytes),
    }
}
