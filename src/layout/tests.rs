//! The file has the kernel's places, and what is no BTF is refused.

#![allow(clippy::unwrap_used)]
use libbpf_rs::btf::types::{Composite, MemberAttr};
use libbpf_rs::btf::{Btf, BtfKind, BtfType, HasSize, TypeId};

use super::*;

/// What is written by hand here is what the BPF side reads, or is about to.
const MEMBERS: [(&str, &str); 19] = [
    ("xdp_buff", "data"),
    ("xdp_buff", "data_end"),
    ("xdp_buff", "data_meta"),
    ("xdp_buff", "data_hard_start"),
    ("xdp_buff", "rxq"),
    ("xdp_buff", "txq"),
    ("xdp_buff", "frame_sz"),
    ("xdp_buff", "flags"), // since 5.18
    ("xdp_rxq_info", "dev"),
    ("xdp_rxq_info", "queue_index"),
    ("xdp_txq_info", "dev"),
    ("net_device", "ifindex"),
    ("net_device", "nd_net"),
    ("net", "ns"),
    ("ns_common", "inum"),
    ("skb_shared_info", "frags"),
    ("skb_shared_info", "xdp_frags_size"), // since 5.18, later in a union
    ("sk_buff", "len"),                    // in a struct group
    ("sk_buff", "ip_summed"),              // a bit field
];

/// Those that older kernels don't have.
const MAY_BE_MISSING: [&str; 2] = ["flags", "xdp_frags_size"];

/// None, and a word on stdout, where this is no kernel with BTF.
fn kernel() -> Option<(Vec<u8>, Btf<'static>)> {
    let Ok(bytes) = fs::read(kernel::BTF) else {
        println!("not compared: {}", kernel::NO_BTF);
        return None;
    };
    Some((bytes, Btf::from_path(kernel::BTF).unwrap()))
}

fn names(names: impl IntoIterator<Item = &'static str>) -> HashSet<Vec<u8>> {
    names.into_iter().map(|name| name.as_bytes().to_vec()).collect()
}

fn parse(btf: &[u8]) -> Btf<'static> {
    let file = keep(btf).unwrap();
    Btf::from_path(format!("/proc/self/fd/{}", file.as_raw_fd())).unwrap()
}

fn composite<'btf>(btf: &'btf Btf<'_>, name: &str) -> Option<Composite<'btf>> {
    (1..btf.len())
        .filter_map(|id| Composite::try_from(btf.type_by_id::<BtfType<'_>>(TypeId::from(id as u32))?).ok())
        .find(|one| one.name().is_some_and(|found| found == name))
}

/// Offset in bits, kind and size in bytes of a member, as libbpf finds it: also in what has no name.
fn place(btf: &Btf<'_>, of: &Composite<'_>, name: &str) -> Option<(u32, BtfKind, Option<usize>)> {
    of.iter().find_map(|member| {
        let (MemberAttr::Normal { offset } | MemberAttr::BitField { offset, .. }) = member.attr;
        let ty = btf.type_by_id::<BtfType<'_>>(member.ty)?.skip_mods_and_typedefs();
        if member.name.is_some_and(|found| found == name) {
            return Some((offset, ty.kind(), Composite::try_from(ty).ok().map(|ty| ty.size())));
        }
        let inner = member.name.is_none().then(|| Composite::try_from(ty).ok())??;
        place(btf, &inner, name).map(|(inside, kind, size)| (offset + inside, kind, size))
    })
}

#[test]
fn members_are_where_the_kernel_has_them() {
    let Some((bytes, whole)) = kernel() else { return };
    let few = parse(&extract(&bytes, &names(MEMBERS.map(|(name, _)| name))).unwrap());
    for (name, member) in MEMBERS {
        let (here, there) = (composite(&few, name).unwrap(), composite(&whole, name).unwrap());
        assert_eq!(here.size(), there.size(), "{name}");
        let (found, expected) = (place(&few, &here, member), place(&whole, &there, member));
        assert_eq!(found, expected, "{name}.{member}");
        assert!(found.is_some() || MAY_BE_MISSING.contains(&member), "{name}.{member}");
    }
}

#[test]
fn what_the_object_names_is_in_the_file() {
    let Some((_, whole)) = kernel() else { return };
    let few = Btf::from_path(path().unwrap()).unwrap();
    let mut compared = Vec::new();
    for name in bpf::type_names().unwrap() {
        let name = String::from_utf8(name).unwrap();
        let (here, there) = (composite(&few, &name), composite(&whole, &name));
        assert_eq!(here.is_some(), there.is_some(), "{name}");
        let (Some(here), Some(there)) = (here, there) else { continue };
        let members = |btf, one: &Composite<'_>| {
            let names = one.iter().filter_map(|member| member.name);
            names.map(|name| place(btf, one, name.to_str()?)).collect::<Vec<_>>()
        };
        assert_eq!(members(&few, &here), members(&whole, &there), "{name}");
        compared.push(name);
    }
    for name in ["xdp_buff", "xdp_rxq_info", "net_device", "net", "ns_common"] {
        assert!(compared.iter().any(|compared| compared == name), "{name} is not among {compared:?}");
    }
}

#[test]
fn the_file_is_a_small_part() {
    let Some((bytes, whole)) = kernel() else { return };
    let few = extract(&bytes, &bpf::type_names().unwrap()).unwrap();
    assert!(few.len() * 20 < bytes.len() && parse(&few).len() * 20 < whole.len(), "{} bytes", few.len());
}

/// `int`, a struct `a` that holds one, a pointer to `a`, a struct `b` that holds the pointer.
fn small_btf() -> Vec<u8> {
    let strings = b"\0int\0a\0b\0x\0";
    let types: [u32; 25] = [
        1,
        1 << 24,
        4,
        32, // 1: INT
        5,
        4 << 24 | 1,
        4,
        9,
        1,
        0, // 2: struct a { int x; }
        0,
        2 << 24,
        2, // 3: struct a *
        7,
        4 << 24 | 2,
        16,
        9,
        3,
        0,
        0,
        2,
        64, // 4: struct b { struct a *x; struct a; }
        0,
        2 << 24,
        4, // 5: struct b *
    ];
    let header = [24, 0, 100, 100, strings.len() as u32];
    let words = header.into_iter().chain(types).flat_map(u32::to_ne_bytes);
    MAGIC.to_ne_bytes().into_iter().chain([1, 0]).chain(words).chain(*strings).collect()
}

const MAGIC: u16 = 0xEB9F;

#[test]
fn a_type_comes_with_what_it_holds_and_without_what_it_points_to() {
    let few = parse(&extract(&small_btf(), &names(["a"])).unwrap());
    assert_eq!((few.len(), composite(&few, "b").is_some()), (3, false));
    let few = parse(&extract(&small_btf(), &names(["b"])).unwrap());
    let (a, b) = (composite(&few, "a").unwrap(), composite(&few, "b").unwrap());
    assert_eq!(place(&few, &a, "x").map(|(offset, kind, _)| (offset, kind)), Some((0, BtfKind::Int)));
    assert_eq!(place(&few, &b, "x").map(|(offset, kind, _)| (offset, kind)), Some((0, BtfKind::Ptr)));
    assert_eq!(few.len(), 5);
}

#[test]
fn a_member_is_found_in_what_has_no_name() {
    let mut nested = small_btf();
    // Member x of struct b is called a, and only the struct that b holds has an x.
    nested[24 + 16 * 4] = 5;
    let btf = parse(&nested);
    let b = composite(&btf, "b").unwrap();
    assert!(has_member(&btf, &b, "a") && has_member(&btf, &b, "x") && !has_member(&btf, &b, "int"));
}

#[test]
fn what_is_no_btf_or_has_an_unknown_kind_is_refused() {
    let good = small_btf();
    for length in 0..good.len() {
        assert!(extract(&good[..length], &names(["a", "b"])).is_err(), "{length}");
    }
    let mut unknown = good.clone();
    unknown[24 + 4 + 3] = 20;
    let error = extract(&unknown, &names(["a"])).unwrap_err();
    assert_eq!(crate::failure::status(&error), crate::failure::Status::Unable);
}

#[test]
fn a_type_that_is_said_to_hold_itself_has_an_end() {
    let mut endless = small_btf();
    // Member x of struct a: of type 2.
    endless[24 + 16 + 16..][..4].copy_from_slice(&2u32.to_ne_bytes());
    assert!(extract(&endless, &names(["a"])).is_ok());
}
