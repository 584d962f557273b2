//! What this processor can do.

macro_rules! has {
    ($($feature:tt),*) => {{
        #[cfg(target_arch = "x86_64")]
        let has = $(std::arch::is_x86_feature_detected!($feature))&&*;
        #[cfg(not(target_arch = "x86_64"))]
        let has = false;
        has
    }};
}

/// Whether it has registers of 512 bits.
pub fn has_avx512() -> bool {
    has!("avx512f")
}

/// Whether it multiplies and adds several values in one instruction. Otherwise the compiler calls a function
/// for each product.
pub fn has_fused_multiply_add() -> bool {
    has!("avx2", "fma") || cfg!(target_arch = "aarch64")
}

/// Whether it multiplies pairs of bfloat16 values and adds them to float32 in one instruction. Otherwise such
/// products are faster as float32.
pub fn has_bfloat16_products() -> bool {
    has!("avx512f", "avx512bf16")
}
