//! The tile unit (AMX): whether it is there, its configuration, and the one inner kernel that everything here uses.

/// Whether the processor has tiles with bf16 products, the system saves their state, and the process may use them. The process asks once,
/// before the first tile instruction of any thread; its later threads may, too.
pub(crate) fn has_tiles() -> bool {
    #[cfg(all(target_arch = "x86_64", target_os = "linux", not(miri)))]
    {
        static KNOWN: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
        *KNOWN.get_or_init(unit::ask)
    }
    #[cfg(not(all(target_arch = "x86_64", target_os = "linux", not(miri))))]
    false
}

/// Eight full tiles, configured for the thread that made this, and released when it is dropped. A task that holds them must not enter
/// the thread pool: another task on the same thread would configure and release in between. (Not `Send`: the configuration is a thread's.)
pub(super) struct Tiles(std::marker::PhantomData<*const ()>);

impl Tiles {
    pub(super) fn new() -> Self {
        #[cfg(all(target_arch = "x86_64", target_os = "linux", not(miri)))]
        if has_tiles() {
            // SAFETY: the unit is there.
            unsafe { unit::configure() };
        }
        Self(std::marker::PhantomData)
    }

    /// `C += Σ_s A_s B_s` for 32 rows by 32 columns (2×2 accumulator tiles), or `C = …` where `load` is false.
    ///
    /// - A tile is 16 rows of 32 bf16. B tile: 16 rows, pairs of `k`, each of 16 columns of 2 bf16. Rows may lie apart.
    /// - One operand lies anywhere: `anywhere` has the addresses of its two tiles, to which step `s` adds `steps[s]` bytes; rows are `stride`
    ///   bytes apart. The other is contiguous from `packed`: two tiles of 1,024 bytes for each step. The one that lies anywhere is A, or B
    ///   where `SWAP`.
    /// - `c`: 32 rows of 32 f32.
    ///
    /// # Safety
    /// All of that must be there, and `c` used by nobody else. `c` and `packed` are aligned to 64 bytes.
    #[inline(always)]
    pub(super) unsafe fn block<const SWAP: bool>(
        &self,
        steps: &[usize],
        anywhere: [*const u16; 2],
        stride: usize,
        packed: *const u16,
        c: *mut f32,
        load: bool,
    ) {
        #[cfg(all(target_arch = "x86_64", target_os = "linux", not(miri)))]
        if has_tiles() {
            // SAFETY: the caller's contract; the tiles are configured.
            return unsafe { unit::block::<SWAP>(steps, anywhere, stride, packed, c, load) };
        }
        // SAFETY: the caller's contract.
        unsafe { super::emulation::block(steps, anywhere, stride, packed, c, load, SWAP) };
    }
}

impl Drop for Tiles {
    fn drop(&mut self) {
        #[cfg(all(target_arch = "x86_64", target_os = "linux", not(miri)))]
        if has_tiles() {
            // SAFETY: the unit is there.
            unsafe { unit::release() };
        }
    }
}

#[cfg(all(target_arch = "x86_64", target_os = "linux", not(miri)))]
mod unit {
    use std::arch::asm;
    use std::arch::x86_64::{__cpuid, __cpuid_count};

    /// As in <asm/prctl.h> and the manual.
    const SYS_ARCH_PRCTL: i64 = 158;
    const ARCH_REQ_XCOMP_PERM: i64 = 0x1023;
    const XTILEDATA: i64 = 18;

    unsafe extern "C" {
        fn syscall(number: i64, ...) -> i64;
    }

    pub(super) fn ask() -> bool {
        if !super::super::wide() || __cpuid(0).eax < 7 || __cpuid(1).ecx & (1 << 27) == 0 {
            return false; // no AVX-512 for what is around the products, no leaf 7, or no XSAVE
        }
        let features = __cpuid_count(7, 0).edx;
        if features & (1 << 22) == 0 || features & (1 << 24) == 0 {
            return false; // AMX-BF16, AMX-TILE
        }
        let saved: u32;
        // SAFETY: the system uses XSAVE, so that the register can be read.
        unsafe { asm!("xgetbv", in("ecx") 0, out("eax") saved, out("edx") _, options(nomem, nostack)) };
        if saved & (3 << 17) != 3 << 17 {
            return false; // XTILECFG, XTILEDATA
        }
        // SAFETY: it asks for a permission and changes no memory. Older systems do not know it and refuse.
        unsafe { syscall(SYS_ARCH_PRCTL, ARCH_REQ_XCOMP_PERM, XTILEDATA) == 0 }
    }

    #[repr(C, align(64))]
    struct Config {
        palette: u8,
        start: u8,
        reserved: [u8; 14],
        bytes: [u16; 16],
        rows: [u8; 16],
    }

    /// Eight tiles of 16 rows of 64 bytes.
    static CONFIG: Config = Config {
        palette: 1,
        start: 0,
        reserved: [0; 14],
        bytes: [64, 64, 64, 64, 64, 64, 64, 64, 0, 0, 0, 0, 0, 0, 0, 0],
        rows: [16, 16, 16, 16, 16, 16, 16, 16, 0, 0, 0, 0, 0, 0, 0, 0],
    };

    /// # Safety
    /// The unit must be there.
    pub(super) unsafe fn configure() {
        // SAFETY: the caller's contract.
        unsafe { asm!("ldtilecfg [{c}]", c = in(reg) &CONFIG, options(nostack, readonly)) };
    }

    /// # Safety
    /// The unit must be there.
    pub(super) unsafe fn release() {
        // SAFETY: the caller's contract.
        unsafe { asm!("tilerelease", options(nostack, nomem)) };
    }

    /// The inner kernel: `$x0` and `$x1` take the tiles that lie anywhere, `$y0` and `$y1` the packed ones. All is one block, from the
    /// first load of an accumulator to its store: the compiler promises nothing about tiles between blocks.
    macro_rules! kernel {
        ($steps:expr, $anywhere:expr, $stride:expr, $packed:expr, $c:expr, $load:expr,
         $x0:literal, $x1:literal, $y0:literal, $y1:literal, $second_product:literal, $third_product:literal) => {
            asm!(
                "test {t:e}, {t:e}",
                "jnz 3f",
                "tilezero tmm0",
                "tilezero tmm1",
                "tilezero tmm2",
                "tilezero tmm3",
                "jmp 6f",
                "3:",
                "tileloadd tmm0, [{c} + {cs}*1]",
                "tileloadd tmm1, [{c} + {cs}*1 + 64]",
                "tileloadd tmm2, [{c} + {cs}*1 + 2048]",
                "tileloadd tmm3, [{c} + {cs}*1 + 2112]",
                "jmp 6f",
                "5:",
                "mov {t}, qword ptr [{steps}]",
                "lea {u}, [{t} + {second}]",
                "add {t}, {first}",
                concat!("tileloadd ", $y0, ", [{b} + {bs}*1]"),
                concat!("tileloadd ", $x0, ", [{t} + {s}*1]"),
                concat!("tileloadd ", $y1, ", [{b} + {bs}*1 + 1024]"),
                "tdpbf16ps tmm0, tmm4, tmm6",
                concat!("tileloadd ", $x1, ", [{u} + {s}*1]"),
                $second_product,
                $third_product,
                "tdpbf16ps tmm3, tmm5, tmm7",
                "add {b}, 2048",
                "add {steps}, 8",
                "6:",
                "cmp {steps}, {end}",
                "jne 5b",
                "tilestored [{c} + {cs}*1], tmm0",
                "tilestored [{c} + {cs}*1 + 64], tmm1",
                "tilestored [{c} + {cs}*1 + 2048], tmm2",
                "tilestored [{c} + {cs}*1 + 2112], tmm3",
                t = inout(reg) usize::from($load) => _,
                u = out(reg) _,
                c = in(reg) $c,
                cs = in(reg) 128usize,
                bs = in(reg) 64usize,
                s = in(reg) $stride,
                first = in(reg) $anywhere[0],
                second = in(reg) $anywhere[1],
                b = inout(reg) $packed => _,
                steps = inout(reg) $steps.as_ptr_range().start => _,
                end = in(reg) $steps.as_ptr_range().end,
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                options(nostack)
            )
        };
    }

    /// [`Tiles::block`](super::Tiles::block).
    ///
    /// # Safety
    /// That of the method, and the tiles must be configured.
    #[inline(always)]
    pub(super) unsafe fn block<const SWAP: bool>(
        steps: &[usize],
        anywhere: [*const u16; 2],
        stride: usize,
        packed: *const u16,
        c: *mut f32,
        load: bool,
    ) {
        // SAFETY: the caller's contract.
        unsafe {
            if SWAP {
                kernel!(
                    steps,
                    anywhere,
                    stride,
                    packed,
                    c,
                    load,
                    "tmm6",
                    "tmm7",
                    "tmm4",
                    "tmm5",
                    "tdpbf16ps tmm2, tmm5, tmm6",
                    "tdpbf16ps tmm1, tmm4, tmm7"
                );
            } else {
                kernel!(
                    steps,
                    anywhere,
                    stride,
                    packed,
                    c,
                    load,
                    "tmm4",
                    "tmm5",
                    "tmm6",
                    "tmm7",
                    "tdpbf16ps tmm1, tmm4, tmm7",
                    "tdpbf16ps tmm2, tmm5, tmm6"
                );
            }
        }
    }
}
