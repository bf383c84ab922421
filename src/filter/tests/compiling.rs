//! What is refused, and in which words.

use super::LAYOUT;
use crate::failure::{Status, status};
use crate::filter::{Classic, compile, translate};

fn refusal(error: anyhow::Error) -> String {
    assert_eq!(status(&error), Status::Usage);
    let text = error.to_string();
    assert!(!text.contains('\n'), "{text}");
    text
}

fn compile_refusal(expression: &str) -> String {
    refusal(compile(expression).unwrap_err())
}

fn translate_refusal(program: &[Classic]) -> String {
    refusal(translate(program, &LAYOUT).unwrap_err())
}

fn plain(code: u16, k: u32) -> Classic {
    Classic { code, jt: 0, jf: 0, k }
}

#[test]
fn wrong_expression_is_refused_in_libpcaps_words() {
    assert_eq!(
        compile_refusal("udp prot 9"),
        "failed to compile the filter 'udp prot 9': can't parse filter expression: syntax error"
    );
    assert!(compile_refusal("port 70000").contains("70000"));
    assert!(compile_refusal("ip broadcast").contains("netmask not known"));
    assert!(compile_refusal("ip and arp").ends_with("expression rejects all packets"));
}

#[test]
fn what_cannot_be_text_for_libpcap_is_refused() {
    assert!(compile_refusal("ip\0 or arp").ends_with("it has a NUL in it"));
    assert!(compile_refusal("ip\n\u{1b}[31m or").starts_with("failed to compile the filter 'ip  [31m or': "));
    let long = "ip or ".repeat(11_000);
    let text = compile_refusal(&long);
    assert!(text.ends_with("it has 66000 bytes, and at most 65536 are compiled"), "{text}");
    assert!(text.len() < 400);
    let ports: Vec<String> = (1..=1000).map(|port| port.to_string()).collect();
    let text = compile_refusal(&format!("dst port ({})", ports.join(" or ")));
    assert!(text.contains("it is too long: "), "{text}");
}

#[test]
fn direction_is_refused() {
    for expression in ["inbound", "outbound", "udp and inbound"] {
        assert!(compile_refusal(expression).contains("such as its direction"), "{expression}");
    }
}

#[test]
fn loop_is_refused_with_its_reason() {
    for expression in ["ip protochain 6", "ip6 protochain 6"] {
        let program = compile(expression).unwrap();
        let text = translate_refusal(program.instructions());
        assert!(text.starts_with("the filter can't run in the kernel: `protochain` needs a loop"), "{text}");
    }
}

#[test]
fn unknown_and_broken_instructions_are_refused() {
    assert!(translate_refusal(&[]).ends_with("its cBPF is empty"));
    assert!(translate_refusal(&[plain(0x00, 1)]).ends_with("it jumps out of its own cBPF"));
    assert!(translate_refusal(&[plain(0x05, 1), plain(0x06, 0)]).ends_with("it jumps out of its own cBPF"));
    assert!(translate_refusal(&[plain(0x18, 1), plain(0x06, 0)]).ends_with("(code 0x18, 0x1)"));
    assert!(translate_refusal(&[plain(0x02, 16), plain(0x06, 0)]).contains("unknown here"));
    assert!(translate_refusal(&[plain(0x106, 0)]).contains("unknown here"));
}
