//! What `check` makes of what it sees.

#![allow(clippy::unwrap_used)]
use caps::Capability;

use super::*;
use crate::failure::{self, Status};

/// Root on a sound kernel.
fn sound() -> State {
    use Capability::{CAP_BPF, CAP_NET_ADMIN, CAP_NET_RAW, CAP_PERFMON, CAP_SYS_ADMIN};
    State {
        kernel: Kernel::parse("6.12.117+deb12-amd64", "#1 SMP Debian 6.12.117-1~deb12u1", None),
        btf: true,
        jit: Some(true),
        lockdown: Lockdown::None,
        perf_event_paranoid: Some(2),
        splits_sys_admin: Some(true),
        capabilities: Some([CAP_NET_ADMIN, CAP_NET_RAW, CAP_SYS_ADMIN, CAP_PERFMON, CAP_BPF].into()),
        initial_user_namespace: Some(true),
        privileged_bpf: Some(false),
        landlock: true,
        seccomp: true,
    }
}

fn answer(findings: &[Finding], what: &str) -> Answer {
    findings.iter().find(|finding| finding.what == what).unwrap().answer
}

fn stopped_by(findings: &[Finding]) -> Vec<&str> {
    findings.iter().filter(|finding| finding.stops_tracing()).map(|finding| finding.what.as_str()).collect()
}

#[test]
fn all_is_yes_for_root_on_a_sound_kernel() {
    let findings = judge(&sound(), Some(Ok(())));
    assert!(findings.iter().all(|finding| finding.answer == Answer::Yes), "{findings:?}");
    assert!(verdict(&findings).is_ok());
}

#[test]
fn refused_trampolines_stop_tracing_with_the_kernels_reason() {
    let findings = judge(&sound(), Some(Err("this kernel refuses them: take another".to_owned())));
    let error = verdict(&findings).unwrap_err();
    assert_eq!(failure::status(&error), Status::Unable);
    assert_eq!(error.to_string(), "tracing will not work: trampolines: this kernel refuses them: take another");
}

#[test]
fn nobody_is_told_every_capability_and_that_trampolines_were_not_tried() {
    let state = State { capabilities: Some([].into()), ..sound() };
    assert!(!may_load(&state));
    let findings = judge(&state, None);
    assert_eq!(stopped_by(&findings), ["CAP_SYS_ADMIN", "CAP_BPF", "CAP_PERFMON"]);
    assert_eq!(answer(&findings, "trampolines"), Answer::Unknown);
    assert_eq!(answer(&findings, "perf_event_paranoid"), Answer::No);
    let error = verdict(&findings).unwrap_err().to_string();
    assert!(error.ends_with("run xdptrace with sudo (also no: CAP_BPF, CAP_PERFMON)"), "{error}");
}

#[test]
fn no_net_admin_is_a_no_that_doesnt_stop_tracing() {
    let findings = judge(&State { capabilities: Some([Capability::CAP_SYS_ADMIN].into()), ..sound() }, Some(Ok(())));
    assert_eq!(answer(&findings, "CAP_NET_ADMIN"), Answer::No);
    assert_eq!(answer(&findings, "CAP_NET_RAW"), Answer::No);
    assert_eq!(answer(&findings, "CAP_BPF"), Answer::Yes);
    assert!(verdict(&findings).is_ok());
}

#[test]
fn before_5_8_sys_admin_is_what_counts() {
    let old = State { splits_sys_admin: Some(false), ..sound() };
    assert!(verdict(&judge(&old, Some(Ok(())))).is_ok());
    let nobody = State { capabilities: Some([].into()), ..old };
    assert_eq!(stopped_by(&judge(&nobody, None)), ["CAP_SYS_ADMIN", "CAP_BPF", "CAP_PERFMON"]);
}

#[test]
fn a_user_namespaces_root_stops_tracing_untried() {
    let state = State { initial_user_namespace: Some(false), ..sound() };
    assert!(!may_load(&state));
    let findings = judge(&state, None);
    assert_eq!(stopped_by(&findings), ["user namespace", "CAP_SYS_ADMIN", "CAP_BPF", "CAP_PERFMON"]);
    assert!(!findings.iter().any(|finding| finding.words.contains("sudo")), "{findings:?}");
}

#[test]
fn what_cannot_be_seen_is_unknown_and_stops_nothing() {
    let state = State {
        jit: None,
        lockdown: Lockdown::Unknown,
        perf_event_paranoid: None,
        splits_sys_admin: None,
        capabilities: None,
        initial_user_namespace: None,
        ..sound()
    };
    let findings = judge(&state, None);
    assert_eq!(stopped_by(&findings), Vec::<&str>::new());
    for what in ["JIT", "lockdown", "CAP_SYS_ADMIN", "CAP_BPF", "CAP_NET_ADMIN", "user namespace", "trampolines"] {
        assert_eq!(answer(&findings, what), Answer::Unknown, "{what}");
    }
}

#[test]
fn every_hazard_of_the_kernel_is_a_note() {
    let old = State { kernel: Kernel::parse("5.10.0-46-amd64", "#1 SMP Debian 5.10.262-1", None), ..sound() };
    let findings = judge(&old, Some(Ok(())));
    assert_eq!(answer(&findings, "hazard subprogram-tail-call"), Answer::Note);
    assert!(!findings.iter().any(|finding| finding.what == "hazard second-probe"));
    assert!(verdict(&findings).is_ok());
}

#[test]
fn every_no_is_one_line_with_a_remedy() {
    let worst = State {
        btf: false,
        jit: Some(false),
        lockdown: Lockdown::Confidentiality,
        capabilities: Some([].into()),
        initial_user_namespace: Some(false),
        ..sound()
    };
    for Finding { answer, words, what, .. } in judge(&worst, None) {
        let remedy = ["run ", "sysctl ", "boot "].iter().any(|verb| words.contains(&format!(": {verb}")));
        assert!(answer != Answer::No || remedy, "{what}: {words}");
        assert!(!words.contains('\n'), "{what}");
    }
}

#[test]
fn text_is_a_line_each_and_json_one_object() {
    let findings = [
        Finding::needed("BTF", Answer::Yes, "there"),
        Finding::needed("JIT", Answer::No, "off: \"on\""),
        Finding::by_the_way("hazard x", Answer::Note, "beware").with([("bytes", 4096)]),
    ];
    let rendered = |json| {
        let mut out = Vec::new();
        print(&findings, json, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    };
    assert_eq!(rendered(false), "BTF: yes: there\nJIT: no: off: \"on\"\nhazard x: note: beware\n");
    assert_eq!(
        rendered(true),
        concat!(
            r#"{"schema_version":1,"findings":[{"what":"BTF","answer":"yes","words":"there"},"#,
            r#"{"what":"JIT","answer":"no","words":"off: \"on\""},"#,
            r#"{"what":"hazard x","answer":"note","words":"beware","numbers":{"bytes":4096}}],"works":false}"#,
            "\n"
        )
    );
}
