//! The one computation of all convolutions: sums of products of one value with a row of neighbouring values,
//! for a few values at a time, all of whose sums stay in registers.
//!
//! Of 16 lanes, AVX-512 holds a sum in one register, AVX2 in two. With 12 or 6 items the sums fill most of the
//! registers, and the processor multiplies and adds without waiting: 95 % of its limit on both.

use crate::kernels::processor::{has_avx512, has_bfloat16_products};
use crate::kernels::tensor_slice::Real;
use half::bf16;
use multiversion::multiversion;
use std::sync::LazyLock;

/// The number of sums side by side. The last ones of a result may be computed as half of that.
pub const LANES: usize = 16;

/// How two operands are walked through. For each item and lane, over all rows and steps, the sum at
/// `item * sums_item + lane` is that of
///
/// `a[row * a_row + step * a_step + item * a_item] * b[row * b_row + step * b_step + lane]`.
///
/// Of bfloat16, each of these products is the sum of two: those of a pair of neighbouring values.
#[derive(Clone, Copy, Debug)]
pub struct Walk {
    /// From 1 to [`max_items`].
    pub items: usize,
    pub rows: usize,
    pub steps: usize,
    pub a_row: usize,
    pub a_step: usize,
    pub a_item: usize,
    pub b_row: usize,
    pub b_step: usize,
    pub sums_item: usize,
}

/// What sums begin with.
#[derive(Clone, Copy)]
pub enum Start<'a, const L: usize> {
    /// With what is there already.
    There,
    /// With the same values for each item; afterwards, sums below the limit are set to it.
    With { initial: &'a [f32; L], at_least: f32 },
}

/// A number that is multiplied.
pub trait Factor: Real {
    /// How many neighbouring numbers of `a` are multiplied with as many of `b`, for one sum.
    const WIDTH: usize;

    /// Computes the sums of `L` lanes, 16 or 8.
    fn accumulate<const L: usize>(walk: &Walk, a: &[Self], b: &[Self], start: Start<L>, sums: &mut [f32]);
}

/// The largest number of items on any processor.
pub const MAX_ITEMS: usize = 12;

/// How many items are computed together at most.
pub fn max_items() -> usize {
    static ITEMS: LazyLock<usize> =
        LazyLock::new(
            || if cfg!(target_arch = "x86_64") && !has_avx512() { MAX_ITEMS / 2 } else { MAX_ITEMS },
        );
    *ITEMS
}

impl Walk {
    /// Ends the program if a walk would leave an operand.
    fn check<F: Factor>(&self, lanes: usize, a: &[F], b: &[F], sums: &[f32]) {
        let last = |row: usize, step: usize| (self.rows - 1) * row + (self.steps - 1) * step;
        let last_item = self.items - 1;
        assert!(last_item * self.sums_item + lanes <= sums.len(), "{self:?} leaves {} sums", sums.len());
        if self.rows > 0 && self.steps > 0 {
            let a_end = last(self.a_row, self.a_step) + last_item * self.a_item + F::WIDTH;
            let b_end = last(self.b_row, self.b_step) + lanes * F::WIDTH;
            assert!(a_end <= a.len() && b_end <= b.len(), "{self:?} leaves {} or {}", a.len(), b.len());
        }
    }
}

/// Calls a function whose first generic constant is the number of items.
macro_rules! with_items {
    ($function:ident, $lanes:ident, $walk:expr, $($argument:expr),*) => {
        match $walk.items {
            1 => $function::<1, $lanes>($walk, $($argument),*),
            2 => $function::<2, $lanes>($walk, $($argument),*),
            3 => $function::<3, $lanes>($walk, $($argument),*),
            4 => $function::<4, $lanes>($walk, $($argument),*),
            5 => $function::<5, $lanes>($walk, $($argument),*),
            6 => $function::<6, $lanes>($walk, $($argument),*),
            7 => $function::<7, $lanes>($walk, $($argument),*),
            8 => $function::<8, $lanes>($walk, $($argument),*),
            9 => $function::<9, $lanes>($walk, $($argument),*),
            10 => $function::<10, $lanes>($walk, $($argument),*),
            11 => $function::<11, $lanes>($walk, $($argument),*),
            12 => $function::<12, $lanes>($walk, $($argument),*),
            items => unreachable!("{items} items at once"),
        }
    };
}

impl Factor for f32 {
    const WIDTH: usize = 1;

    fn accumulate<const L: usize>(walk: &Walk, a: &[f32], b: &[f32], start: Start<L>, sums: &mut [f32]) {
        walk.check(L, a, b, sums);
        with_items!(single, L, walk, a.as_ptr(), b.as_ptr(), start, sums);
    }
}

/// The walk has been checked.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl+fma", "x86_64+avx2+fma"))]
fn single<const ITEMS: usize, const L: usize>(
    walk: &Walk,
    a: *const f32,
    b: *const f32,
    start: Start<L>,
    sums: &mut [f32],
) {
    let mut kept = begin::<ITEMS, L>(walk, start, sums);
    for row in 0..walk.rows {
        let a = a.wrapping_add(row * walk.a_row);
        let items: [*const f32; ITEMS] = std::array::from_fn(|item| a.wrapping_add(item * walk.a_item));
        let mut b = b.wrapping_add(row * walk.b_row);
        let mut offset = 0;
        for _ in 0..walk.steps {
            // SAFETY: the caller checked that the walk stays within both operands.
            let lanes = unsafe { b.cast::<[f32; L]>().read() };
            for (item, kept) in items.iter().zip(&mut kept) {
                // SAFETY: as above.
                let value = unsafe { item.add(offset).read() };
                for (sum, lane) in kept.iter_mut().zip(lanes) {
                    *sum = value.mul_add(lane, *sum);
                }
            }
            offset += walk.a_step;
            b = b.wrapping_add(walk.b_step);
        }
    }
    end(walk, kept, start, sums);
}

#[inline(always)]
fn begin<const ITEMS: usize, const L: usize>(
    walk: &Walk,
    start: Start<L>,
    sums: &[f32],
) -> [[f32; L]; ITEMS] {
    match start {
        // SAFETY: the caller checked that so many sums are there.
        Start::There => std::array::from_fn(|item| unsafe {
            sums.as_ptr().add(item * walk.sums_item).cast::<[f32; L]>().read()
        }),
        Start::With { initial, .. } => [*initial; ITEMS],
    }
}

#[inline(always)]
fn end<const ITEMS: usize, const L: usize>(
    walk: &Walk,
    mut kept: [[f32; L]; ITEMS],
    start: Start<L>,
    sums: &mut [f32],
) {
    if let Start::With { at_least, .. } = start {
        for kept in &mut kept {
            // NaN stays.
            kept.iter_mut().for_each(|sum| *sum = if *sum < at_least { at_least } else { *sum });
        }
    }
    for (item, kept) in kept.into_iter().enumerate() {
        // SAFETY: the caller checked that so many sums are there.
        unsafe { sums.as_mut_ptr().add(item * walk.sums_item).cast::<[f32; L]>().write(kept) };
    }
}

impl Factor for bf16 {
    const WIDTH: usize = 2;

    fn accumulate<const L: usize>(walk: &Walk, a: &[bf16], b: &[bf16], start: Start<L>, sums: &mut [f32]) {
        walk.check(L, a, b, sums);
        #[cfg(target_arch = "x86_64")]
        if L == LANES && has_bfloat16_products() {
            // SAFETY: the processor has the instructions.
            return unsafe { with_items!(pairs_avx512, L, walk, a.as_ptr(), b.as_ptr(), start, sums) };
        }
        with_items!(pairs, L, walk, a.as_ptr(), b.as_ptr(), start, sums);
    }
}

/// The walk has been checked, and there are 16 lanes.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bf16")]
fn pairs_avx512<const ITEMS: usize, const L: usize>(
    walk: &Walk,
    a: *const bf16,
    b: *const bf16,
    start: Start<L>,
    sums: &mut [f32],
) {
    use std::arch::x86_64::{
        __m512bh, _mm512_dpbf16_ps, _mm512_loadu_ps, _mm512_loadu_si512, _mm512_set1_epi32, _mm512_storeu_ps,
    };
    assert!(L == LANES);
    let mut sums_there = begin::<ITEMS, L>(walk, start, sums);
    // SAFETY: such an array is as long as the register.
    let mut kept = sums_there.each_ref().map(|sums| unsafe { _mm512_loadu_ps(sums.as_ptr()) });
    for row in 0..walk.rows {
        let (mut a, mut b) = (a.wrapping_add(row * walk.a_row), b.wrapping_add(row * walk.b_row));
        for _ in 0..walk.steps {
            // SAFETY: the caller checked that the walk stays within both operands. The types are registers of
            // 512 bits, and any bits are a value of them.
            let lanes: __m512bh = unsafe { std::mem::transmute(_mm512_loadu_si512(b.cast())) };
            for (item, kept) in kept.iter_mut().enumerate() {
                // SAFETY: as above.
                let pair = unsafe { a.add(item * walk.a_item).cast::<i32>().read_unaligned() };
                // SAFETY: as above.
                let pair: __m512bh = unsafe { std::mem::transmute(_mm512_set1_epi32(pair)) };
                *kept = _mm512_dpbf16_ps(*kept, pair, lanes);
            }
            a = a.wrapping_add(walk.a_step);
            b = b.wrapping_add(walk.b_step);
        }
    }
    for (sums, kept) in sums_there.iter_mut().zip(kept) {
        // SAFETY: such an array is as long as the register.
        unsafe { _mm512_storeu_ps(sums.as_mut_ptr(), kept) };
    }
    end(walk, sums_there, start, sums);
}

/// The same on every processor. The walk has been checked.
fn pairs<const ITEMS: usize, const L: usize>(
    walk: &Walk,
    a: *const bf16,
    b: *const bf16,
    start: Start<L>,
    sums: &mut [f32],
) {
    let mut kept = begin::<ITEMS, L>(walk, start, sums);
    for row in 0..walk.rows {
        for step in 0..walk.steps {
            let a = a.wrapping_add(row * walk.a_row + step * walk.a_step);
            let b = b.wrapping_add(row * walk.b_row + step * walk.b_step);
            for (item, kept) in kept.iter_mut().enumerate() {
                // SAFETY: the caller checked that the walk stays within both operands.
                let [x, y] = unsafe { a.add(item * walk.a_item).cast::<[bf16; 2]>().read() };
                for (lane, sum) in kept.iter_mut().enumerate() {
                    // SAFETY: as above.
                    let [v, w] = unsafe { b.add(2 * lane).cast::<[bf16; 2]>().read() };
                    *sum += x.single() * v.single() + y.single() * w.single();
                }
            }
        }
    }
    end(walk, kept, start, sums);
}
