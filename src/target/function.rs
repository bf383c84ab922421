//! A function of a BPF program, as its BTF declares it.

use libbpf_rs::btf::types::{Func, FuncProto, Linkage, Ptr};
use libbpf_rs::btf::{Btf, BtfKind, BtfType, TypeId};

/// A function of a BPF program.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Function {
    /// Name, whole.
    pub name: String,
    /// Its BTF type in the program's BTF.
    pub type_id: u32,
    /// Which of its parameters is the packet's context, counted from 0.
    pub context: Option<u8>,
    /// The context is declared by its type, not as `void *`.
    pub typed: bool,
    /// How many parameters it has.
    pub parameters: u8,
    /// It returns an integer.
    pub returns: bool,
    /// It is static, and so has no fixed way of being called: clang may have dropped parameters that it doesn't use, and
    /// moved others into their registers, though BTF still lists them all.
    pub is_static: bool,
}

/// BPF functions take at most five.
const MAX_PARAMETERS: usize = 5;

impl Function {
    /// Reads function `type_id`; None where that is no function.
    pub fn read(btf: &Btf<'_>, type_id: u32) -> Option<Self> {
        let function: Func<'_> = btf.type_by_id(TypeId::from(type_id))?;
        let prototype = FuncProto::try_from(function.next_type()?).ok()?;
        let context = prototype.iter().take(MAX_PARAMETERS).position(|parameter| is_context(btf, parameter.ty));
        let returned = prototype.next_type().map(|returned| returned.skip_mods_and_typedefs().kind());
        Some(Self {
            name: function.name()?.to_string_lossy().into_owned(),
            type_id,
            context: context.map(|position| position as u8),
            typed: context.is_some(),
            parameters: prototype.len() as u8,
            returns: matches!(returned, Some(BtfKind::Int | BtfKind::Enum)),
            is_static: function.linkage() == Linkage::Static,
        })
    }

    /// As the entry function of an XDP program, whose first parameter is the context however it is declared.
    ///
    /// Unless that is just `struct xdp_md *`, the verifier goes by no declaration (`unreliable` in `bpf_func_info_aux`):
    /// then it has fentry and fexit see five numbers and, behind them, the return value (bpf_check_attach_target).
    pub fn as_entry(&self) -> Self {
        let typed = self.context == Some(0) && self.parameters == 1;
        let parameters = if typed { 1 } else { MAX_PARAMETERS as u8 };
        Self { context: Some(0), typed, parameters, ..self.clone() }
    }
}

/// Whether a parameter of this type is the context: a pointer to struct xdp_md, in the program's own words.
fn is_context(btf: &Btf<'_>, type_id: TypeId) -> bool {
    let pointed_to = || {
        let parameter: BtfType<'_> = btf.type_by_id(type_id)?;
        let pointer = Ptr::try_from(parameter.skip_mods_and_typedefs()).ok()?;
        let target = pointer.next_type()?.skip_mods_and_typedefs();
        target.name().map(|name| name == "xdp_md")
    };
    pointed_to() == Some(true)
}
